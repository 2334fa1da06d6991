//! Which requests rules hit, and how often.

use super::super::record::tests::request;
use super::super::request::RequestedTopic;
use super::*;

fn builder(state: &Arc<State>) -> RuleBuilder {
    RuleBuilder::new(Arc::clone(state), Some(ApiKey::Produce))
}

fn hits(state: &Arc<State>, times: usize) -> Vec<usize> {
    (0..times).map(|_| state.controls.rules.actions_on(&request("a")).len()).collect()
}

#[test]
fn a_rule_skips_and_counts_and_ends_with_its_guard() {
    let state = Arc::new(State::with_topics(&[]));
    assert!(state.controls.are_idle());
    let rule = builder(&state).skip(1).times(2).cut();
    assert!(!state.controls.are_idle());
    assert_eq!(hits(&state, 4), [0, 1, 1, 0]);
    assert_eq!(rule.hits(), 2);
    drop(rule);
    assert!(state.controls.are_idle());
    let rule = builder(&state).cut();
    assert_eq!(hits(&state, 1), [1]);
    assert_eq!(rule.cancel(), 1);
    assert_eq!(hits(&state, 1), [0]);
}

#[test]
fn of_two_rules_that_decide_the_older_one_counts_and_delays_add_up() {
    let state = Arc::new(State::with_topics(&[]));
    let second = Duration::from_secs(1);
    let rules = [
        builder(&state).delay(second),
        builder(&state).times(1).lose_answer(),
        builder(&state).fail(ResponseError::KafkaStorageError),
        builder(&state).delay_answer(second),
    ];
    let both = [Action::Delay(second), Action::LoseAnswer, Action::DelayAnswer(second)];
    assert_eq!(state.controls.rules.actions_on(&request("a")), both);
    assert_eq!(rules[2].hits(), 0);
    let then = state.controls.rules.actions_on(&request("a"));
    assert_eq!(then[1], Action::Fail(ResponseError::KafkaStorageError));
}

#[test]
fn every_condition_has_to_hold() {
    let state = Arc::new(State::with_topics(&[]));
    let mut asked = request("a");
    asked.group = Some("billing".to_owned());
    asked.topics = vec![RequestedTopic::new("orders", vec![3]), RequestedTopic::new("bills", vec![4])];
    let cases = [
        (builder(&state).broker(1), true),
        (builder(&state).broker(2), false),
        (builder(&state).client_id("a"), true),
        (builder(&state).client_id("b"), false),
        (builder(&state).topic("orders"), true),
        (builder(&state).topic("others"), false),
        (builder(&state).partition(4), true),
        (builder(&state).topic("orders").partition(4), false),
        (builder(&state).topic("bills").partition(4).client_id("b"), false),
        (builder(&state).group("billing"), true),
        (builder(&state).group("shipping"), false),
        (builder(&state).matching(|request| request.version == 9), true),
        (builder(&state).matching(|_| true).matching(|_| false), false),
        (RuleBuilder::new(Arc::clone(&state), Some(ApiKey::Fetch)), false),
        (RuleBuilder::new(Arc::clone(&state), None), true),
    ];
    for (builder, expected) in cases {
        let rule = builder.cut();
        let hit = !state.controls.rules.actions_on(&asked).is_empty();
        assert_eq!(hit, expected, "{rule:?}");
    }
}
