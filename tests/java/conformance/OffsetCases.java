package conformance;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.common.TopicPartition;

/** Offsets: asked for by name and by time, committed with metadata, and what deletes records before them. */
final class OffsetCases {
    private static final long START = 1_000_000_000_000L;

    private OffsetCases() {
    }

    static void addTo(List<Case> cases) {
        cases.add(new Case("get-offsets: every form of time", OffsetCases::getOffsets));
        cases.add(new Case("get-offsets: topics and partitions by pattern", OffsetCases::patterns));
        cases.add(new Case("delete-records: by file", OffsetCases::deleteRecords));
        cases.add(new Case("delete-records: what is refused", OffsetCases::deleteRefused));
        cases.add(new Case("java: offsets by time", OffsetCases::byTime));
        cases.add(new Case("java: offsets by time in compressed batches", OffsetCases::byTimeCompressed));
        cases.add(new Case("java: committed offsets and their metadata", OffsetCases::metadata));
        cases.add(new Case("java: seek, pause, resume and positions", OffsetCases::positions));
        cases.add(new Case("java: an offset that is out of range", OffsetCases::outOfRange));
        cases.add(new Case("java: log append time", OffsetCases::logAppendTime));
    }

    /** The offset after the last record. */
    static long end(Script script, String topic, int partition) throws Exception {
        return offset(script, topic, partition, OffsetSpec.latest()).offset();
    }

    private static ListOffsetsResultInfo offset(Script script, String topic, int partition, OffsetSpec spec)
            throws Exception {
        TopicPartition asked = new TopicPartition(topic, partition);
        return script.admin().listOffsets(Map.of(asked, spec)).partitionResult(asked).get();
    }

    private static void getOffsets(Script script) throws Exception {
        String topic = script.topic("timed", 2, "retention.ms", "-1");
        script.fill(topic, 2, 10, START);
        script.admin().deleteRecords(Map.of(new TopicPartition(topic, 0), RecordsToDelete.beforeOffset(2))).all().get();
        Map<String, String> expected = new HashMap<>();
        expected.put("-1", ":0:5");
        expected.put("-2", ":0:2");
        expected.put("-3", ":0:4");
        expected.put("latest", ":1:5");
        expected.put("earliest", ":1:0");
        expected.put("max-timestamp", ":1:4");
        expected.put("earliest-local", ":0:2");
        expected.put("latest-tiered", "");
        expected.put(String.valueOf(START + 4500), ":0:3");
        expected.put(String.valueOf(START + 99_000), "");
        for (String time : List.of("-1", "-2", "-3", "latest", "earliest", "max-timestamp", "earliest-local",
                "latest-tiered", String.valueOf(START + 4500), String.valueOf(START + 99_000))) {
            script.tool(Tool.GET_OFFSETS, "--topic", topic, "--time", time).sorted()
                    .shows(expected.get(time).isEmpty() ? "" : topic + expected.get(time));
        }
    }

    private static void patterns(Script script) throws Exception {
        String east = script.topic("east", 2);
        String west = script.topic("west", 2);
        script.fill(east, 2, 3, System.currentTimeMillis());
        script.tool(Tool.GET_OFFSETS, "--topic", script.name(".*")).sorted().shows(east + ":0:2", west + ":1:0");
        script.tool(Tool.GET_OFFSETS, "--topic-partitions", east + ":1," + west + ":0-1").sorted()
                .shows(east + ":1:1", west + ":0:0");
        script.tool(Tool.GET_OFFSETS, "--topic", east, "--partitions", "1").shows(east + ":1:1");
        script.tool(Tool.GET_OFFSETS, "--topic", script.name("none")).ends(1)
                .shows("Could not match any topic-partitions");
    }

