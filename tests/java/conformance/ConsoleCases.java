package conformance;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;

/** {@code kafka-console-producer} and {@code kafka-console-consumer}. */
final class ConsoleCases {
    /** Makes the console consumer print all that a record has. */
    private static final String[] ALL_SHOWN = {
        "--formatter-property", "print.key=true", "--formatter-property", "print.headers=true",
        "--formatter-property", "print.partition=true", "--formatter-property", "print.offset=true",
        "--formatter-property", "print.timestamp=true",
    };

    private ConsoleCases() {
    }

    static void addTo(List<Case> cases) {
        cases.add(new Case("console: values are written and read", ConsoleCases::values));
        cases.add(new Case("console: keys, headers and tombstones", ConsoleCases::keys));
        for (String codec : List.of("gzip", "snappy", "lz4", "zstd")) {
            cases.add(new Case("console: compressed with " + codec, script -> compressed(script, codec)));
        }
        cases.add(new Case("console: acks of 0, 1 and all", ConsoleCases::acknowledgements));
        cases.add(new Case("console: one partition from an offset", ConsoleCases::fromOffset));
        cases.add(new Case("console: in a group that goes on where it stopped", ConsoleCases::group));
        cases.add(new Case("console: topics by pattern", ConsoleCases::pattern));
        cases.add(new Case("console: a topic that is not there", ConsoleCases::unknownTopic));
    }

    private static void values(Script script) throws Exception {
        String topic = script.topic("plain", 1);
        script.tool(Tool.CONSOLE_PRODUCER, "--topic", topic).input("one\ntwo\n\nfour with blanks\n").shows();
        script.tool(Tool.CONSOLE_CONSUMER, "--topic", topic, "--from-beginning", "--max-messages", "4")
                .shows("one\ntwo\n\nfour with blanks\n", "Processed a total of 4 messages");
    }

    private static void keys(Script script) throws Exception {
        String topic = script.topic("keyed", 3);
        script.tool(Tool.CONSOLE_PRODUCER, "--topic", topic, "--reader-property", "parse.key=true",
                "--reader-property", "parse.headers=true", "--reader-property", "null.marker=NULL",
                "--reader-property", "key.separator=:", "--reader-property", "headers.delimiter=|",
                "--reader-property", "headers.separator=,", "--reader-property", "headers.key.separator==")
                .input("a=1,b=2|red:first\na=3|green:second\nc=4|blue:NULL\nNULL|red:third\n").shows();
        String read = script.tool(Tool.CONSOLE_CONSUMER, shown("--topic", topic, "--from-beginning",
                "--max-messages", "4", "--timeout-ms", "20000")).sorted()
                .shows("a:1,b:2", "first", "second", "third", "null", "Processed a total of 4 messages");
        script.check(read.contains("CreateTime:<now>"), "no timestamps in:\n%s", read);
    }

    private static void compressed(Script script, String codec) throws Exception {
        String topic = script.topic(codec, 1);
        String lines = IntStream.range(0, 200).mapToObj(at -> "value " + at).collect(Collectors.joining("\n", "", "\n"));
        script.tool(Tool.CONSOLE_PRODUCER, "--topic", topic, "--compression-codec", codec).input(lines).shows();
        String read = script.tool(Tool.CONSOLE_CONSUMER, "--topic", topic, "--from-beginning", "--max-messages", "200")
                .shows("Processed a total of 200 messages");
        script.check(read.contains(lines), "the records differ:\n%s", read);
    }

    private static void acknowledgements(Script script) throws Exception {
        String topic = script.topic("acked", 1);
        for (String acks : List.of("0", "1", "all")) {
            script.tool(Tool.CONSOLE_PRODUCER, "--topic", topic, "--request-required-acks", acks,
                    "--command-property", "enable.idempotence=false").input("acks " + acks + "\n").shows();
            // Nobody is told when a record without acknowledgement has arrived.
            long before = List.of("0", "1", "all").indexOf(acks) + 1L;
            script.await(before + " records", () -> OffsetCases.end(script, topic, 0) == before);
        }
        script.tool(Tool.CONSOLE_CONSUMER, "--topic", topic, "--from-beginning", "--max-messages", "3")
                .shows("acks 0\nacks 1\nacks all\n");
    }

    private static void fromOffset(Script script) throws Exception {
        String topic = script.topic("part", 2, "retention.ms", "-1");
        script.fill(topic, 2, 10, 1_000_000_000_000L);
        script.tool(Tool.CONSOLE_CONSUMER, shown("--topic", topic, "--partition", "1", "--offset", "2",
                "--max-messages", "3")).shows("CreateTime:1000000005000", "Offset:4", "k9");
        script.tool(Tool.CONSOLE_CONSUMER, "--topic", topic, "--partition", "0", "--offset", "earliest",
                "--max-messages", "5").shows("v0\nv2\nv4\nv6\nv8");
        script.tool(Tool.CONSOLE_CONSUMER, "--topic", topic, "--partition", "0", "--offset", "latest",
                "--max-messages", "1", "--timeout-ms", "1500").shows("Processed a total of 0 messages");
    }

    private static void group(Script script) throws Exception {
        String topic = script.topic("read", 1);
        String group = script.name("readers");
        script.fill(topic, 1, 6, System.currentTimeMillis());
        for (int run = 0; run < 2; run++) {
            script.tool(Tool.CONSOLE_CONSUMER, "--topic", topic, "--group", group, "--from-beginning",
                    "--max-messages", "3", "--command-property", "max.poll.records=3")
                    .shows(run == 0 ? "v0\nv1\nv2" : "v3\nv4\nv5", "Processed a total of 3 messages");
        }
        OffsetAndMetadata committed = script.admin().listConsumerGroupOffsets(group)
                .partitionsToOffsetAndMetadata().get().values().iterator().next();
        script.same(6L, committed.offset(), "the committed offset");
    }

    private static void pattern(Script script) throws Exception {
        String east = script.topic("area-east", 1);
        String west = script.topic("area-west", 1);
        script.topic("other", 1);
        script.fill(east, 1, 2, System.currentTimeMillis());
        script.fill(west, 1, 2, System.currentTimeMillis());
        script.fill(script.name("other"), 1, 2, System.currentTimeMillis());
        script.tool(Tool.CONSOLE_CONSUMER, "--include", script.name("area-.*"), "--from-beginning",
                "--max-messages", "4").sorted().shows("v0\nv0\nv1\nv1", "Processed a total of 4 messages");
    }

    private static void unknownTopic(Script script) throws Exception {
        script.tool(Tool.CONSOLE_CONSUMER, "--topic", script.name("none"), "--from-beginning", "--timeout-ms", "1500")
                .shows("Processed a total of 0 messages");
        script.tool(Tool.CONSOLE_PRODUCER, "--topic", script.name("none"), "--command-property", "max.block.ms=1500")
                .input("lost\n").shows();
    }

    private static String[] shown(String... args) {
        return Stream.of(args, ALL_SHOWN).flatMap(Stream::of).toArray(String[]::new);
    }
}
