//! What is wrong between the keys of a job, and with its arguments.

use proc_macro2::Span;

use crate::context::Context;
use crate::scheduled::parse::Job;

pub(crate) fn check(context: &Context, job: &Job) {
    check_trigger(context, job);
    job.function
        .reject_records(context, "a scheduled function has no record; it takes `Bean<T>` and `Config<T>`");
}

fn check_trigger(context: &Context, job: &Job) {
    let entries = &job.entries;
    let given: Vec<_> =
        ["fixed_delay", "fixed_rate", "cron"].into_iter().filter(|key| entries.has(key)).collect();
    let at = |key: &str| entries.get(key).map_or_else(Span::call_site, |entry| entry.key_span);
    match given.as_slice() {
        [] if !context.is_failed() => context.error_at(
            Span::call_site(),
            "the schedule is missing; add `fixed_delay = 1000`, `fixed_rate = \"1s\"` or `cron = \"0 0 6 * * *\"`",
        ),
        [first, second, ..] => {
            context.error_at(at(second), format!("`{first}` and `{second}` exclude each other; keep one of them"));
        }
        ["cron"] if entries.has("initial_delay") => {
            let message = "`initial_delay` has no meaning with `cron`, which names its own times; drop it";
            context.error_at(at("initial_delay"), message);
        }
        ["fixed_delay" | "fixed_rate"] if entries.has("zone") => {
            context.error_at(at("zone"), "`zone` has no meaning without `cron`; drop it");
        }
        _ => {}
    }
}
