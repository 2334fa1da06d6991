package conformance;

import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Takes out of a text what differs between two runs on the same broker. */
final class Normal {
    private static final Pattern UUID =
            Pattern.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");
    private static final Pattern TOPIC_ID = Pattern.compile("TopicId: [A-Za-z0-9_-]{22}");
    private static final Pattern MILLISECONDS = Pattern.compile("(?<![0-9.])[0-9]{13}(?![0-9])");
    private static final Pattern BLANKS = Pattern.compile("[ \\t]+");
    // The kind of an error is compared; each broker explains it in its own words.
    private static final Pattern REASON = Pattern.compile("(org\\.apache\\.kafka\\.common\\.errors\\.\\w+Exception): [^\\n]*");
    private static final Pattern STACK = Pattern.compile("\\s+at [\\w.$/]+.*\\(.*\\)|\\s+\\.\\.\\. \\d+ more");
    private static final long DAY_MS = 86_400_000;

    private Normal() {
    }

    static String of(String text, String bootstrap) {
        String done = text.lines().filter(line -> !STACK.matcher(line).matches()).collect(Collectors.joining("\n"));
        done = done.replace(bootstrap, "<broker>");
        done = done.replace(bootstrap.substring(bootstrap.lastIndexOf(':') + 1), "<port>");
        done = REASON.matcher(done).replaceAll("$1: <reason>");
        done = UUID.matcher(done).replaceAll("<uuid>");
        done = TOPIC_ID.matcher(done).replaceAll("TopicId: <id>");
        done = MILLISECONDS.matcher(done).replaceAll(Normal::withoutNow);
        // The columns of a table are as wide as their widest cell.
        done = BLANKS.matcher(done).replaceAll(" ");
        return done.lines().map(String::stripTrailing).collect(Collectors.joining("\n"));
    }

    /** The lines in an order that does not depend on who answered first. */
    static String sorted(String text) {
        return Arrays.stream(text.split("\n")).sorted().collect(Collectors.joining("\n"));
    }

    private static String withoutNow(java.util.regex.MatchResult found) {
        long distance = Math.abs(Long.parseLong(found.group()) - System.currentTimeMillis());
        return distance < DAY_MS ? "<now>" : Matcher.quoteReplacement(found.group());
    }
}
