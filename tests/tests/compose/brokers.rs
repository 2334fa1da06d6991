//! Real Kafka with the settings of a compose file. What differs is what one machine without containers must differ in:
//! ports, the names of hosts, and where the data is.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kafka_boot_client::{Admin as Client, ClientConfig};
use kafka_boot_tests::kafka::Installation;
use kafka_boot_tests::process::{Process, Program};
use kafka_boot_tests::wait::eventually;

use crate::file::ComposeFile;
use crate::{of_a_new_service, ours};

const DEADLINE: Duration = Duration::from_mins(2);
const REQUEST: Duration = Duration::from_secs(10);
const LISTENERS: [&str; 3] = ["HOST", "DOCKER", "CONTROLLER"];

/// The port of each listener of each broker, on this machine.
type PortMap = BTreeMap<(String, &'static str), u16>;

fn free_ports(brokers: &[&str]) -> PortMap {
    // Held until all are chosen, so that no two are the same.
    let mut held = Vec::new();
    let mut ports = PortMap::new();
    for broker in brokers {
        for listener in LISTENERS {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            ports.insert(((*broker).to_owned(), listener), socket.local_addr().unwrap().port());
            held.push(socket);
        }
    }
    ports
}

/// A broker's variables, as they have to be here.
fn variables(
    file: &ComposeFile,
    broker: &str,
    brokers: &[&str],
    ports: &PortMap,
    data: &Path,
) -> BTreeMap<String, String> {
    let mut settings = file.settings(broker);
    for (name, value) in &mut settings {
        match name.as_str() {
            "KAFKA_LOG_DIRS" => *value = data.display().to_string(),
            "KAFKA_LISTENERS" => {
                for listener in LISTENERS {
                    let (theirs, here) =
                        (file.listener(broker, listener), ports[&(broker.to_owned(), listener)]);
                    *value = value.replace(
                        &format!("{listener}://:{theirs}"),
                        &format!("{listener}://127.0.0.1:{here}"),
                    );
                }
            }
            "KAFKA_ADVERTISED_LISTENERS" | "KAFKA_CONTROLLER_QUORUM_VOTERS" => {
                for other in brokers {
                    for listener in ["DOCKER", "CONTROLLER"] {
                        let here = ports[&((*other).to_owned(), listener)];
                        let theirs = file.listener(other, listener);
                        *value = value.replace(&format!("{other}:{theirs}"), &format!("127.0.0.1:{here}"));
                    }
                }
                let on_host = value.split("HOST://localhost:").nth(1).and_then(|rest| rest.split(',').next());
                if let Some(on_host) = on_host {
                    let here = ports[&(broker.to_owned(), "HOST")];
                    *value = value.replace(&format!("localhost:{on_host}"), &format!("127.0.0.1:{here}"));
                }
            }
            _ => {}
        }
    }
    settings
}

/// What Kafka's image does with the variables before it starts the broker.
fn prepare(
    installation: &Installation,
    variables: &BTreeMap<String, String>,
    folder: &Path,
) -> std::path::PathBuf {
    let [defaults, mounted, last] = ["defaults", "mounted", "final"].map(|name| folder.join(name));
    for folder in [&defaults, &mounted, &last] {
        std::fs::create_dir_all(folder).unwrap();
    }
    // What the image has there, and does not use once there are variables.
    std::fs::write(defaults.join("server.properties"), "process.roles=broker,controller\nnode.id=77\n")
        .unwrap();
    std::fs::write(defaults.join("log4j2.yaml"), "").unwrap();
    std::fs::write(defaults.join("tools-log4j2.yaml"), "").unwrap();
    let output = Command::new("java")
        .args(["-cp", installation.class_path(), "kafka.docker.KafkaDockerWrapper", "setup"])
        .arg("--default-configs-dir")
        .arg(&defaults)
        .arg("--mounted-configs-dir")
        .arg(&mounted)
        .arg("--final-configs-dir")
        .arg(&last)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(variables)
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let properties = last.join("server.properties");
    let text = std::fs::read_to_string(&properties).unwrap();
    assert!(!text.contains("node.id=77"), "{text}");
    assert!(text.contains(&format!("node.id={}", variables["KAFKA_NODE_ID"])), "{text}");
    properties
}

struct Cluster {
    installation: Installation,
    brokers: Vec<Process>,
    ports: PortMap,
    _folder: tempfile::TempDir,
}

/// `None` where there is no Java.
fn start(file: &ComposeFile, brokers: &[&str]) -> Option<Cluster> {
    let installation = match Installation::obtain() {
        Ok(installation) => installation,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{error}");
            kafka_boot_tests::seed::notice(&format!("skipped: {error}"));
            return None;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let ports = free_ports(brokers);
    let mut running = Vec::new();
    for broker in brokers {
        let here = folder.path().join(broker);
        let variables = variables(file, broker, brokers, &ports, &here.join("data"));
        let properties = prepare(&installation, &variables, &here);
        let process = Program::new("java")
            .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args(["-cp", installation.class_path(), "kafka.Kafka"])
            .arg(properties)
            .start()
            .unwrap();
        running.push(process);
    }
    Some(Cluster { installation, brokers: running, ports, _folder: folder })
}

impl Cluster {
    fn address(&self, broker: &str, listener: &'static str) -> String {
        format!("127.0.0.1:{}", self.ports[&(broker.to_owned(), listener)])
    }

    fn tail(&self) -> String {
        let lines = self.brokers.iter().flat_map(Process::lines);
        let lines: Vec<_> = lines.map(|line| line.text.clone()).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Waits until so many brokers answer whoever asks through a listener.
    fn wait_for(&self, broker: &str, listener: &'static str, count: usize) -> Client {
        let config = ClientConfig::from_iter([("bootstrap.servers", self.address(broker, listener))]);
        let admin = Client::new(&config).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        eventually(DEADLINE, &format!("{count} brokers: {}", self.tail()), || {
            let found = runtime.block_on(admin.describe_cluster(REQUEST));
            found.is_ok_and(|cluster| cluster.brokers.len() == count)
        });
        admin
    }

    /// Runs a broker's health check, as its container does.
    fn check_health(&self, file: &ComposeFile, broker: &str) {
        let (words, server) = file.health_check(broker);
        assert_eq!(words[0], "/opt/kafka/bin/kafka-cluster.sh", "what that script runs is known");
        let theirs: u16 = server.rsplit(':').next().unwrap().parse().unwrap();
        let listener = LISTENERS.into_iter().find(|name| file.listener(broker, name) == theirs).unwrap();
        let here = self.address(broker, listener);
        let words = words[1..].iter().map(|word| if *word == server { here.clone() } else { word.clone() });
        let output = Command::new("java")
            .args(["-cp", self.installation.class_path(), "org.apache.kafka.tools.ClusterTool"])
            .args(words)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        let expected = file.setting(broker, "CLUSTER_ID");
        assert!(said.contains(&format!("Cluster ID: {expected}")), "{said}");
    }
}

fn replicas(admin: &Client, topic: &str) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let new = kafka_boot_client::NewTopic::new(topic);
        for (_, created) in admin.create_topics(&[new], REQUEST).await.unwrap() {
            created.unwrap();
        }
    });
    eventually(DEADLINE, "the topic", || {
        let described = runtime.block_on(admin.describe_topics(&[topic], REQUEST)).unwrap();
        described.into_iter().next().and_then(|(_, topic)| Some(topic.ok()?.partitions[0].replicas.len()))
    })
}

#[test]
fn real_kafka_starts_with_the_settings_of_the_single_broker() {
    for file in [ours(), of_a_new_service()] {
        let Some(cluster) = start(&file, &["kafka"]) else { return };
        let admin = cluster.wait_for("kafka", "HOST", 1);
        cluster.check_health(&file, "kafka");
        assert_eq!(replicas(&admin, "orders"), 1);
        // Who is in a container comes in through the other listener, and is led back to it.
        cluster.wait_for("kafka", "DOCKER", 1);
    }
}

#[test]
fn real_kafka_starts_with_the_settings_of_the_three_brokers() {
    const BROKERS: [&str; 3] = ["kafka-1", "kafka-2", "kafka-3"];
    let file = ours();
    let Some(cluster) = start(&file, &BROKERS) else { return };
    for broker in BROKERS {
        cluster.wait_for(broker, "HOST", 3);
        cluster.wait_for(broker, "DOCKER", 3);
    }
    cluster.check_health(&file, "kafka-2");
    let admin = cluster.wait_for("kafka-1", "HOST", 3);
    assert_eq!(replicas(&admin, "orders"), 3, "three copies unless somebody says otherwise");
}
