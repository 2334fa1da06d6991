//! What fails is told, all of it, in the form that was asked for, and whoever listens.

use std::io::{self, Write};

use kafka_boot_cli::{Interrupt, Process, Terminals, run};

use crate::support::{Stage, words};

/// A stream at whose other end nobody is.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

/// The exit code of a command whose streams are these.
fn code(stage: &Stage, command: &str, input: &str, output: &mut dyn Write, errors: &mut dyn Write) -> u8 {
    let arguments = words(&format!("--bootstrap-servers {} {command}", stage.broker.bootstrap_servers()));
    run(
        std::iter::once("kafka-boot".to_owned()).chain(arguments),
        &mut Process {
            environment: Vec::new(),
            color: false,
            terminals: Terminals { errors: true, ..Terminals::default() },
            interrupt: Interrupt::new(),
            input: Box::new(io::Cursor::new(input.to_owned())),
            output,
            is_reader_gone: || false,
            errors,
        },
    )
}

#[test]
fn who_reads_no_errors_changes_neither_what_is_done_nor_the_exit_code() {
    let stage = Stage::new();
    let input = format!("one\n{}\nthree\n{}\nfive\n", "x".repeat(2_000_000), "y".repeat(2_000_000));
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    assert_eq!(code(&stage, "produce orders --partition 0 --rate 1000", &input, &mut output, &mut Gone), 1);
    assert_eq!(String::from_utf8(output).unwrap(), "Wrote 3 records to orders.\n");
    let there = stage.says("consume orders --until-end");
    assert!(there.contains("one\nthree\nfive\n"), "{there}");
    assert_eq!(code(&stage, "topics describe nothing", "", &mut Vec::new(), &mut Gone), 1);
    assert_eq!(code(&stage, "consume orders --until-end", "", &mut Vec::new(), &mut Gone), 0);
    // Only a result that nobody reads is a success, and only if nothing else failed.
    assert_eq!(code(&stage, "topics list", "", &mut Gone, &mut errors), 0);
    assert_eq!(code(&stage, "produce orders", &input, &mut Gone, &mut errors), 1);
    assert_eq!(code(&stage, "topics delete orders nothing --yes", "", &mut Gone, &mut errors), 1);
}

#[test]
fn each_failure_is_told_and_each_name_is_asked_for_once() {
    let stage = Stage::new();
    let told = stage.story(&[
        ("topics describe nothing nowhere", ""),
        ("topics describe orders orders", ""),
        ("offsets nothing nowhere", ""),
        ("offsets orders orders", ""),
        ("topics create more", ""),
        ("topics delete nothing more nowhere --yes", ""),
        (
            "groups reset-offsets g --topic orders:0 --topic orders:1 --topic orders:0 --to-latest --execute",
            "",
        ),
        ("groups reset-offsets g --topic orders:8,9 --topic nothing --topic nowhere --to-latest", ""),
        ("groups describe g g", ""),
        ("groups describe nobody g none", ""),
        ("groups delete-offsets g --topic orders:0 --topic orders:0,1 --yes", ""),
        ("groups delete nobody g none g --yes", ""),
        ("topics delete orders orders --yes", ""),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn offsets_of_a_topic_that_is_gone_are_the_brokers_to_judge() {
    let stage = Stage::new();
    stage.says("groups reset-offsets g --topic orders --to-latest --execute");
    let told = stage.story(&[
        ("groups delete-offsets g --topic orders:7 --yes", ""),
        ("groups delete-offsets g --topic gone:0", "n\n"),
        ("groups delete-offsets g --topic gone", ""),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn programs_are_told_of_failures_as_json() {
    let stage = Stage::new();
    let told = stage.story(&[
        ("topics describe nothing nowhere --output json", ""),
        ("topics delete orders --output json", "n\n"),
        ("topics lisst --output json", ""),
        ("topics describe --output=json", ""),
        ("consume orders --template '{kay}' --output json", ""),
        ("topics list --cluster east --output json", ""),
        ("topics list --profile nope --config-dir . --output json", ""),
    ]);
    insta::assert_snapshot!(told);
}
