package conformance;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.Uuid;

/** {@code kafka-topics}, and the admin client's requests about topics. */
final class TopicCases {
    private TopicCases() {
    }

    static void addTo(List<Case> cases) {
        cases.add(new Case("topics: create, list, describe, delete", TopicCases::life));
        cases.add(new Case("topics: settings at creation", TopicCases::settings));
        cases.add(new Case("topics: more partitions", TopicCases::morePartitions));
        cases.add(new Case("topics: what is refused", TopicCases::refused));
        cases.add(new Case("topics: filters of describe", TopicCases::filters));
        cases.add(new Case("topics: what the admin client is told", TopicCases::adminClient));
        cases.add(new Case("topics: what the admin client is refused", TopicCases::adminErrors));
    }

    private static void life(Script script) throws Exception {
        String topic = script.name("orders");
        script.tool(Tool.TOPICS, "--create", "--topic", topic, "--partitions", "3", "--replication-factor", "1")
                .shows("Created topic " + topic + ".");
        script.await("the topic", () -> script.admin().listTopics().names().get().contains(topic));
        script.tool(Tool.TOPICS, "--list", "--topic", script.name(".*")).shows(topic);
        script.tool(Tool.TOPICS, "--describe", "--topic", topic)
                .shows("PartitionCount: 3", "ReplicationFactor: 1", "Partition: 2 Leader: 1 Replicas: 1 Isr: 1");
        script.tool(Tool.TOPICS, "--create", "--topic", topic).wordedByBroker().ends(1).shows("<reason>");
        script.tool(Tool.TOPICS, "--create", "--topic", topic, "--if-not-exists").shows();
        script.tool(Tool.TOPICS, "--delete", "--topic", topic).shows();
        script.await("the topic to go", () -> !script.admin().listTopics().names().get().contains(topic));
        script.tool(Tool.TOPICS, "--describe", "--topic", topic).ends(1).shows("does not exist as expected");
        script.tool(Tool.TOPICS, "--delete", "--topic", topic, "--if-exists").shows();
        script.tool(Tool.TOPICS, "--create", "--topic", topic).shows("Created topic");
        script.await("the topic", () -> script.admin().listTopics().names().get().contains(topic));
        script.tool(Tool.TOPICS, "--describe", "--topic", topic).shows("PartitionCount: 1");
    }

    private static void settings(Script script) throws Exception {
        String topic = script.name("compact");
        script.tool(Tool.TOPICS, "--create", "--topic", topic, "--partitions", "2",
                "--config", "cleanup.policy=compact", "--config", "retention.ms=1000",
                "--config", "min.insync.replicas=1").shows("Created topic");
        script.await("the topic", () -> script.admin().listTopics().names().get().contains(topic));
        script.tool(Tool.TOPICS, "--describe", "--topic", topic)
                .shows("cleanup.policy=compact", "retention.ms=1000", "min.insync.replicas=1");
    }

    private static void morePartitions(Script script) throws Exception {
        String topic = script.topic("grows", 2);
        script.tool(Tool.TOPICS, "--alter", "--topic", topic, "--partitions", "5").shows();
        script.await("five partitions", () -> script.admin().describeTopics(List.of(topic)).allTopicNames().get()
                .get(topic).partitions().size() == 5);
        script.tool(Tool.TOPICS, "--describe", "--topic", topic).shows("PartitionCount: 5", "Partition: 4 Leader: 1");
        script.tool(Tool.TOPICS, "--alter", "--topic", topic, "--partitions", "5").wordedByBroker().ends(1).shows("<reason>");
        script.tool(Tool.TOPICS, "--alter", "--topic", topic, "--partitions", "3").wordedByBroker().ends(1).shows("<reason>");
        script.tool(Tool.TOPICS, "--alter", "--topic", script.name("none"), "--partitions", "3").ends(1)
                .shows("does not exist as expected");
    }

    private static void refused(Script script) throws Exception {
        String[][] wrong = {
            {"no/slash"},
            {script.name("zero"), "--partitions", "0"},
            {script.name("three"), "--replication-factor", "3"},
            {script.name("unknown"), "--config", "retention.ms=long"},
            {script.name("enum"), "--config", "cleanup.policy=never"},
            {script.name("nobody"), "--replica-assignment", "7"},
        };
        for (String[] each : wrong) {
            String[] args = Stream.of(new String[] {"--create", "--topic"}, each).flatMap(Stream::of).toArray(String[]::new);
            script.tool(Tool.TOPICS, args).wordedByBroker().ends(1).shows("Error while executing topic command");
        }
        script.tool(Tool.TOPICS, "--create", "--topic", script.name("unknown"), "--config", "no.such.setting=1").ends(1)
                .shows("Unknown topic config name");
        script.tool(Tool.TOPICS, "--delete", "--topic", script.name("none")).ends(1).shows("does not exist as expected");
        script.check(script.admin().listTopics().names().get().stream().noneMatch(name -> name.startsWith(script.name(""))),
                "a refused topic was created");
    }

