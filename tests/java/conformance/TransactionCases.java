package conformance;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

/** Transactions as the Java client makes them, and {@code kafka-transactions}. */
final class TransactionCases {
    private TransactionCases() {
    }

    static void addTo(List<Case> cases) {
        cases.add(new Case("transactions: committed and aborted ones, both isolation levels", TransactionCases::ends));
        cases.add(new Case("transactions: the last stable offset holds readers back", TransactionCases::stable));
        cases.add(new Case("transactions: a new producer fences the old one", TransactionCases::fencing));
        cases.add(new Case("transactions: a new producer aborts what the old one left open", TransactionCases::inherited));
        cases.add(new Case("transactions: one that takes too long is aborted", TransactionCases::timeout));
        cases.add(new Case("transactions: offsets of a group", TransactionCases::offsets));
        cases.add(new Case("transactions: offsets of a member that is gone", TransactionCases::zombieOffsets));
        cases.add(new Case("transactions: many in a row over many partitions", TransactionCases::many));
        cases.add(new Case("transactions: aborted ones in compressed batches", TransactionCases::compressed));
        cases.add(new Case("transactions: listed and described by the tool", TransactionCases::tool));
        cases.add(new Case("transactions: one aborted by the admin client", TransactionCases::forcedAbort));
        cases.add(new Case("transactions: fenced by the admin client", TransactionCases::adminFence));
        cases.add(new Case("transactions: a time limit beyond the broker's", TransactionCases::tooLong));
    }

    private static KafkaProducer<String, String> producer(Script script, String id, String... more) {
        String[] all = new String[more.length + 2];
        all[0] = "transactional.id";
        all[1] = script.name(id);
        System.arraycopy(more, 0, all, 2, more.length);
        return script.producer(all);
    }

    private static KafkaConsumer<String, String> reader(Script script, String topic, int partitions, String level) {
        KafkaConsumer<String, String> consumer = script.consumer("isolation.level", level);
        consumer.assign(java.util.stream.IntStream.range(0, partitions)
                .mapToObj(at -> new TopicPartition(topic, at)).toList());
        consumer.seekToBeginning(consumer.assignment());
        return consumer;
    }

