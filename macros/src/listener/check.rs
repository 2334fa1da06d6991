//! What is wrong between keys, and between keys and arguments.
//!
//! Only literals count: a placeholder, or a key that is left to the YAML file, is checked at start.

use proc_macro2::Span;

use crate::context::Context;
use crate::function::Argument;
use crate::listener::parse::Listener;

/// The arguments that decode the record's value.
const PAYLOADS: [&str; 4] = ["Record", "Payload", "Json", "Batch"];
/// The arguments that belong to one record.
const OF_ONE_RECORD: [&str; 5] = ["Key", "Header", "Headers", "OwnedHeaders", "RecordMeta"];
/// The modes that say what shares a transaction.
const MODES_OF_TRANSACTIONS: [&str; 2] = ["record", "batch"];
const MANUAL_MODES: [&str; 2] = ["manual", "manual-immediate"];

pub(crate) fn check(context: &Context, listener: &Listener) {
    check_topics(context, listener);
    check_payloads(context, listener);
    check_replies(context, listener);
    if context.is_failed() {
        // The modes are judged only where everything else is right, so that one mistake is one error.
        return;
    }
    check_modes(context, listener);
    check_transactions(context, listener);
    check_ordering(context, listener);
    check_thresholds(context, listener);
}

fn check_topics(context: &Context, listener: &Listener) {
    if listener.is_of_dead_letters {
        if !listener.entries.has("for") {
            let message = "whose dead letters it reads is missing; add the id of their listener, as in `for = \"orders\"`";
            context.error_at(Span::call_site(), message);
        }
        return;
    }
    let given: Vec<_> = ["topic", "topics", "pattern", "partitions"]
        .into_iter()
        .filter(|key| listener.entries.has(key))
        .collect();
    match given.as_slice() {
        [] if !context.is_failed() => context.error_at(
            Span::call_site(),
            "the topic is missing; add `topic = \"orders\"`, `topics = [\"orders\", \"refunds\"]` or `pattern = \"orders-.*\"`",
        ),
        [first, second, ..] => {
            let span = listener.entries.get(second).map_or_else(Span::call_site, |entry| entry.key_span);
            context.error_at(span, format!("`{first}` and `{second}` exclude each other; keep one of them"));
        }
        _ => {}
    }
}

fn check_payloads(context: &Context, listener: &Listener) {
    let mut payloads = listener.function.arguments.iter().filter(|argument| argument.is_any(&PAYLOADS));
    let name = |argument: &Argument| argument.type_name().unwrap_or_default();
    if let (Some(first), Some(second)) = (payloads.next(), payloads.next()) {
        let (first, second) = (name(first), (name(second), &second.ty));
        context.error_on(
            second.1,
            format!("`{first}` and `{}` both decode the record's value; take one of them", second.0),
        );
        return;
    }
    if !listener.is_batch() {
        return;
    }
    for argument in listener.function.arguments.iter().filter(|argument| argument.is_any(&OF_ONE_RECORD)) {
        let name = name(argument);
        context.error_on(
            &argument.ty,
            format!(
                "`{name}` belongs to one record and a batch has many; read it from the records of the `Batch`"
            ),
        );
    }
}

fn check_replies(context: &Context, listener: &Listener) {
    if !listener.is_replying {
        return;
    }
    let function = &listener.function;
    if function.output().is_none() {
        let message =
            "`#[send_to]` sends what the function returns, and this one returns nothing; return the reply";
        context.error_on(&function.item.sig.ident, message);
    }
    for batch in function.arguments.iter().filter(|argument| argument.is_any(&["Batch"])) {
        let message = "`#[send_to]` answers one record, and a batch has many; take one record at a time, or send with a `Bean<KafkaTemplate>`";
        context.error_on(&batch.ty, message);
    }
}