    private static void filters(Script script) throws Exception {
        String plain = script.topic("plain", 1);
        String set = script.topic("set", 1, "retention.ms", "5000");
        String pattern = script.name(".*");
        script.tool(Tool.TOPICS, "--describe", "--topic", pattern, "--topics-with-overrides").shows(set);
        script.tool(Tool.TOPICS, "--describe", "--topic", pattern, "--under-replicated-partitions").shows();
        script.tool(Tool.TOPICS, "--describe", "--topic", pattern, "--unavailable-partitions").shows();
        script.tool(Tool.TOPICS, "--describe", "--topic", pattern, "--at-min-isr-partitions").shows(plain, set);
        script.tool(Tool.TOPICS, "--describe", "--topic", pattern, "--under-min-isr-partitions").shows();
    }

    private static void adminClient(Script script) throws Exception {
        String name = script.name("made");
        NewTopic wanted = new NewTopic(name, 2, (short) -1).configs(Map.of("max.message.bytes", "2000"));
        CreateTopicsResult tried =
                script.admin().createTopics(List.of(wanted), new CreateTopicsOptions().validateOnly(true));
        script.say("validated: %d partitions, %d replicas", tried.numPartitions(name).get(),
                tried.replicationFactor(name).get());
        script.check(!script.admin().listTopics().names().get().contains(name), "validation created the topic");

        CreateTopicsResult made = script.admin().createTopics(List.of(wanted));
        made.all().get();
        script.say("created: %d partitions, %d replicas, %d settings, %s from %s", made.numPartitions(name).get(),
                made.replicationFactor(name).get(), made.config(name).get().entries().size(),
                made.config(name).get().get("max.message.bytes").value(),
                made.config(name).get().get("max.message.bytes").source());
        Uuid id = made.topicId(name).get();
        script.await("the topic", () -> script.admin().listTopics().names().get().contains(name));
        TopicDescription byId =
                script.admin().describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id);
        script.same(name, byId.name(), "the topic's name by its id");
        script.say("described: internal %s, operations %s", byId.isInternal(), byId.authorizedOperations());
        script.admin().deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
        script.await("the topic to go", () -> !script.admin().listTopics().names().get().contains(name));
        script.say("by the id of a deleted topic: %s", script.failure(() ->
                script.admin().describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get()));
        script.say("deleting it again: %s", script.failure(() ->
                script.admin().deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get()));
    }

    private static void adminErrors(Script script) throws Exception {
        String topic = script.topic("there", 1);
        script.say("create again: %s", script.failure(() -> script.admin()
                .createTopics(List.of(new NewTopic(topic, Optional.empty(), Optional.empty()))).all().get()));
        script.say("create `..`: %s", script.failure(() -> script.admin()
                .createTopics(List.of(new NewTopic("..", 1, (short) 1))).all().get()));
        script.say("create a long name: %s", script.failure(() -> script.admin()
                .createTopics(List.of(new NewTopic("x".repeat(250), 1, (short) 1))).all().get()));
        script.say("collide: %s", script.failure(() -> script.admin()
                .createTopics(List.of(new NewTopic(topic.replace('-', '.'), 1, (short) 1))).all().get()));
        script.say("three replicas: %s", script.failure(() -> script.admin()
                .createTopics(List.of(new NewTopic(script.name("three"), 1, (short) 3))).all().get()));
        script.say("no partition: %s", script.failure(() -> script.admin()
                .createTopics(List.of(new NewTopic(script.name("zero"), 0, (short) 1))).all().get()));
        script.say("unknown setting: %s", script.failure(() -> script.admin().createTopics(List.of(
                new NewTopic(script.name("set"), 1, (short) 1).configs(Map.of("no.such", "1")))).all().get()));
        script.say("fewer partitions: %s", script.failure(() -> script.admin().createPartitions(
                Map.of(topic, NewPartitions.increaseTo(1))).all().get()));
        script.say("gap in the assignment: %s", script.failure(() -> script.admin().createTopics(
                List.of(new NewTopic(script.name("gap"), Map.of(1, List.of(1))))).all().get()));
        script.say("partition to nobody: %s", script.failure(() -> script.admin().createPartitions(
                Map.of(topic, NewPartitions.increaseTo(2, List.of(List.of(9))))).all().get()));
        script.say("delete twice: %s", script.failure(() ->
                script.admin().deleteTopics(List.of(script.name("none"))).all().get()));
    }
}
