package conformance;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** {@code kafka-consumer-groups} except for its resets, {@code kafka-groups}, and the admin client's requests about groups. */
final class GroupToolCases {
    private GroupToolCases() {
    }

    static void addTo(List<Case> cases) {
        cases.add(new Case("consumer-groups: list and describe, with members", GroupToolCases::inUse));
        cases.add(new Case("consumer-groups: list and describe, without members", GroupToolCases::empty));
        cases.add(new Case("consumer-groups: delete offsets", GroupToolCases::deleteOffsets));
        cases.add(new Case("consumer-groups: delete groups", GroupToolCases::deleteGroups));
        cases.add(new Case("consumer-groups: a group that is not there", GroupToolCases::unknown));
        cases.add(new Case("groups: list by kind", GroupToolCases::groups));
        cases.add(new Case("java: members are removed by the admin client", GroupToolCases::removeMembers));
        cases.add(new Case("java: a deleted topic takes its offsets along", GroupToolCases::deletedTopic));
    }

    /** Commits `offset` for `partitions` partitions of a topic, which makes a group without members. */
    static String committed(Script script, String group, String topic, int partitions, long offset) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (int partition = 0; partition < partitions; partition++) {
            offsets.put(new TopicPartition(topic, partition), new OffsetAndMetadata(offset));
        }
        String name = script.name(group);
        script.admin().alterConsumerGroupOffsets(name, offsets).all().get();
        return name;
    }

    private static void inUse(Script script) throws Exception {
        String topic = script.topic("shared", 6);
        String group = script.name("group");
        Map<String, Object> config = Map.of("group.id", group,
                "partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor");
        Member a = Member.join(script, topic, "a", config);
        ClassicMemberCases.stage(script, topic, "a alone", List.of(a));
        Member b = Member.join(script, topic, "b", ClassicMemberCases.with(config, "group.instance.id", "named"));
        ClassicMemberCases.stage(script, topic, "both", List.of(a, b));
        script.await("the commits", () -> ClassicMemberCases.committed(script, group) == 24);
        script.tool(Tool.CONSUMER_GROUPS, "--list", "--state", "stable").silent().sorted().shows(group + " Stable");
        script.tool(Tool.CONSUMER_GROUPS, "--list", "--type", "classic").silent().sorted().shows(group + " Classic");
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", group).sorted()
                .shows(group + " " + topic + " 0 4 4 0 ", "/127.0.0.1 a");
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", group, "--members", "--verbose").sorted()
                .shows("/127.0.0.1 a 3", "named");
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", group, "--state").shows("range Stable 2");
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", group, "--offsets", "--verbose").sorted().shows("LEADER-EPOCH", " 5 0 4 4 0 ");
        script.tool(Tool.CONSUMER_GROUPS, "--delete", "--group", group).shows("GroupNotEmptyException");
        script.tool(Tool.CONSUMER_GROUPS, "--delete-offsets", "--group", group, "--topic", topic)
                .shows("GroupSubscribedToTopicException");
    }

    private static void empty(Script script) throws Exception {
        String topic = script.topic("old", 2);
        script.fill(topic, 2, 10, System.currentTimeMillis());
        String group = committed(script, "group", topic, 2, 3);
        script.tool(Tool.CONSUMER_GROUPS, "--list", "--state", "empty").silent().sorted().shows(group + " Empty");
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", group).sorted()
                .shows("has no active members", group + " " + topic + " 1 3 5 2 - - -");
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", group, "--members").shows("has no active members");
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", group, "--state").shows("Empty");
    }

    private static void deleteOffsets(Script script) throws Exception {
        String topic = script.topic("old", 3);
        script.fill(topic, 3, 9, System.currentTimeMillis());
        String group = committed(script, "group", topic, 3, 2);
        script.tool(Tool.CONSUMER_GROUPS, "--delete-offsets", "--group", group, "--topic", topic + ":0,1").sorted()
                .shows("Successful");
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", group).sorted()
                .shows(group + " " + topic + " 2 2 3 1");
        script.tool(Tool.CONSUMER_GROUPS, "--delete-offsets", "--group", group, "--topic", topic).sorted().shows();
        script.tool(Tool.CONSUMER_GROUPS, "--delete-offsets", "--group", group, "--topic", script.name("none")).sorted()
                .mask("(?s)Error: .*", "Error").shows();
        script.say("offsets left: %s", script.failure(() ->
                script.admin().listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()));
    }

    private static void deleteGroups(Script script) throws Exception {
        String topic = script.topic("old", 1);
        script.fill(topic, 1, 3, System.currentTimeMillis());
        String first = committed(script, "first", topic, 1, 1);
        String second = committed(script, "second", topic, 1, 2);
        script.tool(Tool.CONSUMER_GROUPS, "--delete", "--group", first, "--group", second)
                .mask(first + "', '" + second, "<both>").mask(second + "', '" + first, "<both>")
                .shows("was successful");
        String left = script.tool(Tool.CONSUMER_GROUPS, "--list").silent().shows();
        script.check(!left.contains(script.name("")), "a deleted group is listed:\n%s", left);
        script.tool(Tool.CONSUMER_GROUPS, "--delete", "--group", first).shows("GroupIdNotFoundException");
    }

    private static void unknown(Script script) throws Exception {
        String group = script.name("nobody");
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", group).shows("GroupIdNotFoundException");
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", group, "--state")
                .shows("GroupIdNotFoundException");
        script.tool(Tool.CONSUMER_GROUPS, "--describe", "--group", group, "--members")
                .shows("GroupIdNotFoundException");
        script.say("offsets: %s", script.failure(() ->
                script.admin().listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()));
        script.say("described: %s", script.failure(() ->
                script.admin().describeConsumerGroups(List.of(group)).all().get()));
        script.say("as a classic group: %s", script.failure(() ->
                script.admin().describeClassicGroups(List.of(group)).all().get()));
    }

    private static void groups(Script script) throws Exception {
        String topic = script.topic("shared", 6);
        String group = script.name("group");
        Member a = Member.join(script, topic, "a", Map.of("group.id", group));
        ClassicMemberCases.stage(script, topic, "a alone", List.of(a));
        String simple = committed(script, "simple", topic, 1, 1);
        script.tool(Tool.GROUPS, "--list").silent().shows(group + " Classic consumer", simple + " Classic");
        script.tool(Tool.GROUPS, "--list", "--consumer").silent().shows(group, simple);
        script.tool(Tool.GROUPS, "--list", "--group-type", "classic", "--protocol", "consumer").silent().shows(group);
        String others = script.tool(Tool.GROUPS, "--list", "--group-type", "share").silent().shows();
        script.check(!others.contains(group), "a classic group is listed as a share group:\n%s", others);
    }

    private static void removeMembers(Script script) throws Exception {
        String topic = script.topic("shared", 6);
        String group = script.name("group");
        Map<String, Object> config = Map.of("group.id", group, "group.instance.id", "named");
        Member a = Member.join(script, topic, "a", config);
        ClassicMemberCases.stage(script, topic, "a alone", List.of(a));
        a.leave(org.apache.kafka.clients.consumer.CloseOptions.GroupMembershipOperation.REMAIN_IN_GROUP);
        int members = script.admin().describeConsumerGroups(List.of(group)).all().get().get(group).members().size();
        script.same(1, members, "members after a static one has closed");
        script.say("one that is not there: %s", script.failure(() -> script.admin().removeMembersFromConsumerGroup(group,
                new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("nobody")))).all().get()));
        script.admin().removeMembersFromConsumerGroup(group,
                new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("named")))).all().get();
        var left = script.admin().describeConsumerGroups(List.of(group)).all().get().get(group);
        script.say("%d members, %s", left.members().size(), left.groupState());
        script.same(0, left.members().size(), "members left");
    }

    private static void deletedTopic(Script script) throws Exception {
        String topic = script.topic("goes", 2);
        String stays = script.topic("stays", 1);
        committed(script, "group", topic, 2, 0);
        String group = committed(script, "group", stays, 1, 0);
        script.admin().deleteTopics(List.of(topic)).all().get();
        script.await("the offsets to go", () ->
                script.admin().listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().size() == 1);
        script.say("%s", script.admin().listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get());
    }
}
