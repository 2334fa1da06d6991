package conformance;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** Groups of the new protocol (KIP-848), in which the broker assigns. */
final class ConsumerProtocolCases {
    private static final Map<String, Object> NEW = Map.of("group.protocol", "consumer");

    private ConsumerProtocolCases() {
    }

    static void addTo(List<Case> cases) {
        for (String assignor : List.of("uniform", "range")) {
            cases.add(protocol("three members come and go, " + assignor, script -> ClassicMemberCases
                    .comeAndGo(script, ClassicMemberCases.with(NEW, "group.remote.assignor", assignor), assignor)));
        }
        cases.add(protocol("static members keep their partitions over a restart",
                script -> ClassicMemberCases.staticMembers(script, NEW)));
        cases.add(protocol("a static member's double is refused",
                script -> ClassicMemberCases.fenced(script, NEW)));
        cases.add(protocol("an assignor that is unknown", ConsumerProtocolCases::unknownAssignor));
        cases.add(protocol("described by Kafka's tools", ConsumerProtocolCases::tools));
        cases.add(protocol("a subscription by pattern", ConsumerProtocolCases::pattern));
        cases.add(protocol("commits", ConsumerProtocolCases::commits));
        cases.add(protocol("from classic and back, in an empty group", ConsumerProtocolCases::upgrade));
        cases.add(protocol("a classic member joins a group of the new protocol",
                ConsumerProtocolCases::mixed));
        cases.add(protocol("members go over one by one, and one goes back", ConsumerProtocolCases::rolling));
    }

