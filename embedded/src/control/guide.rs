//! The way of a request while somebody looks: it is taken down, the rules are applied, and its outcome is noted.

use std::time::Duration;

use bytes::BytesMut;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use tokio::time::sleep;

use super::details;
use super::link::Pace;
use super::request::RequestOutcome;
use super::rules::Action;
use crate::api::{self, Caller, refusals};
use crate::state::State;
use crate::wire::{Malformed, Request};

/// What becomes of a connection after a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It goes on, with this answer, or with none for a request that wants none; at this pace, if it is slow.
    Answer(Option<BytesMut>, Option<Pace>),
    Close,
}

/// What all rules together want.
#[derive(Debug, Default)]
struct Plan {
    before: Duration,
    after: Duration,
    pace: Option<Pace>,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Fail(ResponseError),
    LoseAnswer,
    Cut,
}

/// Answers a request, or not, as the rules want it.
///
/// # Errors
/// As [`api::answer`].
pub(crate) async fn answer(
    state: &State,
    caller: &Caller,
    request: &mut Request,
    size: usize,
) -> Result<Verdict, Malformed> {
    request.is_observed = true;
    let mut received = details::describe(state, caller, request);
    let entry = state.controls.record.arrived(&mut received);
    let plan = Plan::of(state.controls.rules.actions_on(&received));
    if let Some(pace) = plan.pace {
        pace.take(size).await;
    }
    pause(plan.before).await;
    let answer = match plan.end {
        Some(End::Cut) => return Ok(Verdict::Close),
        Some(End::Fail(error)) => {
            let refused = refusals::refuse(request, error)?;
            if refused.is_none() {
                return Ok(Verdict::Close);
            }
            refused
        }
        Some(End::LoseAnswer) | None => api::answer(state, caller, request).await?,
    };
    pause(plan.after).await;
    let error = ResponseError::try_from_code(request.outcome());
    if matches!(plan.end, Some(End::LoseAnswer)) {
        entry.ends(RequestOutcome::AnswerLost(error));
        return Ok(Verdict::Close);
    }
    let unanswered = request.key == ApiKey::Produce && answer.is_none();
    entry.ends(if unanswered { RequestOutcome::Unanswered } else { RequestOutcome::Answered(error) });
    Ok(Verdict::Answer(answer, plan.pace))
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

impl Plan {
    fn of(actions: Vec<Action>) -> Self {
        let mut plan = Self::default();
        for action in actions {
            match action {
                Action::Delay(delay) => plan.before += delay,
                Action::DelayAnswer(delay) => plan.after += delay,
                Action::Slow(link) => {
                    plan.before += link.added_latency();
                    plan.pace = link.pace().map(|pace| pace.slower(plan.pace)).or(plan.pace);
                }
                Action::Fail(error) => plan.end = Some(End::Fail(error)),
                Action::LoseAnswer => plan.end = Some(End::LoseAnswer),
                Action::Cut => plan.end = Some(End::Cut),
            }
        }
        plan
    }
}
