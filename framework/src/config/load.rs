//! From [`LoadOptions`] to [`Settings`]: finds the sources, lays them over one another, checks and binds the
//! result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::{self, unknown_key};
use super::client::security;
use super::de;
use super::error::{ConfigError, ConfigErrorKind, ConfigErrors, nearest};
use super::files::{self, Document, Locations};
use super::layers::{Layers, Step};
use super::model::Properties;
use super::placeholder::Resolver;
use super::relaxed;
use super::schema::{SchemaNode, Shape};
use super::settings::{Inner, Settings};
use super::tree::{Kind, Node, Place, Provenance};
use super::validate;
use super::yaml;

/// The variable that names the active profiles.
const PROFILES_VARIABLE: &str = "APP_PROFILES_ACTIVE";
/// The variable that names the folder or file to read in place of the usual ones.
const LOCATION_VARIABLE: &str = "KAFKA_BOOT_CONFIG";

/// What a configuration is loaded from. Nothing else is looked at, so a test can say exactly what holds.
///
/// ```
/// use kafka_boot::config::{LoadOptions, Settings};
///
/// let settings = Settings::load(LoadOptions {
///     arguments: vec!["--kafka.consumer.group-id=orders".into()],
///     environment: vec![("KAFKA_CONSUMER_CONCURRENCY".into(), "3".into())],
///     ..LoadOptions::default()
/// })?;
/// assert_eq!(settings.kafka().consumer.group_id.as_deref(), Some("orders"));
/// assert_eq!(settings.kafka().consumer.concurrency, 3);
/// # Ok::<(), kafka_boot::config::ConfigErrors>(())
/// ```
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// The arguments of the command line, without the program's name.
    pub arguments: Vec<String>,
    /// The environment's variables.
    pub environment: Vec<(String, String)>,
    /// The directory in which, and in whose `config`, the files are. `None`: no files are read unless
    /// `--config` or `KAFKA_BOOT_CONFIG` names some.
    pub directory: Option<PathBuf>,
    /// Whole documents beside the files, each with the name that messages call it by: over every file, under the
    /// environment.
    pub documents: Vec<(String, String)>,
    /// Whole documents that hold where nothing else says anything: under every file.
    pub defaults: Vec<(String, String)>,
    /// The sections of the program's own, which are then never taken for misspelt ones of the framework.
    pub own_sections: Vec<String>,
}

impl LoadOptions {
    /// What this process was started with: its arguments, its environment, its working directory.
    pub fn from_process() -> Self {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self {
            arguments: std::env::args_os().skip(1).map(lossy).collect(),
            environment: std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect(),
            directory: Some(PathBuf::from(".")),
            documents: Vec::new(),
            defaults: Vec::new(),
            own_sections: Vec::new(),
        }
    }
}

impl std::fmt::Debug for LoadOptions {
    /// Leaves out the values of arguments and variables, any of which may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadOptions").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Settings {
    /// Loads, merges, checks and binds the configuration. All faults are reported at once.
    ///
    /// From the weakest to the strongest: `application.yml` and `application-<profile>.yml` in the directory,
    /// the same in its `config` folder, environment variables, arguments.
    pub fn load(options: LoadOptions) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let arguments = Arguments::parse(&options.arguments, &mut errors);
        let environment: BTreeMap<String, String> = options.environment.into_iter().collect();
        let mut loader =
            Loader { environment, arguments, own_sections: options.own_sections, warnings: Vec::new() };

        let mut documents = loader.documents(options.directory.as_deref(), &mut errors)?;
        documents.add_given(&options.documents, &mut errors);
        documents.add_defaults(&options.defaults, &mut errors);
        let tree = loader.merge(&documents.in_order, &mut errors)?;
        let resolver = Resolver::new(&tree, &loader.environment);
        let (mut tree, secret_files) = resolver.resolve_tree(&mut errors);

        security::adopt_raw_settings(&mut tree, &mut errors);
        inherit_for_clusters(&mut tree);
        set_profiles(&mut tree, &documents.profiles);
        check_root(&tree, &loader.own_sections, &mut errors);
        // Rules about several values make sense only for values that are well-formed.
        errors.into_result(())?;

        let mut errors = ConfigErrors::default();
        let framework = framework_sections(&tree);
        let properties: Properties = de::bind(&framework, "")?;
        validate::properties(&tree, &properties, &mut errors);
        errors.into_result(())?;

        loader.warn_about_files(&documents.in_order, &tree, &secret_files);
        let sources = loader.sources(&documents.in_order);
        Ok(Self {
            inner: Arc::new(Inner {
                tree,
                properties,
                profiles: documents.profiles,
                sources,
                environment: loader.environment,
                warnings: loader.warnings,
                free_arguments: loader.arguments.free,
            }),
        })
    }
}

