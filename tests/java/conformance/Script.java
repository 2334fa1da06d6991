package conformance;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** What a case works with: a broker, names of its own, and the transcript that is compared between brokers. */
final class Script implements AutoCloseable {
    /** Generous: it is spent only when something is wrong. */
    static final Duration PATIENCE = Duration.ofSeconds(40);

    final String bootstrap;
    private final String prefix;
    private final StringBuilder transcript = new StringBuilder();
    private final List<AutoCloseable> open = new ArrayList<>();
    private Admin admin;

    Script(String bootstrap, String name) {
        this.bootstrap = bootstrap;
        this.prefix = "cf-" + name.toLowerCase().replaceAll("[^a-z0-9]+", "-") + "-";
    }

    /** What must hold does not. */
    static final class Expectation extends RuntimeException {
        private static final long serialVersionUID = 1;

        Expectation(String message) {
            super(message);
        }
    }

    /** The name of a topic, group or transactional id that no other case uses. */
    String name(String suffix) {
        return prefix + suffix;
    }

    // The transcript.

    /** Adds a line that has to be the same on every broker. */
    synchronized void say(String format, Object... values) {
        String line = values.length == 0 ? format : String.format(format, values);
        transcript.append(Normal.of(line, bootstrap)).append('\n');
    }

    synchronized String transcript() {
        return transcript.toString();
    }

    /** Fails the case, whatever the other broker does, unless this holds. */
    void check(boolean holds, String format, Object... values) {
        if (!holds) {
            throw new Expectation(values.length == 0 ? format : String.format(format, values));
        }
    }

    void same(Object expected, Object found, String what) {
        check(expected.equals(found), "%s: expected %s, found %s", what, expected, found);
    }

    // Tools.

    /** How a tool is run, and how its output is looked at. */
    final class Run {
        private final Tool tool;
        private final List<String> args = new ArrayList<>();
        private final Map<String, String> masks = new LinkedHashMap<>();
        private String input = "";
        private boolean sorted;
        private boolean silent;
        private int code;

        private Run(Tool tool, String... args) {
            this.tool = tool;
            Collections.addAll(this.args, args);
        }

        Run input(String text) {
            input = text;
            return this;
        }

        /** The tool gives its lines no order. */
        Run sorted() {
            sorted = true;
            return this;
        }

        /** What this expression finds differs from run to run. */
        Run mask(String expression, String replacement) {
            masks.put(expression, replacement);
            return this;
        }

        /** The reason for a refusal is in the broker's own words; the cases of the admin client compare its kind. */
        Run wordedByBroker() {
            return mask("(?m)^(Error while executing topic command) : .*", "$1 : <reason>");
        }

        /** The output is for the checks of the case alone. */
        Run silent() {
            silent = true;
            return this;
        }

        /** How the tool is expected to end. */
        Run ends(int expected) {
            code = expected;
            return this;
        }

        /** Runs the tool; its normalised output must hold each of these texts. */
        String shows(String... expected) throws Exception {
            String output = run();
            for (String each : expected) {
                check(output.contains(each), "%s does not show `%s`:\n%s", command(), each, output);
            }
            return output;
        }

        private String run() throws Exception {
            List<String> all = new ArrayList<>(args);
            if (tool != Tool.FEATURES && tool != Tool.TRANSACTIONS) {
                all.addAll(List.of("--bootstrap-server", bootstrap));
            } else {
                all.addAll(0, List.of("--bootstrap-server", bootstrap));
            }
            Streams.Ending ending;
            try {
                ending = Streams.run(input, () -> tool.main(all.toArray(String[]::new)));
            } catch (Exception | Error failed) {
                throw failed;
            } catch (Throwable other) {
                throw new IllegalStateException(other);
            }
            String output = masked(Normal.of(ending.text(), bootstrap));
            output = sorted ? Normal.sorted(output) : output;
            if (!silent) {
                say("$ " + masked(command()));
                say(output);
                say("exit: " + ending.code());
            }
            check(ending.code() == code, "%s ended with %d:\n%s", command(), ending.code(), output);
            return output;
        }

        private String masked(String text) {
            for (Map.Entry<String, String> mask : masks.entrySet()) {
                text = text.replaceAll(mask.getKey(), mask.getValue());
            }
            return text;
        }

