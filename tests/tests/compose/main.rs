//! The compose files, of this repository and of what `kafka-boot new` makes: there is no engine here, so each path, port,
//! host, variable and version in them is checked against what it refers to, and real Kafka is started with their brokers'
//! settings, by the program that turns those into a configuration inside Kafka's image.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod brokers;
mod file;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::file::{ComposeFile, Reference};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The one of this repository.
fn ours() -> ComposeFile {
    let root = repository();
    ComposeFile::new(&read(root.join("docker-compose.yml")), &read(root.join(".env")))
}

/// The one of a new service called `shop`.
fn of_a_new_service() -> ComposeFile {
    let template = repository().join("cli/template");
    let text = read(template.join("docker-compose.yml"));
    let text = text.replace("{{name}}", "shop").replace("{{additional_contexts}}", "");
    ComposeFile::new(&text, &read(template.join("env")))
}

#[test]
fn every_variable_is_set_and_every_version_used() {
    let root = repository();
    let dockerfile = read(root.join("examples/scheduled-producer/Dockerfile"));
    for file in [ours(), of_a_new_service()] {
        let set: BTreeSet<_> = file.variables.keys().cloned().collect();
        assert_eq!(file.used_variables, set, "what `.env` sets and what the file uses");
    }
    let ours = ours();
    let kafka = &ours.variables["KAFKA_VERSION"];
    assert!(
        read(root.join("tests/kafka/pom.xml")).contains(&format!(">{kafka}<")),
        "the Kafka that is tested with"
    );
    assert_eq!(of_a_new_service().variables["KAFKA_VERSION"], *kafka);
    let rust = &ours.variables["RUST_VERSION"];
    assert!(
        read(root.join("Cargo.toml")).contains(&format!("rust-version = \"{rust}\"")),
        "the Rust that is needed"
    );
    assert!(dockerfile.contains(&format!("ARG RUST_VERSION={rust}\n")));
    let template = root.join("cli/template");
    assert!(read(template.join("Dockerfile")).contains(&format!("FROM rust:{rust}-slim")));
    assert!(read(template.join("Cargo.toml.template")).contains(&format!("rust-version = \"{rust}\"")));
    assert!(read(template.join("github/workflows/ci.yml")).contains(&format!("toolchain install {rust} ")));
}

#[test]
fn every_host_and_port_is_one_that_is_listened_on() {
    for file in [ours(), of_a_new_service()] {
        for (service, variable, Reference { host, port }) in file.references() {
            assert!(
                file.listened(&host).contains(&port),
                "{service}: {variable} names {host}:{port}, which listens on {:?}",
                file.listened(&host)
            );
        }
        let mut published = BTreeSet::new();
        for (service, on_host, inside) in file.published() {
            assert!(published.insert(on_host), "{service}: port {on_host} is published twice");
            assert!(file.listened(&service).contains(&inside), "{service} does not listen on {inside}");
        }
        // Kafka on 9092 and the web UI on 9000, both without a profile.
        for (service, port) in [("kafka", 9092), ("kafka-ui", 9000)] {
            assert!(
                file.published().any(|(name, on_host, _)| name == service && on_host == port),
                "{service}"
            );
            assert!(file.service(service).profiles.is_empty(), "{service}");
        }
    }
}

#[test]
fn what_is_advertised_to_this_machine_is_the_port_that_is_published() {
    for file in [ours(), of_a_new_service()] {
        for broker in file.brokers() {
            let advertised = file.setting(&broker, "KAFKA_ADVERTISED_LISTENERS");
            let (_, on_host) = advertised.split_once("HOST://localhost:").unwrap();
            let on_host: u16 = on_host.split(',').next().unwrap().parse().unwrap();
            let published: Vec<_> = file.published().filter(|(service, ..)| *service == broker).collect();
            let listened = file.listener(&broker, "HOST");
            assert_eq!(published, [(broker.clone(), on_host, listened)]);
        }
    }
    assert_eq!(ours().brokers(), ["kafka", "kafka-1", "kafka-2", "kafka-3"]);
}

#[test]
fn who_depends_on_a_service_waits_until_it_is_healthy() {
    for file in [ours(), of_a_new_service()] {
        for (service, needed, condition) in file.dependencies() {
            assert_eq!(condition, "service_healthy", "{service} on {needed}");
            assert!(
                file.service(&needed).healthcheck.is_some(),
                "{needed} does not tell whether it is healthy"
            );
            assert!(file.service(&needed).profiles.is_empty(), "{needed} is there without a profile");
        }
        for broker in file.brokers() {
            let (_, server) = file.health_check(&broker);
            let port = server.strip_prefix("localhost:").unwrap().parse().unwrap();
            assert!(file.listened(&broker).contains(&port), "{broker}: {server}");
        }
    }
}

#[test]
fn every_volume_is_declared_and_holds_what_its_broker_writes() {
    for file in [ours(), of_a_new_service()] {
        let mut used = BTreeSet::new();
        for broker in file.brokers() {
            let volumes = file.volumes(&broker);
            assert_eq!(volumes.len(), 1, "{broker}");
            let (volume, path) = volumes.into_iter().next().unwrap();
            assert_eq!(path, file.setting(&broker, "KAFKA_LOG_DIRS"), "{broker}");
            assert!(used.insert(volume), "{broker} shares its volume");
        }
        assert_eq!(file.declared_volumes(), used);
    }
}

#[test]
fn the_example_is_built_from_what_is_there_and_runs_with_its_profile() {
    let root = repository();
    let (context, dockerfile) = ours().build("scheduled-producer");
    assert_eq!(context, ".");
    let text = read(root.join(dockerfile));
    check_dockerfile(&text, "scheduled-producer");
    assert!(root.join("examples/scheduled-producer/Cargo.toml").is_file());
    assert!(
        read(root.join(".dockerignore")).lines().any(|line| line == "target"),
        "a build is not sent to a build"
    );

    let template = repository().join("cli/template");
    let text = read(template.join("Dockerfile")).replace("{{name}}", "shop");
    check_dockerfile(&text, "shop");
    assert_eq!(of_a_new_service().build("shop"), (".".to_owned(), "Dockerfile".to_owned()));

    for (file, service, config) in [
        (ours(), "scheduled-producer", root.join("config")),
        (of_a_new_service(), "shop", template.join("config")),
    ] {
        let profile = file.setting(service, "APP_PROFILES_ACTIVE");
        assert_eq!(profile, "docker");
        let yaml = read(config.join(format!("application-{profile}.yml")));
        // Exactly what the file gives it.
        assert!(yaml.contains("bootstrap-servers: ${KAFKA_BOOTSTRAP_SERVERS}"), "{yaml}");
        assert_eq!(file.service(service).profiles, ["docker"]);
        assert_eq!(
            file.service(service).stop_grace_period.as_deref(),
            Some("40s"),
            "longer than a shutdown takes"
        );
    }
}

/// A Dockerfile copies what is there, and starts what it has built.
fn check_dockerfile(text: &str, binary: &str) {
    let installed = format!("/usr/local/bin/{binary}");
    assert!(text.contains(&format!("target/release/{binary} {installed}")), "{text}");
    assert!(text.contains(&format!("COPY --from=build {installed} {installed}")), "{text}");
    assert!(text.contains(&format!("ENTRYPOINT [\"{installed}\"]")), "{text}");
    assert!(text.contains("COPY config config"), "{text}");
}