/// The arguments of the command line, sorted by what they are for.
#[derive(Default)]
struct Arguments {
    profiles: Option<String>,
    location: Option<String>,
    /// `--key=value`, in order.
    values: Vec<(String, Vec<Step>, String)>,
    /// The rest, which is the program's own.
    free: Vec<String>,
}

impl Arguments {
    fn parse(arguments: &[String], errors: &mut ConfigErrors) -> Self {
        let mut parsed = Self::default();
        let mut arguments = arguments.iter();
        for argument in arguments.by_ref() {
            if argument == "--" {
                break;
            }
            let Some(option) = argument.strip_prefix("--") else {
                parsed.free.push(argument.clone());
                continue;
            };
            let (key, value) =
                option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value)));
            let refuse = |message: &str, help: String| {
                ConfigError::new(ConfigErrorKind::Argument, Place::Argument(key.to_owned()), message)
                    .help(help)
            };
            let is_ours = matches!(key, "profile" | "config")
                || key.split(['.', '[']).next().is_some_and(|first| SchemaNode::root().get(first).is_some());
            match (key, value) {
                ("profile", Some(value)) => parsed.profiles = Some(value.to_owned()),
                ("config", Some(value)) => parsed.location = Some(value.to_owned()),
                (_, None) if is_ours => {
                    errors.push(refuse("expected a value after `=`", format!("write `--{key}=<value>`")));
                }
                (_, None) => parsed.free.push(argument.clone()),
                (_, Some(value)) => match relaxed::dotted_path(key) {
                    Some(path) => parsed.values.push((key.to_owned(), path, value.to_owned())),
                    None if is_ours => {
                        let help = "write it as in `--kafka.topics[0].name=orders`".to_owned();
                        errors.push(refuse("expected a dotted key before `=`", help));
                    }
                    None => parsed.free.push(argument.clone()),
                },
            }
        }
        parsed.free.extend(arguments.cloned());
        parsed
    }
}

/// The files in the order in which they are laid over one another, and the profiles they are for.
struct Documents {
    in_order: Vec<Document>,
    profiles: Vec<String>,
}

impl Documents {
    /// Adds the documents that are not files, over those that are.
    fn add_given(&mut self, given: &[(String, String)], errors: &mut ConfigErrors) {
        self.in_order.extend(Self::parse(given, errors));
    }

    /// Adds the documents that are under all others.
    fn add_defaults(&mut self, defaults: &[(String, String)], errors: &mut ConfigErrors) {
        self.in_order.splice(..0, Self::parse(defaults, errors));
    }

    fn parse(given: &[(String, String)], errors: &mut ConfigErrors) -> Vec<Document> {
        let mut parsed = Vec::new();
        for (name, text) in given {
            let root = yaml::parse(name, text.clone().into_bytes()).and_then(relaxed::normalise);
            match root {
                Ok(root) => parsed.push(Document {
                    name: name.clone(),
                    path: PathBuf::new(),
                    root,
                    folder: usize::MAX,
                }),
                Err(error) => errors.push(error),
            }
        }
        parsed
    }
}

/// What the steps of a load share.
struct Loader {
    environment: BTreeMap<String, String>,
    arguments: Arguments,
    own_sections: Vec<String>,
    warnings: Vec<String>,
}

impl Loader {
    fn documents(
        &mut self,
        directory: Option<&Path>,
        errors: &mut ConfigErrors,
    ) -> Result<Documents, ConfigErrors> {
        let asked_for = self.arguments.location.as_ref().or_else(|| self.environment.get(LOCATION_VARIABLE));
        let asked_for = asked_for.map(PathBuf::from);
        let locations = match (directory, asked_for) {
            (None, None) => Locations::none(),
            (directory, asked_for) => {
                Locations::new(directory.unwrap_or(Path::new(".")), asked_for.as_deref())?
            }
        };
        let base = locations.read_base(errors);
        self.with_profiles(&locations, base, errors)
    }

