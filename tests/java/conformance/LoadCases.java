package conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The tools that measure and verify: their figures differ from run to run, what they count must not. */
final class LoadCases {
    private static final String NUMBERS = "\\d+([.,]\\d+)?(?=[ ,%)]|$)";

    private LoadCases() {
    }

    static void addTo(List<Case> cases) {
        cases.add(new Case("producer-perf-test: 5000 records", LoadCases::producer));
        cases.add(new Case("producer-perf-test: in transactions", LoadCases::transactions));
        cases.add(new Case("consumer-perf-test: 5000 records", LoadCases::consumer));
        cases.add(new Case("e2e-latency: 20 records", LoadCases::latency));
        cases.add(new Case("verifiable-producer: 200 records", LoadCases::verifiableProducer));
        cases.add(new Case("verifiable-producer: without acknowledgement", LoadCases::unacknowledged));
        for (String protocol : List.of("classic", "consumer")) {
            cases.add(new Case("verifiable-consumer: 200 records, " + protocol + " protocol",
                    script -> verifiableConsumer(script, protocol)));
        }
    }

    private static void producer(Script script) throws Exception {
        String topic = script.topic("load", 3);
        String text = script.tool(Tool.PRODUCER_PERF_TEST, "--topic", topic, "--num-records", "5000", "--record-size", "100",
                "--throughput", "-1").silent().shows("5000 records sent");
        script.say("records sent: %s", text.contains("5000 records sent"));
        script.same(5000L, end(script, topic, 3), "records in the topic");
    }

    private static void transactions(Script script) throws Exception {
        String topic = script.topic("load", 3);
        script.tool(Tool.PRODUCER_PERF_TEST, "--topic", topic, "--num-records", "2000", "--record-size", "100",
                "--throughput", "-1", "--transactional-id", script.name("id"), "--transaction-duration-ms", "50")
                .silent().shows("2000 records sent");
        var consumer = script.consumer("isolation.level", "read_committed");
        consumer.assign(consumer.partitionsFor(topic).stream()
                .map(each -> new org.apache.kafka.common.TopicPartition(topic, each.partition())).toList());
        consumer.seekToBeginning(consumer.assignment());
        int read = OffsetCases.read(script, consumer, 2000).size();
        script.say("committed records: %d", read);
    }

    private static void consumer(Script script) throws Exception {
        String topic = script.topic("load", 3);
        script.tool(Tool.PRODUCER_PERF_TEST, "--topic", topic, "--num-records", "5000", "--record-size", "100",
                "--throughput", "-1").silent().shows();
        String text = script.tool(Tool.CONSUMER_PERF_TEST, "--topic", topic, "--num-records", "5000", "--group",
                script.name("group"), "--timeout", "20000").silent().shows("start.time, end.time");
        String[] cells = text.lines().filter(line -> line.startsWith("20")).findFirst().orElse("").split(", ");
        script.check(cells.length > 4, "no figures in:\n%s", text);
        script.say("MB read %s, records read %s", cells[2], cells[4]);
        script.same("5000", cells[4], "records read");
    }

    private static void latency(Script script) throws Exception {
        String topic = script.topic("echo", 1);
        script.tool(Tool.E2E_LATENCY, "--topic", topic, "--num-records", "20", "--producer-acks", "all",
                "--record-size", "50").mask(NUMBERS, "<n>").mask("\\d+\\.\\d+", "<n>").shows("Avg latency:", "Percentiles:");
        script.same(20L, end(script, topic, 1), "records in the topic");
    }

    private static void verifiableProducer(Script script) throws Exception {
        String topic = script.topic("numbers", 2);
        String text = script.tool(Tool.VERIFIABLE_PRODUCER, "--topic", topic, "--max-messages", "200", "--acks", "-1",
                "--repeating-keys", "5").silent().shows("\"name\":\"shutdown_complete\"");
        tally(script, text, "200", "producer_send_success");
        script.same(200L, end(script, topic, 2), "records in the topic");
    }

    private static void unacknowledged(Script script) throws Exception {
        String topic = script.topic("numbers", 1);
        String text = script.tool(Tool.VERIFIABLE_PRODUCER, "--topic", topic, "--max-messages", "50", "--acks", "0",
                "--value-prefix", "7").silent().shows();
        tally(script, text, "50", "producer_send_success");
        script.await("50 records", () -> end(script, topic, 1) == 50);
    }

    private static void verifiableConsumer(Script script, String protocol) throws Exception {
        String topic = script.topic("numbers", 2);
        script.tool(Tool.VERIFIABLE_PRODUCER, "--topic", topic, "--max-messages", "200").silent().shows();
        String text = script.tool(Tool.VERIFIABLE_CONSUMER, "--topic", topic, "--group-id", script.name("group"),
                "--group-protocol", protocol, "--max-messages", "200", "--reset-policy", "earliest").silent()
                .shows("\"name\":\"startup_complete\"", "\"name\":\"partitions_assigned\"", "\"name\":\"shutdown_complete\"");
        int consumed = 0;
        List<String> failures = new ArrayList<>();
        for (JsonNode event : events(text)) {
            if (event.path("name").asText().equals("records_consumed")) {
                consumed += event.path("count").asInt();
            }
            if (event.path("name").asText().equals("offsets_committed") && !event.path("success").asBoolean()) {
                failures.add(event.toString());
            }
        }
        script.say("consumed %d, failed commits %s", consumed, failures);
        script.same(200, consumed, "records consumed");
        script.same(200L, ClassicMemberCases.committed(script, script.name("group")), "records committed");
    }

    /** Counts the events of each kind; of one kind there must be this many. */
    private static void tally(Script script, String text, String expected, String kind) throws Exception {
        Map<String, Integer> counts = new TreeMap<>();
        for (JsonNode event : events(text)) {
            counts.merge(event.path("name").asText(), 1, Integer::sum);
        }
        script.say("%s", counts);
        script.same(expected, String.valueOf(counts.get(kind)), kind);
    }

    private static List<JsonNode> events(String text) throws Exception {
        List<JsonNode> events = new ArrayList<>();
        ObjectMapper json = new ObjectMapper();
        for (String line : text.lines().filter(each -> each.startsWith("{")).toList()) {
            events.add(json.readTree(line.replace("<now>", "0")));
        }
        return events;
    }

    private static long end(Script script, String topic, int partitions) throws Exception {
        long sum = 0;
        for (int partition = 0; partition < partitions; partition++) {
            sum += OffsetCases.end(script, topic, partition);
        }
        return sum;
    }
}