    private static void ends(Script script) throws Exception {
        String topic = script.topic("ledger", 1);
        try (KafkaProducer<String, String> producer = producer(script, "id")) {
            producer.initTransactions();
            for (int at = 0; at < 4; at++) {
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(topic, "k", "first of " + at));
                producer.send(new ProducerRecord<>(topic, "k", "second of " + at));
                if (at % 2 == 0) {
                    producer.commitTransaction();
                } else {
                    producer.flush();
                    producer.abortTransaction();
                }
            }
        }
        var plain = script.producer();
        plain.send(new ProducerRecord<>(topic, "k", "plain")).get();
        List<String> committed = OffsetCases.read(script, reader(script, topic, 1, "read_committed"), 5);
        script.say("committed: %s", committed);
        script.same(List.of("first of 0", "second of 0", "first of 2", "second of 2", "plain"), committed, "committed");
        List<String> all = OffsetCases.read(script, reader(script, topic, 1, "read_uncommitted"), 9);
        script.say("all: %s", all);
        script.say("end: %d", OffsetCases.end(script, topic, 0));
        script.same(13L, OffsetCases.end(script, topic, 0), "the end, with four markers");
    }

    private static void stable(Script script) throws Exception {
        String topic = script.topic("ledger", 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        var plain = script.producer();
        plain.send(new ProducerRecord<>(topic, "k", "before")).get();
        KafkaProducer<String, String> producer = producer(script, "id");
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(topic, "k", "inside")).get();
        plain.send(new ProducerRecord<>(topic, "k", "after")).get();

        KafkaConsumer<String, String> committed = reader(script, topic, 1, "read_committed");
        script.same(List.of("before"), OffsetCases.read(script, committed, 1), "read while the transaction is open");
        script.say("open: %d committed, %d all", committed.endOffsets(List.of(partition)).get(partition),
                OffsetCases.end(script, topic, 0));
        long stable = script.admin().listOffsets(Map.of(partition, OffsetSpec.latest()),
                new ListOffsetsOptions(IsolationLevel.READ_COMMITTED)).partitionResult(partition).get().offset();
        script.same(1L, stable, "the last stable offset");
        script.check(committed.poll(Duration.ofMillis(300)).isEmpty(), "records beyond the last stable offset were read");
        producer.commitTransaction();
        script.same(List.of("inside", "after"), OffsetCases.read(script, committed, 2), "read after the commit");
        script.say("ended: %d", committed.endOffsets(List.of(partition)).get(partition));
    }

    private static void fencing(Script script) throws Exception {
        String topic = script.topic("ledger", 1);
        KafkaProducer<String, String> old = producer(script, "id");
        old.initTransactions();
        old.beginTransaction();
        old.send(new ProducerRecord<>(topic, "k", "of the old one")).get();
        KafkaProducer<String, String> young = producer(script, "id");
        young.initTransactions();
        script.say("sending: %s", script.failure(() -> old.send(new ProducerRecord<>(topic, "k", "late")).get()));
        script.say("committing: %s", script.failure(() -> {
            old.commitTransaction();
            return null;
        }));
        young.beginTransaction();
        young.send(new ProducerRecord<>(topic, "k", "of the new one"));
        young.commitTransaction();
        script.same(List.of("of the new one"),
                OffsetCases.read(script, reader(script, topic, 1, "read_committed"), 1), "what is committed");
    }

    private static void inherited(Script script) throws Exception {
        String topic = script.topic("ledger", 1);
        KafkaProducer<String, String> old = producer(script, "id");
        old.initTransactions();
        old.beginTransaction();
        old.send(new ProducerRecord<>(topic, "k", "left open")).get();
        old.close(Duration.ZERO);
        KafkaProducer<String, String> young = producer(script, "id");
        young.initTransactions();
        KafkaConsumer<String, String> committed = reader(script, topic, 1, "read_committed");
        script.await("the end to be stable", () -> committed.endOffsets(committed.assignment()).values().iterator()
                .next() == 2);
        script.check(committed.poll(Duration.ofMillis(300)).isEmpty(), "an aborted record was read");
        script.say("left open, then aborted: end %d", OffsetCases.end(script, topic, 0));
    }

    private static void timeout(Script script) throws Exception {
        String topic = script.topic("ledger", 1);
        KafkaProducer<String, String> slow = producer(script, "id", "transaction.timeout.ms", "1000");
        slow.initTransactions();
        slow.beginTransaction();
        slow.send(new ProducerRecord<>(topic, "k", "too slow")).get();
        KafkaConsumer<String, String> committed = reader(script, topic, 1, "read_committed");
        script.await("the broker to abort it", () -> committed.endOffsets(committed.assignment()).values().iterator()
                .next() == 2);
        script.say("committing too late: %s", script.failure(() -> {
            slow.commitTransaction();
            return null;
        }));
        script.check(committed.poll(Duration.ofMillis(300)).isEmpty(), "an aborted record was read");
    }

    private static void offsets(Script script) throws Exception {
        String source = script.topic("source", 1);
        String target = script.topic("target", 1);
        String group = script.name("group");
        script.fill(source, 1, 4, System.currentTimeMillis());
        TopicPartition partition = new TopicPartition(source, 0);
        KafkaConsumer<String, String> consumer =
                script.consumer("group.id", group, "isolation.level", "read_committed");
        consumer.subscribe(List.of(source));
        OffsetCases.read(script, consumer, 4);
        KafkaProducer<String, String> producer = producer(script, "id");
        producer.initTransactions();
        for (boolean commits : List.of(false, true)) {
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(target, "k", "result"));
            long offset = commits ? 4 : 2;
            producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(offset, "from inside")),
                    consumer.groupMetadata());
            // An offset that is not decided yet is no offset: a consumer that asks has to wait.
            KafkaConsumer<String, String> asking = script.consumer("group.id", group, "default.api.timeout.ms", "700");
            script.say("while it is open: %s", script.failure(() -> asking.committed(Set.of(partition))));
            if (commits) {
                producer.commitTransaction();
            } else {
                producer.abortTransaction();
            }
            script.say("after the %s: %s", commits ? "commit" : "abort", consumer.committed(Set.of(partition)));
        }
        script.same(4L, consumer.committed(Set.of(partition)).get(partition).offset(), "the committed offset");
        script.same(List.of("result"), OffsetCases.read(script, reader(script, target, 1, "read_committed"), 1), "results");
    }

    private static void zombieOffsets(Script script) throws Exception {
        String source = script.topic("source", 1);
        TopicPartition partition = new TopicPartition(source, 0);
        KafkaProducer<String, String> producer = producer(script, "id");
        producer.initTransactions();
        KafkaConsumer<String, String> consumer = script.consumer("group.id", script.name("group"));
        consumer.subscribe(List.of(source));
        script.await("the partition", () -> {
            consumer.poll(Duration.ofMillis(100));
            return !consumer.assignment().isEmpty();
        });
        ConsumerGroupMetadata member = consumer.groupMetadata();
        consumer.close();
        producer.beginTransaction();
        script.say("of a member that has left: %s", script.failure(() -> {
            producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(1)), member);
            producer.commitTransaction();
            return null;
        }));
        producer.abortTransaction();
        producer.beginTransaction();
        producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(1)),
                script.consumer("group.id", script.name("simple")).groupMetadata());
        producer.commitTransaction();
        script.same(1L, ClassicMemberCases.committed(script, script.name("simple")), "the offset of a group without members");
    }

    private static void many(Script script) throws Exception {
        String topic = script.topic("ledger", 3);
        KafkaProducer<String, String> producer = producer(script, "id");
        producer.initTransactions();
        for (int at = 0; at < 40; at++) {
            producer.beginTransaction();
            for (int partition = 0; partition < 3; partition++) {
                producer.send(new ProducerRecord<>(topic, partition, "k", at + "/" + partition));
            }
            if (at % 4 == 3) {
                producer.abortTransaction();
            } else {
                producer.commitTransaction();
            }
        }
        List<String> read = OffsetCases.read(script, reader(script, topic, 3, "read_committed"), 90);
        script.same(90, read.size(), "committed records");
        script.same(90, Set.copyOf(read).size(), "different committed records");
        script.check(read.stream().noneMatch(value -> Integer.parseInt(value.split("/")[0]) % 4 == 3), "an aborted one");
        script.say("%d records", read.size());
    }

    private static void compressed(Script script) throws Exception {
        String topic = script.topic("ledger", 1);
        KafkaProducer<String, String> producer =
                producer(script, "id", "compression.type", "zstd", "linger.ms", "50");
        producer.initTransactions();
        for (int at = 0; at < 6; at++) {
            producer.beginTransaction();
            for (int record = 0; record < 20; record++) {
                producer.send(new ProducerRecord<>(topic, "k", at + "/" + record));
            }
            producer.flush();
            if (at % 2 == 0) {
                producer.abortTransaction();
            } else {
                producer.commitTransaction();
            }
        }
        List<String> read = OffsetCases.read(script, reader(script, topic, 1, "read_committed"), 60);
        script.say("%s", read);
        script.same("1/0", read.get(0), "the first committed record");
    }

    private static void tool(Script script) throws Exception {
        String topic = script.topic("ledger", 1);
        String id = script.name("id");
        KafkaProducer<String, String> producer = producer(script, "id");
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(topic, "k", "v")).get();
        // Other cases have transactions too; the tool's own filter needs `ListTransactions` 2.
        String others = "(?m)^(?!TransactionalId |" + id + " ).*\\n?";
        script.tool(Tool.TRANSACTIONS, "list").mask(others, "").mask("(?m)^(\\S+) \\d+ \\d+ ", "$1 <node> <pid> ")
                .shows(id + " <node> <pid> Ongoing");
        script.tool(Tool.TRANSACTIONS, "describe", "--transactional-id", id)
                .mask("(?m)^\\d+ (\\S+) \\d+ (\\d+) ", "<node> $1 <pid> $2 ").mask("<now> \\d+ ", "<now> <ms> ")
                .shows(id, "Ongoing", topic + "-0");
        script.tool(Tool.TRANSACTIONS, "describe-producers", "--topic", topic, "--partition", "0")
                .mask("(?m)^\\d+ (\\d+) ", "<pid> $1 ").shows("ProducerId ProducerEpoch");
        script.tool(Tool.TRANSACTIONS, "find-hanging", "--broker-id", "1", "--topic", topic)
                .shows("Topic Partition ProducerId");
        producer.commitTransaction();
        script.await("the commit", () -> describe(script, id).state().toString().equals("CompleteCommit"));
        script.tool(Tool.TRANSACTIONS, "list").mask(others, "").mask("(?m)^(\\S+) \\d+ \\d+ ", "$1 <node> <pid> ")
                .shows("CompleteCommit");
        script.tool(Tool.TRANSACTIONS, "describe", "--transactional-id", script.name("none")).ends(1)
                .shows("the ID could not be found");
        ProducerState state = script.admin().describeProducers(List.of(new TopicPartition(topic, 0))).all().get()
                .get(new TopicPartition(topic, 0)).activeProducers().get(0);
        script.say("last sequence %d, open from %s", state.lastSequence(), state.currentTransactionStartOffset());
    }

    private static TransactionDescription describe(Script script, String id) throws Exception {
        return script.admin().describeTransactions(List.of(id)).all().get().get(id);
    }

    private static void forcedAbort(Script script) throws Exception {
        String topic = script.topic("ledger", 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        KafkaProducer<String, String> producer = producer(script, "id");
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(topic, "k", "hangs")).get();
        ProducerState state =
                script.admin().describeProducers(List.of(partition)).all().get().get(partition).activeProducers().get(0);
        script.say("open from %s", state.currentTransactionStartOffset());
        script.admin().abortTransaction(new AbortTransactionSpec(partition, state.producerId(),
                (short) state.producerEpoch(), state.coordinatorEpoch().orElse(0))).all().get();
        KafkaConsumer<String, String> committed = reader(script, topic, 1, "read_committed");
        script.await("the end to be stable", () -> committed.endOffsets(List.of(partition)).get(partition) == 2);
        script.check(committed.poll(Duration.ofMillis(300)).isEmpty(), "an aborted record was read");
        script.say("aborted: %d", committed.endOffsets(List.of(partition)).get(partition));
    }

    private static void adminFence(Script script) throws Exception {
        String topic = script.topic("ledger", 1);
        KafkaProducer<String, String> producer = producer(script, "id");
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(topic, "k", "v")).get();
        script.admin().fenceProducers(List.of(script.name("id"))).all().get();
        script.say("committing: %s", script.failure(() -> {
            producer.commitTransaction();
            return null;
        }));
    }

    private static void tooLong(Script script) {
        script.say("16 minutes: %s", assertThrown(script, producer(script, "id", "transaction.timeout.ms", "960000")));
    }

    private static String assertThrown(Script script, KafkaProducer<String, String> producer) {
        try {
            producer.initTransactions();
            return "none";
        } catch (RuntimeException refused) {
            script.check(refused.getMessage() != null, "no message");
            return refused.getClass().getSimpleName();
        }
    }
}
