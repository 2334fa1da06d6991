package conformance;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.CloseOptions.GroupMembershipOperation;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;

/** Three members that come and go, with each assignor of the classic protocol, and static members. */
final class ClassicMemberCases {
    static final int PARTITIONS = 6;

    private ClassicMemberCases() {
    }

    static void addTo(List<Case> cases) {
        Map<String, String> assignors = Map.of("range", "RangeAssignor", "roundrobin", "RoundRobinAssignor",
                "sticky", "StickyAssignor", "cooperative-sticky", "CooperativeStickyAssignor");
        for (String name : List.of("range", "roundrobin", "sticky", "cooperative-sticky")) {
            Map<String, Object> settings = Map.of("partition.assignment.strategy",
                    "org.apache.kafka.clients.consumer." + assignors.get(name));
            cases.add(new Case("members: three come and go, " + name, script -> comeAndGo(script, settings, name)));
        }
        cases.add(new Case("members: static ones keep their partitions over a restart",
                script -> staticMembers(script, Map.of("session.timeout.ms", "30000"))));
        cases.add(new Case("members: a static one is fenced by its double",
                script -> fenced(script, Map.of())));
        cases.add(new Case("members: from eager to cooperative in a group without common assignor",
                ClassicMemberCases::inconsistent));
        cases.add(new Case("members: one that is silent is put out", ClassicMemberCases::silent));
    }

    /** Members a, b and c join one after another; then b leaves, and then a. Nothing is lost on the way. */
    static void comeAndGo(Script script, Map<String, Object> settings, String kind) throws Exception {
        String topic = script.topic("shared", PARTITIONS);
        Map<String, Object> config = with(settings, "group.id", script.name("group"));
        boolean keeps = kind.equals("cooperative-sticky") || kind.equals("uniform");

        Member a = Member.join(script, topic, "a", config);
        stage(script, topic, "a alone", List.of(a));
        a.takeRevoked();
        SortedSet<Integer> before = a.partitions();
        Member b = Member.join(script, topic, "b", config);
        stage(script, topic, "b joins", List.of(a, b));
        if (keeps) {
            SortedSet<Integer> lost = new TreeSet<>(before);
            lost.removeAll(a.partitions());
            script.same(lost, a.takeRevoked(), "what was revoked from a, which should be only what moved");
        }
        Member c = Member.join(script, topic, "c", config);
        stage(script, topic, "c joins", List.of(a, b, c));
        b.close();
        stage(script, topic, "b leaves", List.of(a, c));
        a.close();
        stage(script, topic, "a leaves", List.of(c));
        Set<String> read = new HashSet<>();
        List.of(a, b, c).forEach(member -> read.addAll(member.values()));
        script.same(5 * 12, read.size(), "different records read by all members together");
        c.close();
        for (Member member : List.of(a, b, c)) {
            script.check(member.failure() == null, "a member failed: %s", member.failure());
        }
        long committed = committed(script, script.name("group"));
        script.say("committed: %d of %d", committed, 5 * 12);
        script.same(60L, committed, "committed records");
    }

