//! The keys of `#[scheduled]`, and the function under it.

use proc_macro2::TokenStream;

use crate::context::Context;
use crate::entries::{Entries, Key};
use crate::function::Function;
use crate::values::Kind;

const ATTRIBUTE: &str = "scheduled";

/// Every key; the order is that of messages.
const KEYS: &[Key] = &[
    Key {
        name: "fixed_delay",
        yaml: "fixed-delay",
        kind: Kind::Duration { zero: false },
        example: "fixed_delay = 1000",
    },
    Key {
        name: "fixed_rate",
        yaml: "fixed-rate",
        kind: Kind::Duration { zero: false },
        example: "fixed_rate = \"1s\"",
    },
    Key { name: "cron", yaml: "cron", kind: Kind::Cron, example: "cron = \"0 0 6 * * *\"" },
    Key { name: "zone", yaml: "zone", kind: Kind::Zone, example: "zone = \"Europe/Berlin\"" },
    Key {
        name: "initial_delay",
        yaml: "initial-delay",
        kind: Kind::Duration { zero: true },
        example: "initial_delay = \"10s\"",
    },
    Key { name: "id", yaml: "id", kind: Kind::Name, example: "id = \"sweep\"" },
    Key { name: "enabled", yaml: "enabled", kind: Kind::Switch, example: "enabled = false" },
];

/// A job as written: entries that are right one by one, on a function that can be called.
pub(crate) struct Job {
    pub(crate) entries: Entries,
    pub(crate) function: Function,
}

impl Job {
    /// Parses both halves, so that mistakes in either are reported together.
    pub(crate) fn parse(context: &Context, attribute: TokenStream, item: &TokenStream) -> Option<Self> {
        let entries = Entries::parse(context, ATTRIBUTE, KEYS, attribute);
        let function = Function::parse(context, ATTRIBUTE, item);
        Some(Self { entries, function: function? })
    }

    /// The job's id: the attribute's, or the function's name.
    pub(crate) fn id(&self) -> String {
        self.entries.known_text("id").map_or_else(|| self.function.name(), str::to_owned)
    }
}
