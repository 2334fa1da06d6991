package interop;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.beans.factory.SmartInitializingSingleton;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Primary;
import org.springframework.context.support.PropertySourcesPlaceholderConfigurer;
import org.springframework.kafka.annotation.BackOff;
import org.springframework.kafka.annotation.DltHandler;
import org.springframework.kafka.annotation.EnableKafka;
import org.springframework.kafka.annotation.EnableKafkaRetryTopic;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.annotation.RetryableTopic;
import org.springframework.kafka.config.ConcurrentKafkaListenerContainerFactory;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.KafkaAdmin;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.listener.DeadLetterPublishingRecoverer;
import org.springframework.kafka.listener.DefaultErrorHandler;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.kafka.retrytopic.RetryTopicHeaders;
import org.springframework.kafka.support.KafkaHeaders;
import org.springframework.messaging.handler.annotation.Header;
import org.springframework.messaging.handler.annotation.SendTo;
import org.springframework.scheduling.TaskScheduler;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.util.backoff.FixedBackOff;

/**
 * A Spring Kafka application with the framework's own error handling. The first argument names the part to play, the
 * others are the brokers, the topic and the group. Each delivery is a line of output, as Spring gives it to its listener.
 */
public final class Main {
    private Main() {
    }

    public static void main(String[] arguments) throws InterruptedException {
        System.setProperty("interop.servers", arguments[1]);
        System.setProperty("interop.topic", arguments[2]);
        System.setProperty("interop.group", arguments[3]);
        Class<?> part = switch (arguments[0]) {
            case "dead-letters" -> DeadLetters.class;
            case "reader" -> Reader.class;
            case "retry-topics" -> RetryTopics.class;
            case "answers" -> Answers.class;
            case "asks" -> Asks.class;
            default -> throw new IllegalArgumentException("no part is called " + arguments[0]);
        };
        try (var context = new AnnotationConfigApplicationContext(part)) {
            say("started");
            new CountDownLatch(1).await();
        }
    }

    /** One line, written at once. */
    static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    /** What a listener fails with. */
    public static final class Poisoned extends RuntimeException {
        private static final long serialVersionUID = 1;

        Poisoned(String message) {
            super(message);
        }
    }

    static void judge(String value) {
        if (value.startsWith("bad")) {
            throw new Poisoned("cannot bear " + value);
        }
    }

    /** What all parts have. */
    static class Common {
        @Value("${interop.servers}")
        String servers;

        @Bean
        static PropertySourcesPlaceholderConfigurer placeholders() {
            return new PropertySourcesPlaceholderConfigurer();
        }

        @Bean
        KafkaAdmin admin() {
            return new KafkaAdmin(Map.of("bootstrap.servers", servers));
        }

        @Bean
        @Primary
        KafkaTemplate<String, String> kafkaTemplate() {
            return new KafkaTemplate<>(new DefaultKafkaProducerFactory<>(Map.of(
                "bootstrap.servers", servers,
                "key.serializer", StringSerializer.class,
                "value.serializer", StringSerializer.class)));
        }

        @Bean
        ConcurrentKafkaListenerContainerFactory<String, String> kafkaListenerContainerFactory(
                KafkaTemplate<String, String> template) {
            var factory = new ConcurrentKafkaListenerContainerFactory<String, String>();
            factory.setConsumerFactory(new DefaultKafkaConsumerFactory<>(Map.of(
                "bootstrap.servers", servers,
                "auto.offset.reset", "earliest",
                "key.deserializer", StringDeserializer.class,
                "value.deserializer", StringDeserializer.class)));
            var errors = errorHandler(template);
            if (errors != null) {
                factory.setCommonErrorHandler(errors);
            }
            return factory;
        }

        DefaultErrorHandler errorHandler(KafkaTemplate<String, String> template) {
            return null;
        }
    }

    /** Two attempts, then the dead-letter topic of the recoverer's own choice. */
    @Configuration
    @EnableKafka
    static class DeadLetters extends Common {
        @Override
        DefaultErrorHandler errorHandler(KafkaTemplate<String, String> template) {
            return new DefaultErrorHandler(new DeadLetterPublishingRecoverer(template), new FixedBackOff(0, 1));
        }

        @KafkaListener(topics = "${interop.topic}", groupId = "${interop.group}")
        void listen(String value) {
            say("handled " + value);
            judge(value);
        }
    }