fn check_modes(context: &Context, listener: &Listener) {
    let entries = &listener.entries;
    let (commit, mode) = (entries.known_text("commit"), entries.known_text("ack_mode"));
    let is_manual_mode = mode.is_some_and(|mode| MANUAL_MODES.contains(&mode));
    let at_mode = |message: String| {
        if let Some(entry) = entries.get("ack_mode").or_else(|| entries.get("commit")) {
            context.error_on(&entry.value, message);
        }
    };
    match (commit, mode) {
        (Some("auto"), Some(mode)) if mode != "batch" => {
            return at_mode(format!(
                "`commit = \"auto\"` leaves the moment to a timer, so `ack_mode` cannot be `{mode}`; use `commit = \"sync\"` or `\"async\"`"
            ));
        }
        (Some("transaction"), Some(mode)) if !MODES_OF_TRANSACTIONS.contains(&mode) => {
            return at_mode(format!(
                "`commit = \"transaction\"` commits with each transaction, so `ack_mode` cannot be `{mode}`; use `batch` or `record`"
            ));
        }
        (Some("manual"), Some(mode)) if !is_manual_mode => {
            return at_mode(format!(
                "`commit = \"manual\"` leaves the moment to the function, so `ack_mode` cannot be `{mode}`; drop one of them"
            ));
        }
        _ => {}
    }
    if mode == Some("record") && listener.is_batch() {
        return at_mode(
            "a batch listener settles all its records at once, so `ack_mode` cannot be `record`; use `batch`"
                .to_owned(),
        );
    }
    let is_manual = is_manual_mode || commit == Some("manual");
    if is_manual && !listener.takes_ack() {
        return at_mode(
            "a manual listener acknowledges by itself, and this function takes no `Ack`; add the argument `ack: Ack`"
                .to_owned(),
        );
    }
    let is_automatic = matches!(commit, Some("auto" | "transaction")) || mode.is_some();
    if is_automatic && !is_manual {
        let acks = listener.function.arguments.iter().filter(|argument| argument.is_any(&["Ack"]));
        for ack in acks {
            let message = if commit == Some("transaction") {
                "`Ack` has no use where the transaction commits; drop the argument"
            } else {
                "`Ack` has no use where the framework acknowledges; write `ack_mode = \"manual\"` or drop the argument"
            };
            context.error_on(&ack.ty, message);
        }
    }
}

fn check_transactions(context: &Context, listener: &Listener) {
    let entries = &listener.entries;
    let Some(commit) = entries.known_text("commit") else { return };
    if commit != "transaction" {
        for argument in
            listener.function.arguments.iter().filter(|argument| argument.is_any(&["Transaction"]))
        {
            context.error_on(
                &argument.ty,
                format!(
                    "`Transaction` is that of the record's offset, and with `commit = \"{commit}\"` there is none; write `commit = \"transaction\"`, or use `KafkaTemplate::transaction`"
                ),
            );
        }
        return;
    }
    if let (Some(ordering), Some(entry)) = (entries.known_text("ordering"), entries.get("ordering"))
        && ordering != "partition"
    {
        context.error_on(
            &entry.value,
            format!(
                "`commit = \"transaction\"` handles the records of a partition one after the other, so `ordering` cannot be `{ordering}`; drop one of them"
            ),
        );
    }
    if let Some(entry) = entries.get("partitions") {
        context.error_at(
            entry.key_span,
            "`commit = \"transaction\"` needs a group that shares the partitions out, so there cannot be `partitions`; name the topic",
        );
    }
    if let (Some("read-uncommitted"), Some(entry)) =
        (entries.known_text("isolation_level"), entries.get("isolation_level"))
    {
        context.error_on(
            &entry.value,
            "`commit = \"transaction\"` reads committed records only, so `isolation_level` cannot be `read-uncommitted`; drop one of them",
        );
    }
}

fn check_ordering(context: &Context, listener: &Listener) {
    let entries = &listener.entries;
    let (Some(ordering), Some(entry)) = (entries.known_text("ordering"), entries.get("ordering")) else {
        return;
    };
    if ordering == "partition" {
        return;
    }
    if listener.is_batch() {
        context.error_on(
            &entry.value,
            format!(
                "a batch listener handles the records of a partition together, so `ordering` cannot be `{ordering}`; take one record at a time"
            ),
        );
    }
}

fn check_thresholds(context: &Context, listener: &Listener) {
    let entries = &listener.entries;
    if entries.has("ack_mode") && entries.known_text("ack_mode").is_none() {
        return;
    }
    let mode = entries.known_text("ack_mode").unwrap_or_default();
    for (key, modes) in [("ack_count", ["count", "count-time"]), ("ack_time", ["time", "count-time"])] {
        if let Some(entry) = entries.get(key)
            && !modes.contains(&mode)
        {
            let [one, both] = modes;
            context.error_at(
                entry.key_span,
                format!("`{key}` has no effect without `ack_mode = \"{one}\"` or `ack_mode = \"{both}\"`"),
            );
        }
    }
}