        private String command() {
            return tool.script() + " " + String.join(" ", args);
        }
    }

    Run tool(Tool tool, String... args) {
        return new Run(tool, args);
    }

    // Clients.

    synchronized Admin admin() {
        if (admin == null) {
            admin = keep(Admin.create(Map.of("bootstrap.servers", bootstrap)));
        }
        return admin;
    }

    /** Creates a topic and waits until it can be used. */
    String topic(String suffix, int partitions, String... settings) throws Exception {
        Map<String, String> configs = new HashMap<>();
        for (int at = 0; at < settings.length; at += 2) {
            configs.put(settings[at], settings[at + 1]);
        }
        String name = name(suffix);
        NewTopic topic = new NewTopic(name, Optional.of(partitions), Optional.empty()).configs(configs);
        admin().createTopics(List.of(topic)).all().get();
        await("topic " + name + " to have leaders", () -> {
            TopicDescription found = admin().describeTopics(List.of(name)).allTopicNames().get().get(name);
            return found.partitions().size() == partitions
                    && found.partitions().stream().allMatch(each -> each.leader() != null);
        });
        // Who is told to lead takes office a moment later, and a tool that does not try again would be refused.
        Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
        for (int index = 0; index < partitions; index++) {
            ends.put(new TopicPartition(name, index), OffsetSpec.latest());
        }
        admin().listOffsets(ends).all().get();
        return name;
    }

    KafkaProducer<String, String> producer(String... settings) {
        Map<String, Object> config = config(settings);
        config.putIfAbsent("linger.ms", "0");
        return keep(new KafkaProducer<>(config, new StringSerializer(), new StringSerializer()));
    }

    KafkaConsumer<String, String> consumer(String... settings) {
        Map<String, Object> config = config(settings);
        config.putIfAbsent("auto.offset.reset", "earliest");
        config.putIfAbsent("enable.auto.commit", "false");
        return keep(new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer()));
    }

    /** Writes `count` records, `k<n>` = `v<n>`, in turn to each partition, with timestamps a second apart. */
    void fill(String topic, int partitions, int count, long firstTimestamp) throws Exception {
        KafkaProducer<String, String> producer = producer();
        for (int at = 0; at < count; at++) {
            long timestamp = firstTimestamp + 1000L * at;
            producer.send(new ProducerRecord<>(topic, at % partitions, timestamp, "k" + at, "v" + at));
        }
        producer.flush();
    }

    <T extends AutoCloseable> T keep(T client) {
        synchronized (open) {
            open.add(client);
        }
        return client;
    }

    private Map<String, Object> config(String... settings) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", bootstrap);
        for (int at = 0; at < settings.length; at += 2) {
            config.put(settings[at], settings[at + 1]);
        }
        return config;
    }

    // Waiting and failing.

    void await(String what, Callable<Boolean> condition) throws Exception {
        long until = System.nanoTime() + PATIENCE.toNanos();
        Throwable last = null;
        while (System.nanoTime() < until) {
            try {
                if (condition.call()) {
                    return;
                }
                last = null;
            } catch (ExecutionException notYet) {
                last = notYet.getCause();
            }
            Thread.sleep(20);
        }
        throw new Expectation("waited " + PATIENCE.toSeconds() + " s for " + what + (last == null ? "" : ": " + last));
    }

    /** The class of the exception that this throws. */
    String failure(Callable<?> action) throws Exception {
        try {
            action.call();
            return "none";
        } catch (ExecutionException failed) {
            return failed.getCause().getClass().getSimpleName();
        } catch (Exception failed) {
            return failed.getClass().getSimpleName();
        }
    }

    /** Closes what was opened, the last first. */
    @Override
    public void close() {
        List<AutoCloseable> all;
        synchronized (open) {
            all = new ArrayList<>(open);
            open.clear();
        }
        Collections.reverse(all);
        for (AutoCloseable client : all) {
            try {
                if (client instanceof KafkaProducer<?, ?> producer) {
                    producer.close(Duration.ZERO);
                } else {
                    client.close();
                }
            } catch (Exception ignored) {
                // The case has its verdict, and the process ends soon.
            }
        }
    }

    /** The case has run out of time; its clients end with the process. */
    void giveUp() {
        synchronized (open) {
            open.clear();
        }
    }
}
