package conformance;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Every form of {@code kafka-consumer-groups --reset-offsets}. */
final class ResetCases {
    private static final long START = 1_000_000_000_000L;

    private ResetCases() {
    }

    static void addTo(List<Case> cases) {
        cases.add(new Case("reset-offsets: to earliest", script -> reset(script, "0 0", "--to-earliest")));
        cases.add(new Case("reset-offsets: to latest", script -> reset(script, "10 10", "--to-latest")));
        cases.add(new Case("reset-offsets: to current", script -> reset(script, "4 4", "--to-current")));
        cases.add(new Case("reset-offsets: to an offset", script -> reset(script, "7 7", "--to-offset", "7")));
        cases.add(new Case("reset-offsets: to an offset beyond the end",
                script -> reset(script, "10 10", "--to-offset", "700")));
        cases.add(new Case("reset-offsets: forward", script -> reset(script, "6 6", "--shift-by", "2")));
        cases.add(new Case("reset-offsets: back", script -> reset(script, "1 1", "--shift-by", "-3")));
        cases.add(new Case("reset-offsets: back beyond the start", script -> reset(script, "0 0", "--shift-by", "-30")));
        // The ten seconds of the records begin at 01:46:40 UTC, one record in each, in turn in the two partitions.
        cases.add(new Case("reset-offsets: to a time",
                script -> reset(script, "2 2", "--to-datetime", "2001-09-09T01:46:43.500")));
        cases.add(new Case("reset-offsets: to a time in a zone",
                script -> reset(script, "2 2", "--to-datetime", "2001-09-09T03:46:43.500+02:00")));
        cases.add(new Case("reset-offsets: to a time between records",
                script -> reset(script, "5 5", "--to-datetime", "2002-01-01T00:00:00.000")));
        cases.add(new Case("reset-offsets: by a duration", script -> reset(script, "5 5", "--by-duration", "PT1H")));
        cases.add(new Case("reset-offsets: of one partition", ResetCases::onePartition));
        cases.add(new Case("reset-offsets: from an exported file", ResetCases::file));
        cases.add(new Case("reset-offsets: all topics and all groups", ResetCases::all));
        cases.add(new Case("reset-offsets: a group in use", ResetCases::inUse));
        cases.add(new Case("reset-offsets: of a group that is not there", ResetCases::newGroup));
    }

    /** Two partitions with ten records each, the first five of 2001 and the others of now. */
    private static String filled(Script script) throws Exception {
        String topic = script.topic("read", 2, "retention.ms", "-1");
        script.fill(topic, 2, 10, START);
        script.fill(topic, 2, 10, System.currentTimeMillis());
        return topic;
    }

    private static void reset(Script script, String expected, String... how) throws Exception {
        String topic = filled(script);
        String group = GroupToolCases.committed(script, "group", topic, 2, 4);
        List<String> args = new ArrayList<>(List.of("--reset-offsets", "--group", group, "--topic", topic));
        args.addAll(List.of(how));
        String[] planned = args.toArray(String[]::new);
        String[] wanted = expected.split(" ");
        String[] rows = {group + " " + topic + " 0 " + wanted[0], group + " " + topic + " 1 " + wanted[1]};
        script.tool(Tool.CONSUMER_GROUPS, append(planned, "--dry-run")).sorted().shows(rows);
        script.same("4 4", offsets(script, group, topic), "the offsets after a dry run");
        script.tool(Tool.CONSUMER_GROUPS, append(planned, "--execute")).sorted().shows(rows);
        script.same(expected, offsets(script, group, topic), "the offsets after the reset");
    }

    private static void onePartition(Script script) throws Exception {
        String topic = filled(script);
        String group = GroupToolCases.committed(script, "group", topic, 2, 4);
        script.tool(Tool.CONSUMER_GROUPS, "--reset-offsets", "--group", group, "--topic", topic + ":1", "--to-earliest",
                "--execute").sorted().shows(group + " " + topic + " 1 0");
        script.same("4 0", offsets(script, group, topic), "the offsets");
    }

    private static void file(Script script) throws Exception {
        String topic = filled(script);
        String group = GroupToolCases.committed(script, "group", topic, 2, 4);
        String exported = script.tool(Tool.CONSUMER_GROUPS, "--reset-offsets", "--group", group, "--topic", topic,
                "--to-offset", "9", "--export", "--dry-run").sorted().shows("\"" + topic + "\",0,9");
        Path file = Files.writeString(Files.createTempFile("conformance", ".csv"), exported + "\n");
        script.tool(Tool.CONSUMER_GROUPS, "--reset-offsets", "--group", group, "--from-file", file.toString(), "--execute")
                .sorted().silent().shows(group + " " + topic + " 1 9");
        script.same("9 9", offsets(script, group, topic), "the offsets");
        Files.delete(file);
    }

    private static void all(Script script) throws Exception {
        String topic = filled(script);
        String other = script.topic("other", 2);
        script.fill(other, 2, 4, System.currentTimeMillis());
        String group = GroupToolCases.committed(script, "group", topic, 2, 4);
        GroupToolCases.committed(script, "group", other, 2, 1);
        script.tool(Tool.CONSUMER_GROUPS, "--reset-offsets", "--group", group, "--all-topics", "--to-latest", "--execute")
                .sorted().shows(group + " " + topic + " 0 10", group + " " + other + " 1 2");
        // Other cases own the other groups, so only a dry run may look at all of them.
        script.tool(Tool.CONSUMER_GROUPS, "--reset-offsets", "--all-groups", "--topic", topic, "--to-earliest", "--dry-run")
                .silent().shows(group + " " + topic + " 0 0");
        script.same("10 10", offsets(script, group, topic), "the offsets");
    }

    private static void inUse(Script script) throws Exception {
        String topic = script.topic("shared", 6);
        String group = script.name("group");
        Member a = Member.join(script, topic, "a", Map.of("group.id", group));
        ClassicMemberCases.stage(script, topic, "a alone", List.of(a));
        script.await("the commits", () -> ClassicMemberCases.committed(script, group) == 12);
        script.tool(Tool.CONSUMER_GROUPS, "--reset-offsets", "--group", group, "--topic", topic, "--to-earliest",
                "--execute").sorted().shows("Assignments can only be reset if the group '" + group + "' is inactive");
        script.same(12L, ClassicMemberCases.committed(script, group), "the offsets");
    }

    private static void newGroup(Script script) throws Exception {
        String topic = filled(script);
        String group = script.name("group");
        script.tool(Tool.CONSUMER_GROUPS, "--reset-offsets", "--group", group, "--topic", topic, "--to-offset", "3",
                "--execute").sorted().shows(group + " " + topic + " 0 3");
        script.same("3 3", offsets(script, group, topic), "the offsets");
        script.tool(Tool.CONSUMER_GROUPS, "--reset-offsets", "--group", group, "--topic", script.name("none"),
                "--to-earliest", "--execute").sorted().mask("(?s)(Error: [^\\n]*).*", "$1").shows();
    }

    private static String offsets(Script script, String group, String topic) throws Exception {
        Map<Integer, Long> found = new TreeMap<>();
        script.admin().listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().forEach((partition, offset) -> {
            if (partition.topic().equals(topic)) {
                found.put(partition.partition(), offset.offset());
            }
        });
        return found.get(0) + " " + found.get(1);
    }

    private static String[] append(String[] args, String last) {
        String[] all = java.util.Arrays.copyOf(args, args.length + 1);
        all[args.length] = last;
        return all;
    }
}
