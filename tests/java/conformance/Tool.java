package conformance;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import net.sourceforge.argparse4j.inf.ArgumentParser;
import org.apache.kafka.server.util.ThroughputThrottler;
import org.apache.kafka.tools.VerifiableProducer;

/** The programs that come with Kafka, by the names of their scripts. */
enum Tool {
    TOPICS("org.apache.kafka.tools.TopicCommand"),
    CONFIGS("kafka.admin.ConfigCommand"),
    CONSOLE_PRODUCER("org.apache.kafka.tools.ConsoleProducer"),
    CONSOLE_CONSUMER("org.apache.kafka.tools.consumer.ConsoleConsumer"),
    CONSUMER_GROUPS("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
    GROUPS("org.apache.kafka.tools.GroupsCommand"),
    GET_OFFSETS("org.apache.kafka.tools.GetOffsetShell"),
    DELETE_RECORDS("org.apache.kafka.tools.DeleteRecordsCommand"),
    LOG_DIRS("org.apache.kafka.tools.LogDirsCommand"),
    TRANSACTIONS("org.apache.kafka.tools.TransactionsCommand"),
    CLUSTER("org.apache.kafka.tools.ClusterTool"),
    FEATURES("org.apache.kafka.tools.FeatureCommand"),
    LEADER_ELECTION("org.apache.kafka.tools.LeaderElectionCommand"),
    BROKER_API_VERSIONS("org.apache.kafka.tools.BrokerApiVersionsCommand"),
    PRODUCER_PERF_TEST("org.apache.kafka.tools.ProducerPerformance"),
    CONSUMER_PERF_TEST("org.apache.kafka.tools.ConsumerPerformance"),
    E2E_LATENCY("org.apache.kafka.tools.EndToEndLatency"),
    VERIFIABLE_PRODUCER("org.apache.kafka.tools.VerifiableProducer"),
    VERIFIABLE_CONSUMER("org.apache.kafka.tools.VerifiableConsumer");

    private final String mainClass;

    Tool(String mainClass) {
        this.mainClass = mainClass;
    }

    String script() {
        return "kafka-" + name().toLowerCase().replace('_', '-');
    }

    void main(String... args) throws Throwable {
        try {
            if (this == VERIFIABLE_PRODUCER) {
                produceVerifiably(args);
                return;
            }
            Method main = fresh().getMethod("main", String[].class);
            main.invoke(null, (Object) args);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }

    /** Its main method leaves its end, and what it says then, to a hook that only the end of the process calls. */
    private static void produceVerifiably(String... args) throws Exception {
        Method parser = VerifiableProducer.class.getDeclaredMethod("argParser");
        parser.setAccessible(true);
        VerifiableProducer producer = VerifiableProducer.createFromArgs((ArgumentParser) parser.invoke(null), args);
        producer.run(new ThroughputThrottler(-1, System.currentTimeMillis()));
        producer.close();
    }

    /** The console consumer counts its records in a static field, so each run of it is of a class of its own. */
    private Class<?> fresh() throws ClassNotFoundException {
        Class<?> shared = Class.forName(mainClass);
        if (this != CONSOLE_CONSUMER) {
            return shared;
        }
        URL jar = shared.getProtectionDomain().getCodeSource().getLocation();
        return new OwnTools(jar).loadClass(mainClass);
    }

    /** Loads Kafka's tools anew, and leaves everything else to the loader of the program. */
    private static final class OwnTools extends URLClassLoader {
        OwnTools(URL jar) {
            super(new URL[] {jar}, Tool.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.startsWith("org.apache.kafka.tools.")) {
                return super.loadClass(name, resolve);
            }
            synchronized (getClassLoadingLock(name)) {
                Class<?> loaded = findLoadedClass(name);
                return loaded == null ? findClass(name) : loaded;
            }
        }
    }
}