    /** Reads dead letters, with the arguments that Spring's own documentation shows. */
    @Configuration
    @EnableKafka
    static class Reader extends Common {
        @KafkaListener(topics = "${interop.topic}", groupId = "${interop.group}")
        void listen(
                String value,
                @Header(KafkaHeaders.DLT_ORIGINAL_TOPIC) String topic,
                @Header(KafkaHeaders.DLT_ORIGINAL_PARTITION) int partition,
                @Header(KafkaHeaders.DLT_ORIGINAL_OFFSET) long offset,
                @Header(KafkaHeaders.DLT_ORIGINAL_TIMESTAMP) long timestamp,
                @Header(KafkaHeaders.DLT_ORIGINAL_TIMESTAMP_TYPE) String timestampType,
                @Header(KafkaHeaders.DLT_ORIGINAL_CONSUMER_GROUP) String group,
                @Header(KafkaHeaders.DLT_EXCEPTION_FQCN) String type,
                @Header(KafkaHeaders.DLT_EXCEPTION_CAUSE_FQCN) String cause,
                @Header(KafkaHeaders.DLT_EXCEPTION_MESSAGE) String message,
                @Header(KafkaHeaders.DLT_EXCEPTION_STACKTRACE) String trace) {
            say(String.join("|", List.of("letter", value, topic, "" + partition, "" + offset, "" + timestamp,
                timestampType, group, type, cause, message, trace.replace("\n", "\\n"))));
        }
    }

    /** Answers requests, where each one asks for it. */
    @Configuration
    @EnableKafka
    static class Answers extends Common {
        @Override
        ConcurrentKafkaListenerContainerFactory<String, String> kafkaListenerContainerFactory(
                KafkaTemplate<String, String> template) {
            var factory = super.kafkaListenerContainerFactory(template);
            factory.setReplyTemplate(template);
            return factory;
        }

        @KafkaListener(topics = "${interop.topic}", groupId = "${interop.group}")
        @SendTo
        String listen(String value) {
            say("asked " + value);
            return "spring says " + value;
        }
    }

    /** Asks once, and says what the reply was. Its topic for replies is named as its group. */
    @Configuration
    @EnableKafka
    static class Asks extends Common {
        @Value("${interop.topic}")
        String topic;

        @Value("${interop.group}")
        String replies;

        @Bean
        ReplyingKafkaTemplate<String, String, String> replying(
                ConcurrentKafkaListenerContainerFactory<String, String> factory) {
            var container = factory.createContainer(replies);
            container.getContainerProperties().setGroupId(replies);
            return new ReplyingKafkaTemplate<>(new DefaultKafkaProducerFactory<>(Map.of(
                "bootstrap.servers", servers,
                "key.serializer", StringSerializer.class,
                "value.serializer", StringSerializer.class)), container);
        }

        @Bean
        SmartInitializingSingleton ask(ReplyingKafkaTemplate<String, String, String> template) {
            return () -> new Thread(() -> {
                try {
                    template.waitForAssignment(Duration.ofSeconds(5));
                    var request = new ProducerRecord<>(topic, "k", "umbrella");
                    var reply = template.sendAndReceive(request, Duration.ofSeconds(60)).get();
                    say(String.join("|", List.of("reply", reply.key(), reply.value(), reply.topic())));
                } catch (Exception failure) {
                    say("no reply: " + failure);
                }
            }).start();
        }
    }

    /** Deliveries by way of retry topics. */
    @Configuration
    @EnableKafka
    @EnableKafkaRetryTopic
    static class RetryTopics extends Common {
        @Bean
        TaskScheduler scheduler() {
            return new ThreadPoolTaskScheduler();
        }

        @RetryableTopic(
            attempts = "4",
            backOff = @BackOff(delay = 100, multiplier = 2, maxDelay = 1000),
            numPartitions = "2",
            replicationFactor = "1")
        @KafkaListener(id = "spring", idIsGroup = false, topics = "${interop.topic}", groupId = "${interop.group}")
        void listen(
                ConsumerRecord<String, String> record,
                @Header(name = RetryTopicHeaders.DEFAULT_HEADER_ATTEMPTS, required = false) Integer attempts) {
            say(String.join("|", List.of("delivery", record.value(), record.topic(), "" + attempts)));
            judge(record.value());
        }

        @DltHandler
        void dead(ConsumerRecord<String, String> record) {
            say(String.join("|", List.of("dead", record.value(), record.topic())));
        }
    }
}
