//! Building beans in the order of their dependencies; a cycle or a missing bean is an error that names the chain.

use std::collections::HashMap;

use tracing::debug;

use super::registry::{BeanKey, Beans};
use crate::error::{StartError, StartErrorKind};
use crate::handler::BeanDescriptor;

/// A bean function, discovered or given by hand.
type BeanSource = &'static BeanDescriptor;

/// Builds every bean of `sources` into `beans`, which holds the framework's own and those given by hand.
pub(crate) async fn build(beans: &mut Beans, sources: &[BeanSource]) -> Result<(), StartError> {
    let order = order(beans, sources)?;
    for source in order {
        let key = (source.key)();
        let failed = |error: StartError| {
            StartError::new(
                error.kind(),
                format!("bean {key} of `{}` ({}): {error}", source.function, source.at),
            )
        };
        let future = (source.build)(beans).map_err(failed)?;
        let bean = future.await.map_err(|error| {
            let message = format!("bean {key} of `{}` ({}) failed", source.function, source.at);
            StartError::new(StartErrorKind::Bean, format!("{message}: {}", error.chain()))
        })?;
        debug!(bean = %key, at = %source.at, "bean built");
        beans.insert(key, bean);
    }
    Ok(())
}

/// Sorts the bean functions so that each comes after those it depends on.
fn order(beans: &Beans, sources: &[BeanSource]) -> Result<Vec<BeanSource>, StartError> {
    let mut by_key: HashMap<BeanKey, BeanSource> = HashMap::new();
    for source in sources {
        let key = (source.key)();
        if beans.contains(&key) {
            let message = format!("bean {key} of `{}` ({}) is already there", source.function, source.at);
            let remedy = "give it a name with `#[bean(name = \"…\")]`";
            return Err(StartError::new(StartErrorKind::Bean, format!("{message}; {remedy}")));
        }
        if let Some(other) = by_key.insert(key, source) {
            let (first, second) = (other.at.min(source.at), other.at.max(source.at));
            let message = format!("two functions make bean {key}: at {first} and at {second}");
            return Err(StartError::new(
                StartErrorKind::Bean,
                format!("{message}; give one a name with `#[bean(name = \"…\")]`"),
            ));
        }
    }
    let mut sorted = sources.to_vec();
    sorted.sort_by_key(|source| source.at);
    let mut visit = Visit { beans, by_key: &by_key, done: Vec::new(), chain: Vec::new() };
    for source in sorted {
        visit.source(source)?;
    }
    Ok(visit.done)
}

/// A depth-first walk; `chain` is the path from the function first asked for.
struct Visit<'a> {
    beans: &'a Beans,
    by_key: &'a HashMap<BeanKey, BeanSource>,
    done: Vec<BeanSource>,
    chain: Vec<BeanSource>,
}

impl Visit<'_> {
    fn source(&mut self, source: BeanSource) -> Result<(), StartError> {
        if self.done.iter().any(|done| std::ptr::eq(*done, source)) {
            return Ok(());
        }
        if let Some(start) = self.chain.iter().position(|link| std::ptr::eq(*link, source)) {
            let links = self.chain[start..].iter().chain([&source]);
            let path: Vec<String> = links.map(|link| format!("{} ({})", (link.key)(), link.at)).collect();
            let message = format!("beans depend on each other in a cycle: {}", path.join(" → "));
            return Err(StartError::new(StartErrorKind::Bean, message));
        }
        self.chain.push(source);
        for dependency in (source.dependencies)() {
            match self.by_key.get(&dependency) {
                Some(next) => self.source(next)?,
                None if self.beans.contains(&dependency) => {}
                None => return Err(self.missing(&dependency)),
            }
        }
        self.chain.pop();
        self.done.push(source);
        Ok(())
    }

    fn missing(&self, dependency: &BeanKey) -> StartError {
        let path: Vec<String> =
            self.chain.iter().map(|link| format!("{} ({})", (link.key)(), link.at)).collect();
        let error = self.beans.missing(dependency.type_id, dependency.type_name, dependency.name);
        StartError::new(StartErrorKind::Bean, format!("{error}; needed by {}", path.join(" → ")))
    }
}
