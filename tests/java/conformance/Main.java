package conformance;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Runs every case against one broker, in one virtual machine, and prints one line of JSON a case as it ends:
 * {@code {"case": …, "output": …, "failure": … or null, "millis": …}}.
 *
 * <p>Arguments: the bootstrap servers, and optionally a part of the names of the cases to run.
 */
public final class Main {
    /** Cases mostly wait for brokers, so some may run side by side; each has its topics and groups to itself. */
    private static final int AT_ONCE = 6;

    private Main() {
    }

    static List<Case> cases() {
        List<Case> cases = new ArrayList<>();
        // Those that wait longest come first.
        ConsumerProtocolCases.addTo(cases);
        ClassicMemberCases.addTo(cases);
        TopicCases.addTo(cases);
        ConfigCases.addTo(cases);
        ConsoleCases.addTo(cases);
        OffsetCases.addTo(cases);
        GroupToolCases.addTo(cases);
        ResetCases.addTo(cases);
        ClusterCases.addTo(cases);
        LoadCases.addTo(cases);
        ProducerCases.addTo(cases);
        TransactionCases.addTo(cases);
        return cases;
    }

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0];
        String filter = args.length > 1 ? args[1] : "";
        PrintStream answers = System.out;
        Streams.install();
        ObjectMapper json = new ObjectMapper();

        ExecutorService workers = Executors.newFixedThreadPool(AT_ONCE);
        List<Future<?>> running = new ArrayList<>();
        for (Case each : cases()) {
            if (!each.name().contains(filter)) {
                continue;
            }
            running.add(workers.submit(() -> {
                long started = System.nanoTime();
                Script script = new Script(bootstrap, each.name());
                String failure = each.run(script);
                ObjectNode line = json.createObjectNode();
                line.put("case", each.name());
                line.put("output", script.transcript());
                line.put("failure", failure);
                line.put("millis", (System.nanoTime() - started) / 1_000_000);
                String text = line.toString();
                synchronized (answers) {
                    answers.println(text);
                    answers.flush();
                }
                return null;
            }));
        }
        for (Future<?> each : running) {
            each.get();
        }
        // What a case that ran out of time has left running ends here.
        Runtime.getRuntime().halt(0);
    }
}