    /** Waits until the members share all partitions evenly, writes records, and waits until these are read and committed. */
    static void stage(Script script, String topic, String what, List<Member> members) throws Exception {
        script.await(what + ": all partitions to be shared", () -> {
            List<Integer> all = members.stream().flatMap(member -> member.partitions().stream()).sorted().toList();
            int share = PARTITIONS / members.size();
            return all.equals(List.of(0, 1, 2, 3, 4, 5))
                    && members.stream().allMatch(member -> member.partitions().size() == share);
        });
        List<String> expected = new ArrayList<>();
        var producer = script.producer();
        for (int at = 0; at < 12; at++) {
            String value = what + " " + at;
            expected.add(value);
            producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>(topic, at % PARTITIONS, "k", value));
        }
        producer.flush();
        Set<String> missing = new HashSet<>(expected);
        script.await(what + ": the records to be read", () -> {
            members.forEach(member -> missing.removeAll(member.values()));
            return missing.isEmpty();
        });
        // A member of the new protocol has a random id, and so a random place in the order of the members.
        script.say("%s: %s", what, members.stream().map(member -> member.isOrdered()
                ? member.partitions().toString() : member.partitions().size() + " partitions").collect(Collectors.joining(" ")));
    }

    static void staticMembers(Script script, Map<String, Object> settings) throws Exception {
        String topic = script.topic("shared", PARTITIONS);
        Map<String, Object> config = with(settings, "group.id", script.name("group"));
        Member a = Member.join(script, topic, "a", with(config, "group.instance.id", "one"));
        stage(script, topic, "a alone", List.of(a));
        Member b = Member.join(script, topic, "b", with(config, "group.instance.id", "two"));
        stage(script, topic, "b joins", List.of(a, b));
        SortedSet<Integer> owned = b.partitions();
        a.takeRevoked();

        b.leave(GroupMembershipOperation.REMAIN_IN_GROUP);
        Member again = Member.join(script, topic, "b", with(config, "group.instance.id", "two"));
        stage(script, topic, "b is back", List.of(a, again));
        script.same(owned, again.partitions(), "the partitions of a static member after its restart");
        script.same(Set.of(), a.takeRevoked(), "what the restart took from the other member");
        again.leave(GroupMembershipOperation.LEAVE_GROUP);
        stage(script, topic, "b leaves", List.of(a));
    }

    static void fenced(Script script, Map<String, Object> settings) throws Exception {
        String topic = script.topic("shared", PARTITIONS);
        Map<String, Object> config = with(with(settings, "group.id", script.name("group")), "group.instance.id", "one");
        Member a = Member.join(script, topic, "a", config);
        stage(script, topic, "a alone", List.of(a));
        Member b = Member.join(script, topic, "b", config);
        boolean newProtocol = "consumer".equals(settings.get("group.protocol"));
        Member loser = newProtocol ? b : a;
        Member winner = newProtocol ? a : b;
        script.await("one of the two to be told", () -> loser.failure() != null);
        script.say("the loser: %s", loser.failure().getClass().getSimpleName());
        stage(script, topic, "the winner", List.of(winner));
    }

    private static void inconsistent(Script script) throws Exception {
        String topic = script.topic("shared", PARTITIONS);
        Map<String, Object> config = Map.of("group.id", script.name("group"));
        String range = "org.apache.kafka.clients.consumer.RangeAssignor";
        String sticky = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
        Member a = Member.join(script, topic, "a", with(config, "partition.assignment.strategy", range));
        stage(script, topic, "a alone", List.of(a));
        Member b = Member.join(script, topic, "b", with(config, "partition.assignment.strategy", sticky));
        script.await("b to be refused", () -> b.failure() != null);
        script.say("b: %s", b.failure().getClass().getSimpleName());
        Member c = Member.join(script, topic, "c", with(config, "partition.assignment.strategy", List.of(sticky, range)));
        stage(script, topic, "c knows both", List.of(a, c));
    }

    /** A consumer that joins and then polls no more loses its partitions after `max.poll.interval.ms`. */
    private static void silent(Script script) throws Exception {
        String topic = script.topic("shared", PARTITIONS);
        Map<String, Object> config = Map.of("group.id", script.name("group"));
        var mute = script.consumer("group.id", script.name("group"), "max.poll.interval.ms", "1500",
                "client.id", "mute");
        mute.subscribe(List.of(topic));
        script.await("the first member's partitions", () -> {
            mute.poll(java.time.Duration.ofMillis(100));
            return mute.assignment().size() == PARTITIONS;
        });
        Member heir = Member.join(script, topic, "heir", config);
        stage(script, topic, "the heir has all", List.of(heir));
        script.say("the commit of the silent one: %s", script.failure(() -> {
            mute.commitSync(Map.of(new org.apache.kafka.common.TopicPartition(topic, 0), new OffsetAndMetadata(1)));
            return null;
        }));
    }

    static Map<String, Object> with(Map<String, Object> settings, String name, Object value) {
        Map<String, Object> all = new HashMap<>(settings);
        all.put(name, value);
        return all;
    }

    static long committed(Script script, String group) throws Exception {
        return script.admin().listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().values().stream()
                .mapToLong(OffsetAndMetadata::offset).sum();
    }
}
