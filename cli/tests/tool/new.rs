//! `new`: what it makes compiles, passes its tests and runs, without a network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kafka_boot_tests::process::{Program, Signal};

use crate::support::{tool, words};

const MINUTE: Duration = Duration::from_mins(1);

fn new(folder: &Path, arguments: &str) -> String {
    tool(&words(&format!("new {}/{arguments}", folder.display())), &[], "")
        .replace(&folder.display().to_string(), "<folder>")
}

/// The target directory of this very test, so that what is compiled already is not compiled again.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}

fn cargo(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target())
        .env_remove("KAFKA_BOOTSTRAP_SERVERS")
        .output()
        .unwrap();
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "cargo {arguments:?}: {told}");
    told
}

#[test]
fn a_new_service_passes_its_tests_and_runs_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let told = new(folder.path(), "new-shop");
    assert!(
        told.starts_with("exit code 0\n--- output\nCreated the service new-shop with kafka-boot from "),
        "{told}"
    );
    assert!(told.contains("\nNext: cd <folder>/new-shop && cargo run\n"), "{told}");
    assert!(told.contains("which is only on this machine") && told.contains("`--git`"), "{told}");
    let service = folder.path().join("new-shop");

    let told = cargo(&service, &["test", "--offline"]);
    assert!(told.contains("test an_order_within_the_limit_is_accepted ... ok"), "{told}");
    cargo(&service, &["fmt", "--check"]);
    cargo(&service, &["build", "--offline"]);
    // As `cargo run` does, whose own process would not hand the signal on.
    let mut running = Program::new(target().join("debug/new-shop")).directory(&service).start().unwrap();
    running.wait_for_line(MINUTE, |line| line.contains("confirmed")).unwrap();
    running.signal(Signal::Interrupt).unwrap();
    assert_eq!(running.wait(MINUTE).unwrap().code(), Some(0));

    // It holds together: the profiles are valid, and the tool connects as the service does.
    let check = |flags: &str| {
        let command = format!("config check --config-dir {} {flags}", service.display());
        tool(&words(&command), &[("KAFKA_BOOTSTRAP_SERVERS", "a:9092")], "")
    };
    for flags in ["", "--profile dev", "--profile docker", "--profile prod"] {
        assert!(check(flags).starts_with("exit code 0\n"), "{}", check(flags));
    }
}

#[test]
fn a_service_may_depend_on_a_repository() {
    let folder = tempfile::tempdir().unwrap();
    assert!(new(folder.path(), "shop --git").starts_with("exit code 0\n"));
    insta::assert_snapshot!(
        "new_git_manifest",
        fs::read_to_string(folder.path().join("shop/Cargo.toml")).unwrap()
    );
    assert!(folder.path().join("shop/Cargo.lock").exists(), "the versions that this checkout is tested with");
    let told = new(folder.path(), "other --git https://example.com/fork --rev v1 --output json");
    assert!(told.contains("\"git\": \"https://example.com/fork\""), "{told}");
    assert!(told.ends_with("--- errors\n"), "a repository is there for others, too: {told}");
    let manifest = fs::read_to_string(folder.path().join("other/Cargo.toml")).unwrap();
    assert!(
        manifest.contains("kafka-boot = { git = \"https://example.com/fork\", rev = \"v1\" }"),
        "{manifest}"
    );
}

#[test]
fn misuse_of_new_is_told_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::create_dir(folder.path().join("full")).unwrap();
    fs::write(folder.path().join("full/precious"), "mine").unwrap();
    fs::write(folder.path().join("file"), "mine").unwrap();
    let told: Vec<_> = [
        "full --git",
        "file --git",
        "Shop --git",
        "kafka --git",
        "shop --path /nowhere/at/all",
        "shop --path . --git",
        "shop --rev v1",
        "file/shop --git",
    ]
    .iter()
    .map(|arguments| format!("$ kafka-boot new {arguments}\n{}", new(folder.path(), arguments)))
    .collect();
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(fs::read_dir(folder.path().join("full")).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "mine");
    assert!(
        new(folder.path(), "empty --git").starts_with("exit code 0\n"),
        "an empty folder is as good as none"
    );
}
