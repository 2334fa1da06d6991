package conformance;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.internals.RecordHeader;

/** Records as the Java client writes and reads them. */
final class ProducerCases {
    private ProducerCases() {
    }

    static void addTo(List<Case> cases) {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            cases.add(new Case("java: idempotent producer, " + codec, script -> roundTrip(script, codec)));
        }
        cases.add(new Case("java: headers, null keys and values", ProducerCases::parts));
        cases.add(new Case("java: what a producer is refused", ProducerCases::refused));
        cases.add(new Case("java: a compacted topic wants keys", ProducerCases::keysWanted));
        cases.add(new Case("java: large records and small fetches", ProducerCases::large));
    }

    private static void roundTrip(Script script, String codec) throws Exception {
        String topic = script.topic("round", 2);
        KafkaProducer<String, String> producer =
                script.producer("compression.type", codec, "linger.ms", "20", "enable.idempotence", "true");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int at = 0; at < 500; at++) {
            sent.add(producer.send(new ProducerRecord<>(topic, at % 2, "k" + at, "value " + at)));
        }
        producer.flush();
        long next = 0;
        for (int at = 0; at < 500; at += 2) {
            script.same(next++, sent.get(at).get().offset(), "the offset of record " + at);
        }
        KafkaConsumer<String, String> consumer = script.consumer();
        consumer.assign(List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1)));
        consumer.seekToBeginning(consumer.assignment());
        List<String> read = OffsetCases.read(script, consumer, 500);
        script.say("%d records, %d different", read.size(), read.stream().distinct().count());
        script.same(500L, read.stream().distinct().count(), "different records");
    }

    private static void parts(Script script) throws Exception {
        String topic = script.topic("parts", 1);
        KafkaProducer<String, String> producer = script.producer();
        ProducerRecord<String, String> full = new ProducerRecord<>(topic, 0, 1_700_000_000_123L, "key", "value");
        full.headers().add(new RecordHeader("a", "1".getBytes())).add(new RecordHeader("a", "2".getBytes()))
                .add(new RecordHeader("none", (byte[]) null));
        producer.send(full);
        producer.send(new ProducerRecord<>(topic, 0, 1_700_000_000_124L, null, "without key"));
        producer.send(new ProducerRecord<>(topic, 0, 1_700_000_000_125L, "tombstone", (String) null));
        producer.send(new ProducerRecord<>(topic, 0, 1_700_000_000_126L, "", "")).get();
        script.check(OffsetCases.end(script, topic, 0) == 4, "not four records");
        KafkaConsumer<String, String> consumer = script.consumer();
        consumer.assign(List.of(new TopicPartition(topic, 0)));
        consumer.seekToBeginning(consumer.assignment());
        List<ConsumerRecord<String, String>> records = new ArrayList<>();
        script.await("four records", () -> {
            consumer.poll(Duration.ofMillis(100)).forEach(records::add);
            return records.size() == 4;
        });
        for (ConsumerRecord<String, String> record : records) {
            script.say("%s", record);
        }
        script.same(3, records.get(0).headers().toArray().length, "headers");
    }

    private static void refused(Script script) throws Exception {
        String small = script.topic("small", 1, "max.message.bytes", "200");
        KafkaProducer<String, String> producer = script.producer("max.block.ms", "1500");
        script.say("too large: %s",
                script.failure(() -> producer.send(new ProducerRecord<>(small, "k", "x".repeat(500))).get()));
        script.say("large enough: %s", script.failure(() -> producer.send(new ProducerRecord<>(small, "k", "x")).get()));
        script.say("no topic: %s",
                script.failure(() -> producer.send(new ProducerRecord<>(script.name("none"), "k", "v")).get()));
        script.say("no partition: %s",
                script.failure(() -> producer.send(new ProducerRecord<>(small, 7, "k", "v")).get()));
        script.say("wrong name: %s",
                script.failure(() -> producer.send(new ProducerRecord<>("wrong name", "k", "v")).get()));
        String minimum = script.topic("minimum", 1, "min.insync.replicas", "2");
        KafkaProducer<String, String> strict = script.producer("delivery.timeout.ms", "1500", "request.timeout.ms", "500",
                "linger.ms", "0", "retries", "0", "enable.idempotence", "false");
        script.say("too few replicas: %s",
                script.failure(() -> strict.send(new ProducerRecord<>(minimum, "k", "v")).get()));
        String future = script.topic("future", 1, "message.timestamp.after.max.ms", "1000");
        script.say("from the future: %s", script.failure(() -> strict.send(
                new ProducerRecord<>(future, 0, System.currentTimeMillis() + 3_600_000, "k", "v")).get()));
    }

    private static void keysWanted(Script script) throws Exception {
        String topic = script.topic("compact", 1, "cleanup.policy", "compact");
        KafkaProducer<String, String> producer = script.producer();
        script.say("without key: %s", script.failure(() -> producer.send(new ProducerRecord<>(topic, "v")).get()));
        script.say("with key: %s", script.failure(() -> producer.send(new ProducerRecord<>(topic, "k", "v")).get()));
        script.same(1L, OffsetCases.end(script, topic, 0), "records");
    }

    private static void large(Script script) throws Exception {
        String topic = script.topic("large", 1);
        KafkaProducer<String, String> producer = script.producer("max.request.size", "2000000");
        for (int at = 0; at < 5; at++) {
            producer.send(new ProducerRecord<>(topic, "k", at + "x".repeat(900_000))).get();
        }
        KafkaConsumer<String, String> consumer =
                script.consumer("max.partition.fetch.bytes", "1000", "fetch.max.bytes", "1000");
        consumer.assign(List.of(new TopicPartition(topic, 0)));
        consumer.seekToBeginning(consumer.assignment());
        List<String> read = OffsetCases.read(script, consumer, 5);
        script.say("%d records of %d bytes", read.size(), read.get(4).length());
        script.same(900_001, read.get(4).length(), "the length of a large record");
    }
}
