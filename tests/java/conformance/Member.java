package conformance;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** A member of a group with a thread of its own, which polls, and commits what it has polled. */
final class Member implements AutoCloseable, ConsumerRebalanceListener {
    private final KafkaConsumer<String, String> consumer;
    private final Thread thread;
    private final SortedSet<Integer> assigned = new TreeSet<>();
    private final List<String> values = new ArrayList<>();
    private final SortedSet<Integer> revoked = new TreeSet<>();
    private final boolean ordered;
    private volatile boolean leaving;
    private volatile CloseOptions.GroupMembershipOperation farewell = CloseOptions.GroupMembershipOperation.DEFAULT;
    private volatile Throwable failure;

    private Member(Script script, String topic, String client, Map<String, Object> settings) {
        Map<String, Object> config = new HashMap<>(settings);
        config.put("bootstrap.servers", script.bootstrap);
        config.put("client.id", client);
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", "false");
        ordered = !"consumer".equals(settings.get("group.protocol"));
        if (ordered) {
            // So that a member soon hears of a rebalance; in the new protocol the broker says how often it is asked.
            config.putIfAbsent("heartbeat.interval.ms", "300");
        }
        consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
        thread = new Thread(() -> poll(topic), client);
        thread.setDaemon(true);
    }

    /** Starts a member. Its client id is where its member id begins, and so settles its place in the group's order. */
    static Member join(Script script, String topic, String client, Map<String, Object> settings) {
        Member member = script.keep(new Member(script, topic, client, settings));
        member.thread.start();
        return member;
    }

    private void poll(String topic) {
        try (consumer) {
            consumer.subscribe(List.of(topic), this);
            while (!leaving) {
                var records = consumer.poll(Duration.ofMillis(100));
                synchronized (this) {
                    records.forEach(record -> values.add(record.value()));
                }
                if (!records.isEmpty()) {
                    commit();
                }
            }
            consumer.close(CloseOptions.groupMembershipOperation(farewell));
        } catch (WakeupException woken) {
            // Asked to end without a word.
        } catch (Throwable failed) {
            failure = failed;
        }
    }

    private void commit() {
        try {
            consumer.commitSync();
        } catch (org.apache.kafka.clients.consumer.CommitFailedException
                | org.apache.kafka.common.errors.RebalanceInProgressException rebalance) {
            // The records come again, to this member or to another one.
        }
    }

    @Override
    public synchronized void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        partitions.forEach(partition -> assigned.add(partition.partition()));
    }

    @Override
    public synchronized void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        for (TopicPartition partition : partitions) {
            assigned.remove(partition.partition());
            revoked.add(partition.partition());
        }
    }

    /** What this member owns, as it has been told. */
    synchronized SortedSet<Integer> partitions() {
        return Collections.unmodifiableSortedSet(new TreeSet<>(assigned));
    }

    /** What was taken from this member since this was last asked. */
    synchronized SortedSet<Integer> takeRevoked() {
        SortedSet<Integer> taken = new TreeSet<>(revoked);
        revoked.clear();
        return taken;
    }

    synchronized List<String> values() {
        return new ArrayList<>(values);
    }

    /** Whether the place in the order of the members, and so the share of each assignor, is always the same. */
    boolean isOrdered() {
        return ordered;
    }

    Throwable failure() {
        return failure;
    }

    /** Ends the member, and tells the group what {@code operation} says. */
    void leave(CloseOptions.GroupMembershipOperation operation) throws InterruptedException {
        farewell = operation;
        close();
    }

    @Override
    public void close() throws InterruptedException {
        leaving = true;
        thread.join(30_000);
    }
}
