package conformance;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.kafka.common.utils.Exit;

/**
 * Gives each running tool its own standard streams and its own exit, though all of them share one virtual machine.
 *
 * <p>Who writes is told by the group of the writing thread, which the threads that a tool starts inherit.
 */
final class Streams {
    private static final Map<ThreadGroup, Streams> RUNNING = new ConcurrentHashMap<>();

    private final ByteArrayOutputStream written = new ByteArrayOutputStream();
    private final InputStream input;
    private final List<Runnable> hooks = new CopyOnWriteArrayList<>();
    private volatile boolean silenced;
    private volatile int code;

    private Streams(String input) {
        this.input = new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8));
    }

    /** Thrown where a tool would have ended its process. */
    private static final class Ended extends Error {
        private static final long serialVersionUID = 1;

        Ended() {
            super("the tool has ended", null, false, false);
        }
    }

    /** The part of a program that runs with streams of its own. */
    @FunctionalInterface
    interface Program {
        void main() throws Throwable;
    }

    /** What a program has written, and how it ended. */
    record Ending(int code, String text) {
    }

    /** Puts the dispatching streams in place of the process's own. */
    static void install() {
        PrintStream out = new PrintStream(new Dispatcher(), true, StandardCharsets.UTF_8);
        System.setOut(out);
        System.setErr(out);
        System.setIn(new InputStream() {
            @Override
            public int read() throws IOException {
                Streams own = own();
                return own == null ? -1 : own.input.read();
            }

            @Override
            public int read(byte[] bytes, int from, int length) throws IOException {
                Streams own = own();
                return own == null ? -1 : own.input.read(bytes, from, length);
            }
        });
        Exit.Procedure exit = (code, message) -> {
            Streams own = own();
            if (own != null) {
                own.ends(code);
            }
            throw new Ended();
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        Exit.setShutdownHookAdder((name, hook) -> {
            Streams own = own();
            if (own != null) {
                own.hooks.add(hook);
            }
        });
    }

    /** Runs a program to its end. What it writes on its two output streams comes in one text, in order. */
    static Ending run(String input, Program program) throws Throwable {
        ThreadGroup group = Thread.currentThread().getThreadGroup();
        Streams own = new Streams(input);
        RUNNING.put(group, own);
        try {
            try {
                program.main();
            } catch (Ended ended) {
                // Its code is noted.
            }
            own.silenced = false;
            for (Runnable hook : own.hooks) {
                hook.run();
            }
        } finally {
            RUNNING.remove(group);
        }
        return new Ending(own.code, own.text());
    }

    /** From here on a real process would be gone, but some tools catch what is thrown in its place, and report it. */
    private void ends(int with) {
        if (!silenced) {
            code = with;
        }
        silenced = true;
    }

    private String text() {
        synchronized (written) {
            return written.toString(StandardCharsets.UTF_8);
        }
    }

    private static Streams own() {
        return RUNNING.get(Thread.currentThread().getThreadGroup());
    }

    /** Hands each byte to the tool that writes it. What nobody's thread writes is dropped. */
    private static final class Dispatcher extends OutputStream {
        @Override
        public void write(int one) {
            write(new byte[] {(byte) one}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int from, int length) {
            Streams own = own();
            if (own != null && !own.silenced) {
                synchronized (own.written) {
                    own.written.write(bytes, from, length);
                }
            }
        }
    }
}
