package conformance;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** One thing that has to work in the same way on every broker. */
record Case(String name, Body body) {
    /** Generous: it is spent only when something is wrong. */
    private static final long DEADLINE_SECONDS = 100;

    /** The steps of a case. */
    @FunctionalInterface
    interface Body {
        void run(Script script) throws Exception;
    }

    /** Runs the steps in a group of threads of their own; returns what went wrong, or null. */
    String run(Script script) throws InterruptedException {
        AtomicReference<String> failure = new AtomicReference<>();
        Thread thread = new Thread(new ThreadGroup(name), () -> {
            try {
                body.run(script);
            } catch (Script.Expectation unmet) {
                failure.set(unmet.getMessage());
            } catch (Throwable other) {
                StringWriter trace = new StringWriter();
                other.printStackTrace(new PrintWriter(trace));
                failure.set(trace.toString());
            } finally {
                script.close();
            }
        }, name);
        thread.setDaemon(true);
        thread.start();
        thread.join(TimeUnit.SECONDS.toMillis(DEADLINE_SECONDS));
        if (!thread.isAlive()) {
            return failure.get();
        }
        StringBuilder where = new StringBuilder("not done after " + DEADLINE_SECONDS + " s, in:\n");
        for (StackTraceElement frame : thread.getStackTrace()) {
            where.append("  ").append(frame).append('\n');
        }
        script.giveUp();
        thread.interrupt();
        return where.toString();
    }
}
