package conformance;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.common.config.ConfigResource;

/** {@code kafka-configs}, and the admin client's requests about settings. */
final class ConfigCases {
    private ConfigCases() {
    }

    static void addTo(List<Case> cases) {
        cases.add(new Case("configs: of a topic", ConfigCases::topic));
        cases.add(new Case("configs: what is refused", ConfigCases::refused));
        cases.add(new Case("configs: every setting of a topic, its default and kind", ConfigCases::all));
        cases.add(new Case("configs: lists are appended to and subtracted from", ConfigCases::lists));
        cases.add(new Case("configs: of the broker", ConfigCases::broker));
    }

    private static void topic(Script script) throws Exception {
        String topic = script.topic("set", 1);
        String[] entity = {"--entity-type", "topics", "--entity-name", topic};
        script.tool(Tool.CONFIGS, with(entity, "--describe")).shows("Dynamic configs for topic " + topic + " are:");
        script.tool(Tool.CONFIGS, with(entity, "--alter", "--add-config", "retention.ms=60000,cleanup.policy=[compact,delete]"))
                .shows("Completed updating config for topic " + topic + ".");
        awaitSetting(script, topic, "retention.ms", "60000");
        script.tool(Tool.CONFIGS, with(entity, "--describe"))
                .sorted().shows("retention.ms=60000", "cleanup.policy=compact,delete");
        script.tool(Tool.CONFIGS, with(entity, "--alter", "--delete-config", "retention.ms"))
                .shows("Completed updating config for topic " + topic + ".");
        awaitSetting(script, topic, "retention.ms", "604800000");
        String left = script.tool(Tool.CONFIGS, with(entity, "--describe")).shows("cleanup.policy=compact,delete");
        script.check(!left.contains("retention.ms"), "the deleted setting is still there:\n%s", left);
    }

    private static void refused(Script script) throws Exception {
        String topic = script.topic("set", 1);
        String[] entity = {"--entity-type", "topics", "--entity-name", topic};
        script.tool(Tool.CONFIGS, with(entity, "--alter", "--add-config", "no.such=1")).ends(1)
                .shows("InvalidConfigurationException");
        script.tool(Tool.CONFIGS, with(entity, "--alter", "--add-config", "retention.ms=abc")).ends(1)
                .shows("InvalidConfigurationException");
        script.tool(Tool.CONFIGS, with(entity, "--alter", "--delete-config", "retention.ms")).shows("Completed");
        script.tool(Tool.CONFIGS, "--entity-type", "topics", "--entity-name", script.name("none"), "--describe")
                .shows();
        script.say("setting of no topic: %s", script.failure(() -> alter(script, script.name("none"), "retention.ms",
                "1", AlterConfigOp.OpType.SET)));
        script.say("unknown setting: %s", script.failure(() -> alter(script, topic, "no.such", "1",
                AlterConfigOp.OpType.SET)));
        script.say("value below its least: %s", script.failure(() -> alter(script, topic, "retention.ms", "-2",
                AlterConfigOp.OpType.SET)));
        script.say("appending to a number: %s", script.failure(() -> alter(script, topic, "retention.ms", "3",
                AlterConfigOp.OpType.APPEND)));
    }

    private static void all(Script script) throws Exception {
        String topic = script.topic("set", 1, "retention.ms", "1234567");
        Map<String, ConfigEntry> found = new TreeMap<>();
        for (ConfigEntry entry : describe(script, topic).entries()) {
            found.put(entry.name(), entry);
        }
        for (ConfigEntry entry : found.values()) {
            script.say("%s = %s (%s, %s%s%s) %s", entry.name(), entry.value(), entry.source(), entry.type(),
                    entry.isReadOnly() ? ", read-only" : "", entry.isSensitive() ? ", sensitive" : "",
                    entry.synonyms().stream().map(each -> each.name() + "=" + each.value()).toList());
        }
        script.same("1234567", found.get("retention.ms").value(), "retention.ms");
        script.check(found.size() > 25, "only %d settings", found.size());
    }

    private static void lists(Script script) throws Exception {
        String topic = script.topic("set", 1, "cleanup.policy", "delete");
        alter(script, topic, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
        awaitSetting(script, topic, "cleanup.policy", "delete,compact");
        script.say("appended: %s", value(script, topic, "cleanup.policy"));
        alter(script, topic, "cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT);
        awaitSetting(script, topic, "cleanup.policy", "compact");
        script.say("subtracted: %s", value(script, topic, "cleanup.policy"));
        alter(script, topic, "cleanup.policy", "", AlterConfigOp.OpType.DELETE);
        awaitSetting(script, topic, "cleanup.policy", "delete");
        script.say("deleted: %s", value(script, topic, "cleanup.policy"));
    }

    private static void broker(Script script) throws Exception {
        script.tool(Tool.CONFIGS, "--entity-type", "brokers", "--entity-name", "1", "--describe")
                .shows("Dynamic configs for broker 1 are:");
        script.tool(Tool.CONFIGS, "--entity-type", "brokers", "--entity-default", "--describe")
                .shows("Default configs for brokers in the cluster are:");
        Collection<ConfigEntry> entries = script.admin()
                .describeConfigs(List.of(new ConfigResource(ConfigResource.Type.BROKER, "1"))).all().get()
                .values().iterator().next().entries();
        Map<String, String> values = new TreeMap<>();
        entries.forEach(entry -> values.put(entry.name(), entry.value()));
        for (String name : List.of("auto.create.topics.enable", "num.partitions", "default.replication.factor",
                "message.max.bytes", "node.id", "offset.metadata.max.bytes", "group.initial.rebalance.delay.ms")) {
            script.say("%s = %s", name, values.get(name));
            script.check(values.containsKey(name), "the broker does not tell its `%s`", name);
        }
    }

    private static Config describe(Script script, String topic) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        return script.admin().describeConfigs(List.of(resource), new DescribeConfigsOptions().includeSynonyms(true))
                .all().get().get(resource);
    }

    static String value(Script script, String topic, String name) throws Exception {
        return describe(script, topic).get(name).value();
    }

    static void awaitSetting(Script script, String topic, String name, String value) throws Exception {
        script.await(name + " to be " + value, () -> value.equals(value(script, topic, name)));
    }

    static Void alter(Script script, String topic, String name, String value, AlterConfigOp.OpType how)
            throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        AlterConfigOp change = new AlterConfigOp(new ConfigEntry(name, value), how);
        return script.admin().incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
    }

    private static String[] with(String[] entity, String... args) {
        return Stream.of(args, entity).flatMap(Stream::of).toArray(String[]::new);
    }
}
