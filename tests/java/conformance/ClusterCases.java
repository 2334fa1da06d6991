package conformance;

import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.ReplicaInfo;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;

/** {@code kafka-cluster}, {@code kafka-features}, {@code kafka-log-dirs}, {@code kafka-leader-election}, and their requests. */
final class ClusterCases {
    private ClusterCases() {
    }

    static void addTo(List<Case> cases) {
        cases.add(new Case("cluster: its id and its nodes", ClusterCases::cluster));
        cases.add(new Case("broker-api-versions: the tool understands the answer", ClusterCases::versions));
        cases.add(new Case("features: described", ClusterCases::features));
        cases.add(new Case("log-dirs: sizes of partitions", ClusterCases::logDirs));
        cases.add(new Case("leader-election: preferred, when the leader is the preferred one", ClusterCases::election));
        cases.add(new Case("leader-election: unclean, when there is a leader", ClusterCases::uncleanElection));
    }

    private static void cluster(Script script) throws Exception {
        String id = script.tool(Tool.CLUSTER, "cluster-id").mask("Cluster ID: [A-Za-z0-9_-]{22}$", "Cluster ID: <id>")
                .shows("Cluster ID: <id>");
        script.check(id.startsWith("Cluster ID"), "%s", id);
        script.tool(Tool.CLUSTER, "list-endpoints").shows("127.0.0.1 <port>");
        var cluster = script.admin().describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
        Node node = cluster.nodes().get().iterator().next();
        script.say("%d nodes, one %s, rack %s, fenced %s, controller %s", cluster.nodes().get().size(), node.idString(),
                node.rack(), node.isFenced(), cluster.controller().get().idString());
        script.same(1, cluster.nodes().get().size(), "nodes");
    }

    private static void versions(Script script) throws Exception {
        String text = script.tool(Tool.BROKER_API_VERSIONS).silent().shows("(id: 1 rack: null isFenced: false)", "Produce(0)");
        script.check(!text.contains("ERROR"), "%s", text);
        for (String api : List.of("Produce(0)", "Fetch(1)", "ListOffsets(2)", "Metadata(3)", "JoinGroup(11)",
                "InitProducerId(22)", "ConsumerGroupHeartbeat(68)", "DescribeTopicPartitions(75)", "DescribeLogDirs(35)",
                "DescribeTransactions(65)", "ListTransactions(66)", "DescribeProducers(61)", "ElectLeaders(43)")) {
            script.say("%s is usable: %s", api, text.lines().anyMatch(line -> line.contains(api) && line.contains("usable")));
        }
    }

    private static void features(Script script) throws Exception {
        script.tool(Tool.FEATURES, "describe").sorted().mask("Epoch: \\d+", "Epoch: <n>")
                .mask("(?m)^(Feature: (?!transaction.version|group.version).*)\\n?", "")
                .shows("Feature: group.version", "Feature: transaction.version");
    }

    private static void logDirs(Script script) throws Exception {
        String topic = script.topic("sized", 2);
        script.fill(topic, 2, 20, System.currentTimeMillis());
        script.tool(Tool.LOG_DIRS, "--describe", "--topic-list", topic)
                .mask("\"logDir\":\"[^\"]*\"", "\"logDir\":\"<dir>\"").mask("\"size\":[1-9]\\d*", "\"size\":<bytes>")
                .mask("(\"partition\":\"[^\"]*-)[01](\")", "$1<n>$2")
                .shows("\"broker\":1", "\"size\":<bytes>", "\"isFuture\":false", "\"error\":null");
        Map<String, LogDirDescription> dirs = script.admin().describeLogDirs(List.of(1)).allDescriptions().get().get(1);
        script.same(1, dirs.size(), "log directories");
        LogDirDescription dir = dirs.values().iterator().next();
        ReplicaInfo replica = dir.replicaInfos().get(new TopicPartition(topic, 0));
        script.check(replica != null && replica.size() > 100, "the size of a partition is %s", replica);
        script.say("lag %d, future %s, error %s", replica.offsetLag(), replica.isFuture(), dir.error());
        script.say("total bytes told: %s, usable bytes told: %s", dir.totalBytes().isPresent(), dir.usableBytes().isPresent());
    }

    private static void election(Script script) throws Exception {
        String topic = script.topic("led", 2);
        script.tool(Tool.LEADER_ELECTION, "--election-type", "preferred", "--topic", topic, "--partition", "0")
                .shows("Valid replica already elected for partitions");
        script.say("not needed: %s", script.failure(() -> script.admin()
                .electLeaders(ElectionType.PREFERRED, java.util.Set.of(new TopicPartition(topic, 0))).all().get()));
        script.say("no such partition: %s", script.failure(() -> script.admin()
                .electLeaders(ElectionType.PREFERRED, java.util.Set.of(new TopicPartition(topic, 5))).all().get()));
    }

    private static void uncleanElection(Script script) throws Exception {
        String topic = script.topic("led", 1);
        script.tool(Tool.LEADER_ELECTION, "--election-type", "unclean", "--topic", topic, "--partition", "0")
                .shows("Valid replica already elected for partitions");
    }
}
