//! The files of a new service, and what stands in their gaps.

use std::fmt;
use std::path::PathBuf;

use super::name::Name;

/// Where a service gets kafka-boot from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dependency {
    /// A folder of this machine.
    Checkout(PathBuf),
    Git {
        url: String,
        rev: Option<String>,
    },
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkout(checkout) => write!(f, "kafka-boot from {}", checkout.display()),
            Self::Git { url, .. } => write!(f, "kafka-boot from {url}"),
        }
    }
}

/// Each file's path in the service, and its text.
pub(super) const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../template/Cargo.toml.template")),
    ("src/main.rs", include_str!("../../../template/src/main.rs")),
    ("src/lib.rs", include_str!("../../../template/src/lib.rs")),
    ("tests/service.rs", include_str!("../../../template/tests/service.rs")),
    ("config/application.yml", include_str!("../../../template/config/application.yml")),
    ("config/application-dev.yml", include_str!("../../../template/config/application-dev.yml")),
    ("config/application-docker.yml", include_str!("../../../template/config/application-docker.yml")),
    ("config/application-prod.yml", include_str!("../../../template/config/application-prod.yml")),
    ("Dockerfile", include_str!("../../../template/Dockerfile")),
    ("docker-compose.yml", include_str!("../../../template/docker-compose.yml")),
    (".env", include_str!("../../../template/env")),
    (".dockerignore", include_str!("../../../template/dockerignore")),
    (".gitignore", include_str!("../../../template/gitignore")),
    (".github/workflows/ci.yml", include_str!("../../../template/github/workflows/ci.yml")),
    ("README.md", include_str!("../../../template/README.md")),
];

/// A file's text with its gaps filled.
pub(super) fn fill(text: &str, name: &Name, dependency: &Dependency) -> String {
    let (line, copy, build_context, compose_context, ci_note) = match dependency {
        Dependency::Checkout(checkout) => {
            let framework = toml_string(&checkout.join("framework").display().to_string());
            let checkout = checkout.display().to_string();
            (
                format!(
                    "# A checkout on this machine; for others, `{{ git = \"{}\" }}` in its place.\nkafka-boot = {{ path = {framework} }}",
                    super::REPOSITORY
                ),
                // As a list, which keeps spaces.
                format!("COPY --from=kafka-boot [\".\", {}]\n", toml_string(&checkout)),
                format!("--build-context {} ", toml_string(&format!("kafka-boot={checkout}"))),
                format!("      additional_contexts:\n        kafka-boot: {}\n", toml_string(&checkout)),
                "# Cargo.toml names a checkout of kafka-boot that is on one machine: name its repository there before this runs.\n"
                    .to_owned(),
            )
        }
        Dependency::Git { url, rev } => {
            let rev = rev.as_ref().map(|rev| format!(", rev = {}", toml_string(rev))).unwrap_or_default();
            let line = format!("kafka-boot = {{ git = {}{rev} }}", toml_string(url));
            (line, String::new(), String::new(), String::new(), String::new())
        }
    };
    text.replace("{{name}}", name.package())
        .replace("{{crate}}", &name.crate_name())
        .replace("{{dependency}}", &line)
        .replace("{{copy_checkout}}", &copy)
        .replace("{{build_context}}", &build_context)
        .replace("{{additional_contexts}}", &compose_context)
        .replace("{{ci_note}}", &ci_note)
}

/// A basic string of TOML, which one of YAML and one of JSON is, too, and what a shell takes for one word.
fn toml_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_path_may_have_spaces() {
        let name = Name::of(Path::new("shop")).expect("it is one");
        let text = |wanted: &str| {
            let (_, text) = FILES.iter().find(|(path, _)| *path == wanted).expect(wanted);
            fill(text, &name, &Dependency::Checkout("/my src/k".into()))
        };
        let docker = text("Dockerfile");
        assert!(docker.contains("\nCOPY --from=kafka-boot [\".\", \"/my src/k\"]\n"), "{docker}");
        assert!(docker.contains("docker build --build-context \"kafka-boot=/my src/k\" .`"), "{docker}");
        let compose = text("docker-compose.yml");
        assert!(compose.contains("        kafka-boot: \"/my src/k\"\n"), "{compose}");
        assert!(text(".github/workflows/ci.yml").contains("a checkout of kafka-boot that is on one machine"));
    }

    #[test]
    fn no_gap_is_left_open() {
        let name = Name::of(Path::new("order-service")).expect("it is one");
        let git = Dependency::Git { url: "https://example.com/k".to_owned(), rev: Some("v1".to_owned()) };
        for dependency in [Dependency::Checkout("/k b".into()), git] {
            for (path, text) in FILES {
                let filled = fill(text, &name, &dependency);
                assert!(!filled.contains("{{"), "{path}: {filled}");
                assert!(filled.ends_with('\n') && !filled.ends_with("\n\n"), "{path}");
            }
        }
    }
}