    private static void deleteRecords(Script script) throws Exception {
        String topic = script.topic("cut", 2, "retention.ms", "-1");
        script.fill(topic, 2, 10, START);
        Path file = offsetFile(topic, 0, 3, topic, 1, -1);
        script.tool(Tool.DELETE_RECORDS, "--offset-json-file", file.toString()).sorted()
                .mask(file.toString(), "<file>").shows("partition: " + topic + "-0 low_watermark: 3",
                        "partition: " + topic + "-1 low_watermark: 5");
        script.tool(Tool.GET_OFFSETS, "--topic", topic, "--time", "earliest").sorted()
                .shows(topic + ":0:3", topic + ":1:5");
        KafkaConsumer<String, String> consumer = script.consumer();
        consumer.assign(List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1)));
        consumer.seekToBeginning(consumer.assignment());
        List<String> read = read(script, consumer, 2);
        script.say("left: %s", read);
        script.same(List.of("v6", "v8"), read, "the records that are left");
        Files.delete(file);
    }

    private static void deleteRefused(Script script) throws Exception {
        String topic = script.topic("cut", 1);
        script.fill(topic, 1, 3, System.currentTimeMillis());
        Path file = offsetFile(topic, 0, 99, script.name("none"), 0, 1);
        script.tool(Tool.DELETE_RECORDS, "--offset-json-file", file.toString(), "--command-config", noRetries(file))
                .sorted().mask(file.getParent().toString() + "[^ \\n]*", "<file>").mask("Call\\(callName.*", "<call>").shows(topic);
        TopicPartition partition = new TopicPartition(topic, 0);
        script.say("beyond the end: %s", script.failure(() -> script.admin()
                .deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(99))).all().get()));
        script.say("below the start: %d", script.admin()
                .deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(0))).lowWatermarks().get(partition)
                .get().lowWatermark());
        Files.delete(file);
    }

    private static void byTime(Script script) throws Exception {
        String topic = script.topic("timed", 1, "retention.ms", "-1");
        script.fill(topic, 1, 10, START);
        askByTime(script, topic);
    }

    private static void byTimeCompressed(Script script) throws Exception {
        String topic = script.topic("timed", 1, "retention.ms", "-1");
        var producer = script.producer("compression.type", "lz4", "linger.ms", "1000");
        for (int at = 0; at < 10; at++) {
            producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>(topic, 0, START + 1000L * at, "k", "v"));
        }
        producer.flush();
        askByTime(script, topic);
    }

    private static void askByTime(Script script, String topic) {
        KafkaConsumer<String, String> consumer = script.consumer();
        TopicPartition partition = new TopicPartition(topic, 0);
        Map<Long, Long> expected = Map.of(0L, 0L, START, 0L, START + 1, 1L, START + 4000, 4L, START + 9000, 9L);
        for (long time : List.of(0L, START, START + 1, START + 4000, START + 9000, START + 9001)) {
            OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, time)).get(partition);
            script.say("at %d: %s", time, found);
            Long offset = found == null ? null : found.offset();
            script.check(java.util.Objects.equals(offset, expected.get(time)), "at %d: %s", time, found);
        }
    }

    private static void metadata(Script script) throws Exception {
        String topic = script.topic("committed", 2);
        script.fill(topic, 2, 4, System.currentTimeMillis());
        TopicPartition first = new TopicPartition(topic, 0);
        TopicPartition second = new TopicPartition(topic, 1);
        KafkaConsumer<String, String> consumer = script.consumer("group.id", script.name("group"));
        consumer.assign(List.of(first, second));
        consumer.commitSync(Map.of(first, new OffsetAndMetadata(1, "words about it"),
                second, new OffsetAndMetadata(2, java.util.Optional.of(0), "")));
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(java.util.Set.of(first, second));
        script.say("0: %s", committed.get(first));
        script.say("1: %s", committed.get(second));
        script.same("words about it", committed.get(first).metadata(), "the metadata");
        script.say("4096 bytes: %s", script.failure(() -> {
            consumer.commitSync(Map.of(first, new OffsetAndMetadata(1, "x".repeat(4096))));
            return null;
        }));
        script.say("4097 bytes: %s", script.failure(() -> {
            consumer.commitSync(Map.of(first, new OffsetAndMetadata(2, "x".repeat(4097))));
            return null;
        }));
        script.same(1L, consumer.committed(java.util.Set.of(first)).get(first).offset(), "the offset after a refusal");
        script.say("beyond the end: %s", script.failure(() -> {
            consumer.commitSync(Map.of(first, new OffsetAndMetadata(77)));
            return null;
        }));
        script.say("lag beyond the end: %s", consumer.currentLag(first));
    }

    private static void positions(Script script) throws Exception {
        String topic = script.topic("sought", 2);
        script.fill(topic, 2, 20, System.currentTimeMillis());
        TopicPartition first = new TopicPartition(topic, 0);
        TopicPartition second = new TopicPartition(topic, 1);
        KafkaConsumer<String, String> consumer = script.consumer("max.poll.records", "4");
        consumer.assign(List.of(first, second));
        consumer.pause(List.of(second));
        consumer.seek(first, 6);
        List<String> read = read(script, consumer, 4);
        script.say("%s, positions %d and %d", read, consumer.position(first), consumer.position(second));
        script.same(List.of("v12", "v14", "v16", "v18"), read, "the records after the offset");
        consumer.resume(List.of(second));
        consumer.pause(List.of(first));
        consumer.seekToEnd(List.of(second));
        script.same(10L, consumer.position(second), "the position at the end");
        consumer.seek(second, 9);
        script.say("%s", read(script, consumer, 1));
        script.say("beginning %s, end %s", consumer.beginningOffsets(List.of(first)), consumer.endOffsets(List.of(first)));
        script.say("%d partitions", consumer.partitionsFor(topic).size());
    }

    private static void outOfRange(Script script) throws Exception {
        String topic = script.topic("short", 1);
        script.fill(topic, 1, 3, System.currentTimeMillis());
        TopicPartition partition = new TopicPartition(topic, 0);
        KafkaConsumer<String, String> strict = script.consumer("auto.offset.reset", "none");
        strict.assign(List.of(partition));
        strict.seek(partition, 50);
        script.say("without a reset: %s", script.failure(() -> {
            for (int at = 0; at < 200; at++) {
                strict.poll(Duration.ofMillis(100));
            }
            return null;
        }));
        KafkaConsumer<String, String> lenient = script.consumer();
        lenient.assign(List.of(partition));
        lenient.seek(partition, 50);
        script.same(List.of("v0", "v1", "v2"), read(script, lenient, 3), "the records after a reset");
    }

    private static void logAppendTime(Script script) throws Exception {
        String topic = script.topic("stamped", 1, "message.timestamp.type", "LogAppendTime");
        script.fill(topic, 1, 2, START);
        KafkaConsumer<String, String> consumer = script.consumer();
        consumer.assign(List.of(new TopicPartition(topic, 0)));
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        script.await("two records", () -> {
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
            return records.size() == 2;
        });
        for (ConsumerRecord<String, String> record : records) {
            script.say("%d: %s %d", record.offset(), record.timestampType(), record.timestamp());
        }
        script.check(records.get(0).timestamp() > START, "the producer's time was kept");
    }

    /** Polls until `count` records have come, and gives their values. */
    static List<String> read(Script script, KafkaConsumer<String, String> consumer, int count) throws Exception {
        List<String> values = new ArrayList<>();
        script.await(count + " records", () -> {
            consumer.poll(Duration.ofMillis(100)).forEach(record -> values.add(record.value()));
            return values.size() >= count;
        });
        return values;
    }

    private static Path offsetFile(String topic, int partition, long offset, String other, int second, long later)
            throws IOException {
        String text = String.format("{\"version\": 1, \"partitions\": [%s, %s]}", part(topic, partition, offset),
                part(other, second, later));
        return Files.writeString(Files.createTempFile("conformance", ".json"), text);
    }

    private static String part(String topic, int partition, long offset) {
        return String.format("{\"topic\": \"%s\", \"partition\": %d, \"offset\": %d}", topic, partition, offset);
    }

    private static String noRetries(Path beside) throws IOException {
        Path file = beside.resolveSibling(beside.getFileName() + ".properties");
        file.toFile().deleteOnExit();
        return Files.writeString(file, "default.api.timeout.ms=2000\nrequest.timeout.ms=1000\n").toString();
    }
}