    /** A case in whose group the broker asks for heartbeats often, so that members soon hear of each other. */
    private static Case protocol(String name, Case.Body body) {
        return new Case("new protocol: " + name, script -> {
            ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, script.name("group"));
            AlterConfigOp often = new AlterConfigOp(
                    new ConfigEntry("consumer.heartbeat.interval.ms", "300"), AlterConfigOp.OpType.SET);
            script.admin().incrementalAlterConfigs(Map.of(group, List.of(often))).all().get();
            body.run(script);
        });
    }

    private static Map<String, Object> group(Script script) {
        return ClassicMemberCases.with(NEW, "group.id", script.name("group"));
    }

    private static void unknownAssignor(Script script) throws Exception {
        String topic = script.topic("shared", 6);
        Member member = Member.join(script, topic, "a",
                ClassicMemberCases.with(group(script), "group.remote.assignor", "none-such"));
        script.await("the member to be refused", () -> member.failure() != null);
        script.say("%s", member.failure().getClass().getSimpleName());
    }

    private static void tools(Script script) throws Exception {
        String topic = script.topic("shared", 6);
        String name = script.name("group");
        Member a = Member.join(script, topic, "a", group(script));
        Member b = Member.join(script, topic, "b", group(script));
        ClassicMemberCases.stage(script, topic, "both", List.of(a, b));
        script.await("a stable group", () -> describe(script).groupState().toString().equals("Stable"));
        script.await("the commits", () -> ClassicMemberCases.committed(script, name) == 12);
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", name).sorted()
                .mask("(?m) [0-2] 2 2 0 \\S{22} /127.0.0.1 [ab]$", " <low> 2 2 0 <member>")
                .mask("(?m) [3-5] 2 2 0 \\S{22} /127.0.0.1 [ab]$", " <high> 2 2 0 <member>").shows("<high> 2 2 0", "LAG");
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", name, "--state").shows("uniform Stable 2");
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", name, "--members").mask("\\S{22} /", "<id> /").sorted()
                .shows("<id> /127.0.0.1 a 3", "<id> /127.0.0.1 b 3");
        script.tool(Tool.CONSUMER_GROUPS, "--list", "--type", "consumer").sorted().silent().shows(name);
        ConsumerGroupDescription found = describe(script);
        script.say("%s, %s, %s, simple %s", found.type(), found.groupState(), found.partitionAssignor(),
                found.isSimpleConsumerGroup());
        TreeMap<String, MemberDescription> members = new TreeMap<>();
        found.members().forEach(member -> members.put(member.clientId(), member));
        for (MemberDescription member : members.values()) {
            script.say("%s: %d partitions, target %s, upgraded %s", member.clientId(),
                    member.assignment().topicPartitions().size(),
                    member.targetAssignment().map(target -> target.topicPartitions().size()), member.upgraded());
        }
        script.same("a", members.firstKey(), "the first client");
    }

    private static ConsumerGroupDescription describe(Script script) throws Exception {
        String name = script.name("group");
        return script.admin().describeConsumerGroups(List.of(name)).all().get().get(name);
    }

    private static void pattern(Script script) throws Exception {
        String east = script.topic("area-east", 1);
        script.fill(east, 1, 2, System.currentTimeMillis());
        var consumer = script.consumer("group.protocol", "consumer", "group.id", script.name("group"),
                "metadata.max.age.ms", "500");
        consumer.subscribe(new SubscriptionPattern(script.name("area-.*")));
        script.say("%s", OffsetCases.read(script, consumer, 2));
        String west = script.topic("area-west", 1);
        script.fill(west, 1, 2, System.currentTimeMillis());
        script.say("%s", OffsetCases.read(script, consumer, 2));
        script.same(2, consumer.assignment().size(), "assigned partitions");
        consumer.unsubscribe();
        consumer.subscribe(new SubscriptionPattern("(unclosed"));
        script.say("a broken pattern: %s", script.failure(() -> {
            OffsetCases.read(script, consumer, 1);
            return null;
        }));
    }

    private static void commits(Script script) throws Exception {
        String topic = script.topic("shared", 1);
        script.fill(topic, 1, 5, System.currentTimeMillis());
        TopicPartition partition = new TopicPartition(topic, 0);
        var consumer = script.consumer("group.protocol", "consumer", "group.id", script.name("group"));
        consumer.subscribe(List.of(topic));
        OffsetCases.read(script, consumer, 5);
        consumer.commitSync(Map.of(partition, new OffsetAndMetadata(3, "in the middle")));
        script.say("%s", consumer.committed(java.util.Set.of(partition)));
        consumer.close();
        var second = script.consumer("group.protocol", "consumer", "group.id", script.name("group"));
        second.subscribe(List.of(topic));
        script.same(List.of("v3", "v4"), OffsetCases.read(script, second, 2), "the records after the commit");
        script.say("the tool, at a group in use: %s", script.failure(() -> script.admin()
                .alterConsumerGroupOffsets(script.name("group"), Map.of(partition, new OffsetAndMetadata(0))).all().get()));
        script.say("deleting a group in use: %s", script.failure(() -> script.admin()
                .deleteConsumerGroups(List.of(script.name("group"))).all().get()));
    }

    private static void upgrade(Script script) throws Exception {
        String topic = script.topic("shared", 6);
        Map<String, Object> classic = Map.of("group.id", script.name("group"));
        for (Map<String, Object> settings : List.of(classic, group(script), classic)) {
            Member member = Member.join(script, topic, "a", settings);
            ClassicMemberCases.stage(script, topic, "in turn", List.of(member));
            script.await("a stable group", () -> describe(script).groupState().toString().equals("Stable"));
            script.say("%s", describe(script).type());
            member.close();
        }
        script.await("the commits", () -> ClassicMemberCases.committed(script, script.name("group")) == 36);
    }

    private static void mixed(Script script) throws Exception {
        String topic = script.topic("shared", 6);
        Member a = Member.join(script, topic, "a", group(script));
        ClassicMemberCases.stage(script, topic, "a alone", List.of(a));
        Member b = Member.join(script, topic, "b", Map.of("group.id", script.name("group")));
        ClassicMemberCases.stage(script, topic, "b, classic", List.of(a, b));
        script.await("a stable group", () -> describe(script).groupState().toString().equals("Stable"));
        script.say("%s with %d members", describe(script).type(), describe(script).members().size());
        a.close();
        ClassicMemberCases.stage(script, topic, "b alone", List.of(b));
    }

    /** A rolling upgrade of a service with two instances, of which one is rolled back. */
    private static void rolling(Script script) throws Exception {
        String topic = script.topic("shared", 6);
        Map<String, Object> classic = Map.of("group.id", script.name("group"));
        Member a = Member.join(script, topic, "a", classic);
        Member b = Member.join(script, topic, "b", classic);
        ClassicMemberCases.stage(script, topic, "both classic", List.of(a, b));
        a.close();
        ClassicMemberCases.stage(script, topic, "b alone, classic", List.of(b));
        a = Member.join(script, topic, "a", group(script));
        ClassicMemberCases.stage(script, topic, "a is new", List.of(a, b));
        b.close();
        ClassicMemberCases.stage(script, topic, "a alone, new", List.of(a));
        b = Member.join(script, topic, "b", group(script));
        ClassicMemberCases.stage(script, topic, "both new", List.of(a, b));
        a.close();
        ClassicMemberCases.stage(script, topic, "b alone, new", List.of(b));
        a = Member.join(script, topic, "a", classic);
        ClassicMemberCases.stage(script, topic, "a is classic again", List.of(a, b));
        b.close();
        ClassicMemberCases.stage(script, topic, "a alone", List.of(a));
        script.await("the commits", () -> ClassicMemberCases.committed(script, script.name("group")) > 0);
        script.tool(Tool.CONSUMER_GROUPS, "--list", "--type", "classic").sorted().silent().shows(script.name("group"));
        a.close();
    }
}
