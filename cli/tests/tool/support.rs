//! An embedded broker, and the tool on it.

use std::io::Cursor;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use kafka_boot_cli::{Interrupt, Process, Terminals, run};
use kafka_boot_client::{ClientConfig, Producer, ProducerLimits, ProducerRecord};
use kafka_boot_embedded::EmbeddedBroker;
use tokio::runtime::Runtime;

pub(crate) struct Stage {
    pub(crate) runtime: Runtime,
    pub(crate) broker: EmbeddedBroker,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let broker = runtime.block_on(EmbeddedBroker::builder().topic("orders", 2).start()).unwrap();
        Self { runtime, broker }
    }

    pub(crate) fn config(&self) -> ClientConfig {
        ClientConfig::from_iter([("bootstrap.servers", self.broker.bootstrap_servers())])
    }

    /// Writes `count` records, and returns when the broker has them.
    pub(crate) fn produce(&self, topic: &str, partition: i32, count: usize) {
        let producer = Producer::new(&self.config(), ProducerLimits::default()).unwrap();
        self.runtime.block_on(async {
            for number in 0..count {
                let record = ProducerRecord::new(topic).partition(partition).payload(number.to_string());
                producer.enqueue(record).await.unwrap().await.unwrap();
            }
        });
    }

    pub(crate) fn says(&self, command: &str) -> String {
        self.answers(command, "")
    }

    /// What a command says when `input` is typed, the broker's port apart.
    pub(crate) fn answers(&self, command: &str, input: &str) -> String {
        let servers = self.broker.bootstrap_servers();
        let port = servers.rsplit(':').next().unwrap();
        let arguments = words(&format!("--bootstrap-servers {servers} {command}"));
        tool(&arguments, &[], input).replace(port, "<port>")
    }

    /// What the commands say, one after another; each is a command and what is typed into it.
    pub(crate) fn story(&self, commands: &[(&str, &str)]) -> String {
        let told = commands
            .iter()
            .map(|(command, input)| format!("$ kafka-boot {command}\n{}", self.answers(command, input)));
        told.collect::<Vec<_>>().join("\n")
    }

    /// Starts a command that goes on until it is told to end.
    pub(crate) fn begin(&self, command: &str) -> Begun {
        begin(&words(&format!("--bootstrap-servers {} {command}", self.broker.bootstrap_servers())))
    }
}

/// Starts a command that goes on until it is told to end.
pub(crate) fn begin(arguments: &[String]) -> Begun {
    let (interrupt, output) = (Interrupt::new(), Shared::default());
    let (told, written, arguments) = (interrupt.clone(), output.clone(), arguments.to_vec());
    let thread = std::thread::spawn(move || {
        let (mut output, mut errors) = (written, Vec::new());
        let code = run(
            std::iter::once("kafka-boot".to_owned()).chain(arguments),
            &mut Process {
                environment: Vec::new(),
                color: false,
                terminals: Terminals::default(),
                interrupt: told,
                input: Box::new(std::io::empty()),
                output: &mut output,
                is_reader_gone: || false,
                errors: &mut errors,
            },
        );
        (code, String::from_utf8(errors).unwrap())
    });
    Begun { interrupt, output, thread }
}

/// A command that goes on.
pub(crate) struct Begun {
    pub(crate) interrupt: Interrupt,
    pub(crate) output: Shared,
    thread: JoinHandle<(u8, String)>,
}

impl Begun {
    /// Waits until it has written this many lines, and returns them.
    pub(crate) fn lines(&self, count: usize) -> Vec<String> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
        loop {
            let text = self.output.text();
            if text.lines().count() >= count {
                return text.lines().map(str::to_owned).collect();
            }
            assert!(std::time::Instant::now() < deadline, "only this was written: {text}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Tells it to end, and returns its exit code and its errors.
    pub(crate) fn end(self) -> (u8, String) {
        self.interrupt.interrupt();
        self.thread.join().unwrap()
    }
}

/// Memory that one thread writes and another reads.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The words of a command; `'…'` keeps spaces.
pub(crate) fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for character in command.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            other => word.push(other),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// Exit code, output and errors of a command.
pub(crate) fn tool(arguments: &[String], environment: &[(&str, &str)], input: &str) -> String {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let code = run(
        std::iter::once("kafka-boot").chain(arguments.iter().map(String::as_str)),
        &mut Process {
            environment: environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            color: false,
            terminals: Terminals::default(),
            interrupt: Interrupt::new(),
            input: Box::new(Cursor::new(input.to_owned())),
            output: &mut output,
            is_reader_gone: || false,
            errors: &mut errors,
        },
    );
    let (output, errors) = (String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap());
    format!("exit code {code}\n--- output\n{output}--- errors\n{errors}")
}