    fn with_profiles(
        &mut self,
        locations: &Locations,
        base: Vec<Document>,
        errors: &mut ConfigErrors,
    ) -> Result<Documents, ConfigErrors> {
        let chosen = self.choose_profiles(&base)?;
        let mut in_order = base;
        let mut profiles: Vec<String> = Vec::new();
        for name in chosen.names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if !files::is_profile_name(name) {
                let message = "expected names of letters, digits, `-` and `_`, with commas between them";
                errors.push(ConfigError::new(ConfigErrorKind::Profile, chosen.place.clone(), message));
                continue;
            }
            // The last mention decides what a profile wins over.
            profiles.retain(|known| known != name);
            let found_before = errors.count();
            let documents = locations.read_profile(name, errors);
            if documents.is_empty() && errors.count() == found_before {
                let error = files::unknown_profile(name, chosen.place.clone(), &locations.profiles());
                if chosen.is_explicit {
                    errors.push(error);
                } else {
                    self.warnings
                        .push(format!("the profile `{name}` of `application.profiles.active` has no file"));
                }
            }
            for document in &documents {
                if let Some(active) = document.root.at(&["application", "profiles", "active"]) {
                    let message = "a profile's file cannot choose profiles";
                    let error = ConfigError::at(
                        ConfigErrorKind::Profile,
                        active,
                        "application.profiles.active",
                        message,
                    );
                    errors.push(error.help("set it in `application.yml`"));
                }
            }
            in_order.retain(|known| !documents.iter().any(|document| document.path == known.path));
            in_order.extend(documents);
            profiles.push(name.to_owned());
        }
        in_order.sort_by_key(|document| document.folder);
        Ok(Documents { in_order, profiles })
    }

    /// The profiles that are asked for: by argument, by variable, or by what the files without a profile say.
    fn choose_profiles(&self, base: &[Document]) -> Result<ChosenProfiles, ConfigErrors> {
        let explicit =
            |names: &str, place: Place| ChosenProfiles { names: names.to_owned(), place, is_explicit: true };
        if let Some(names) = &self.arguments.profiles {
            return Ok(explicit(names, Place::Argument("profile".into())));
        }
        if let Some(names) = self.environment.get(PROFILES_VARIABLE) {
            return Ok(explicit(names, Place::Variable(PROFILES_VARIABLE.into())));
        }
        let tree = self.merge(base, &mut ConfigErrors::default())?;
        let Some(active) = tree.at(&["application", "profiles", "active"]) else {
            return Ok(ChosenProfiles { names: String::new(), place: Place::Nowhere, is_explicit: false });
        };
        // A value of the wrong form or with a bad placeholder is reported with all the others, later.
        let texts: Vec<&str> = match &active.kind {
            Kind::Scalar(text) => vec![text],
            Kind::List(items) => items.iter().filter_map(Node::as_scalar).collect(),
            Kind::Empty | Kind::Map(_) => Vec::new(),
        };
        let resolver = Resolver::new(&tree, &self.environment);
        let texts = texts.into_iter().filter_map(|text| resolver.resolve(text, &active.place, None).ok());
        let names = texts.map(|resolved| resolved.text).collect::<Vec<_>>().join(",");
        let is_explicit = matches!(active.place, Place::Variable(_) | Place::Argument(_));
        Ok(ChosenProfiles { names, place: active.place.clone(), is_explicit })
    }

    /// Lays the files, the variables and the arguments over one another.
    fn merge(&self, documents: &[Document], errors: &mut ConfigErrors) -> Result<Node, ConfigErrors> {
        let mut layers = Layers::default();
        for document in documents {
            if let Err(error) = layers.add_document(&document.root) {
                errors.push(error);
            }
        }
        let known = layers.merge()?;
        for (name, value) in &self.environment {
            if name == LOCATION_VARIABLE {
                continue;
            }
            if let Some(path) = relaxed::variable_path(name, &known) {
                let node = Node::scalar(value.clone(), Place::Variable(name.clone()));
                layers.add_value(&path, node)?;
            }
        }
        for (key, path, value) in &self.arguments.values {
            let node = Node::scalar(value.clone(), Place::Argument(key.clone()));
            if let Err(error) = layers.add_value(path, node) {
                errors.push(error);
            }
        }
        Ok(layers.merge()?)
    }

    fn warn_about_files(&mut self, documents: &[Document], tree: &Node, secret_files: &[String]) {
        const READ_BY_OTHERS: u32 = 0o004;
        const WRITTEN_BY_OTHERS: u32 = 0o002;
        for file in secret_files {
            if files::open_to_others(Path::new(file), READ_BY_OTHERS) {
                self.warnings.push(format!("`{file}` holds a secret and can be read by every user"));
            }
        }
        let mut holders = Vec::new();
        files_with_secrets(tree, SchemaNode::root(), &mut holders);
        for document in documents.iter().filter(|document| holders.contains(&document.name)) {
            if files::open_to_others(&document.path, READ_BY_OTHERS | WRITTEN_BY_OTHERS) {
                self.warnings.push(format!(
                    "`{}` holds a password and is open to every user; use `${{file:…}}` or a variable",
                    document.name
                ));
            }
        }
        for name in self.environment.keys().filter(|name| relaxed::begins_like_a_section(name)) {
            if relaxed::variable_path(name, tree).is_none() {
                self.warnings.push(format!(
                    "the environment variable `{name}` is like a key, but there is none of that name"
                ));
            }
        }
    }

    /// What the configuration came from, for the report at start.
    fn sources(&self, documents: &[Document]) -> Vec<String> {
        let mut sources: Vec<String> = documents.iter().map(|document| document.name.clone()).collect();
        let known = self.merge(documents, &mut ConfigErrors::default()).unwrap_or_else(|_| Node::empty_map());
        let variables = self.environment.keys().filter(|name| relaxed::variable_path(name, &known).is_some());
        sources.extend(variables.map(|name| format!("environment variable `{name}`")));
        sources.extend(self.arguments.values.iter().map(|(key, ..)| format!("argument `--{key}`")));
        sources
    }
}

/// The profiles that are asked for, with commas between them.
struct ChosenProfiles {
    names: String,
    place: Place,
    /// Whether they were asked for at this start, so that one without a file is an error.
    is_explicit: bool,
}

/// Gives each named cluster the consumer, producer and admin settings of `kafka`, under its own.
fn inherit_for_clusters(tree: &mut Node) {
    let shared = ["consumer", "producer", "admin"].map(|key| (key, tree.at(&["kafka", key]).cloned()));
    let Kind::Map(root) = &mut tree.kind else { return };
    let Some(Kind::Map(kafka)) = root.get_mut("kafka").map(|node| &mut node.kind) else { return };
    let Some(Kind::Map(clusters)) = kafka.get_mut("clusters").map(|node| &mut node.kind) else { return };
    for cluster in clusters.values_mut().filter(|cluster| cluster.as_map().is_some()) {
        for (key, shared) in &shared {
            let Some(mut section) = shared.clone() else { continue };
            let entries = cluster.make_map();
            if let Some(own) = entries.remove(*key) {
                section.overlay(own);
            }
            entries.insert((*key).to_owned(), section);
        }
    }
}

/// Makes the tree say which profiles are on, whatever chose them.
fn set_profiles(tree: &mut Node, profiles: &[String]) {
    if profiles.is_empty() {
        return;
    }
    let items = profiles.iter().map(|name| Node::scalar(name.clone(), Place::Nowhere)).collect();
    let list = Node::new(Kind::List(items), Place::Nowhere);
    let mut top = Node::empty_map();
    let mut section = Node::empty_map();
    section.make_map().insert("active".into(), list);
    let mut application = Node::empty_map();
    application.make_map().insert("profiles".into(), section);
    top.make_map().insert("application".into(), application);
    tree.overlay(top);
}

/// Checks the framework's sections, and that no other section looks like a misspelt one.
fn check_root(tree: &Node, own_sections: &[String], errors: &mut ConfigErrors) {
    let Shape::Section { keys, .. } = SchemaNode::root().shape() else { return };
    for (key, node) in tree.as_map().into_iter().flatten() {
        if let Some(schema) = SchemaNode::root().get(key) {
            check::check(node, schema, key, errors);
            continue;
        }
        if own_sections.iter().any(|own| own.split('.').next() == Some(key)) {
            continue;
        }
        let known = keys.keys().map(String::as_str);
        if nearest(key, known.clone()).is_some() {
            errors.push(unknown_key(node, key, key, known));
        } else if key == "spring" && node.get("kafka").is_some() {
            let error = unknown_key(node, key, key, known);
            errors.push(error.help("the section is `kafka`, at the outermost level, without `spring`"));
        }
    }
}

/// The tree without the program's own sections.
fn framework_sections(tree: &Node) -> Node {
    let mut framework = Node::empty_map();
    for (key, node) in tree.as_map().into_iter().flatten() {
        if SchemaNode::root().get(key).is_some() {
            framework.make_map().insert(key.clone(), node.clone());
        }
    }
    framework
}

/// The files in which secrets stand as they are.
fn files_with_secrets(node: &Node, schema: SchemaNode, holders: &mut Vec<String>) {
    match (&node.kind, schema.shape()) {
        (Kind::Scalar(_), Shape::Secret) => {
            if let (Place::File { source, key: Some(_), .. }, Provenance::Literal) =
                (&node.place, node.provenance)
            {
                holders.push(source.name.clone());
            }
        }
        (Kind::Map(entries), shape) => {
            // Raw settings are treated as secrets when printed, but most of them are none.
            if matches!(&shape, Shape::Map(values) if matches!(values.shape(), Shape::Secret)) {
                return;
            }
            for (key, child) in entries {
                if let Some(schema) = schema.get(key) {
                    files_with_secrets(child, schema, holders);
                }
            }
        }
        _ => {}
    }
}
