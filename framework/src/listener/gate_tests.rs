use super::*;
use crate::config::TimeSpan;
use crate::config::model::CircuitBreakerProperties;
use crate::listener::events::EventBus;

fn gate(rate_limit: Option<f64>, enabled: bool) -> (Arc<Gate>, EventBus) {
    let circuit_breaker = CircuitBreakerProperties {
        enabled,
        minimum_number_of_calls: 2,
        wait_duration_in_open_state: TimeSpan::from_secs(10),
        permitted_number_of_calls_in_half_open_state: 1,
        ..CircuitBreakerProperties::default()
    };
    let consumer = ConsumerProperties { rate_limit, circuit_breaker, ..ConsumerProperties::default() };
    let bus = EventBus::default();
    (Gate::new("orders", &consumer, bus.of("orders")), bus)
}

fn why() -> String {
    "connection refused".to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_listener_with_neither_has_nothing_to_ask() {
    let (gate, _) = gate(None, false);
    let mut pass = Pass::new(&gate);
    assert!(!pass.is_guarded());
    assert!(pass.ask(1, Instant::now()).unwrap().failed(why), "a failure is an attempt");
    assert_eq!(gate.open_circuit(), None);
    gate.set_rate_limit(Some(1.0));
    assert!(pass.is_guarded());
}

#[tokio::test(start_paused = true)]
async fn lanes_share_one_rate_and_go_in_turn() {
    let (gate, _) = gate(Some(2.0), false);
    let began = Instant::now();
    let mut went = Vec::new();
    let mut passes = [Pass::new(&gate), Pass::new(&gate)];
    for round in 0..4 {
        for (lane, pass) in passes.iter_mut().enumerate() {
            while let Err(until) = pass.ask(1, Instant::now()).map(Ticket::succeeded) {
                pass.until(until).await;
            }
            went.push((round, lane, began.elapsed().as_millis()));
        }
    }
    let times: Vec<u128> = went.iter().map(|(_, _, at)| *at).collect();
    assert_eq!(times, [0, 500, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_under_an_old_rate_goes_by_the_new_one() {
    let (gate, _) = gate(Some(0.001), false);
    let mut pass = Pass::new(&gate);
    pass.ask(1, Instant::now()).unwrap().succeeded();
    let Err(until) = pass.ask(1, Instant::now()) else { panic!("the next one is due in 1000 s") };
    let began = Instant::now();
    let waiting = tokio::spawn(async move {
        let mut until = until;
        loop {
            pass.until(until).await;
            match pass.ask(1, Instant::now()) {
                Ok(ticket) => return ticket.succeeded(),
                Err(next) => until = next,
            }
        }
    });
    tokio::task::yield_now().await;
    gate.set_rate_limit(None);
    waiting.await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_or_a_wait_that_is_dropped_gives_its_place_back() {
    let (gate, _) = gate(Some(1.0), false);
    let now = Instant::now();
    let mut pass = Pass::new(&gate);
    drop(pass.ask(1, now).unwrap());
    pass.ask(1, now).unwrap().succeeded();
    let mut other = Pass::new(&gate);
    assert_eq!(other.ask(1, now).unwrap_err(), Until::Time(now + Duration::from_secs(1)));
    drop(other);
    assert_eq!(pass.ask(1, now).unwrap_err(), Until::Time(now + Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_lets_one_probe_through_and_the_others_when_it_has_succeeded() {
    let (gate, bus) = gate(None, true);
    let mut events = bus.receive(None);
    let (mut first, mut second) = (Pass::new(&gate), Pass::new(&gate));
    assert!(first.ask(1, Instant::now()).unwrap().failed(why), "one failure says nothing yet");
    assert!(!second.ask(1, Instant::now()).unwrap().failed(why), "this one opens the circuit");
    let open = gate.open_circuit().unwrap();
    assert_eq!(
        (open.probed_in, open.last_failure.as_str()),
        (Some(Duration::from_secs(10)), "connection refused")
    );

    let Err(until) = first.ask(1, Instant::now()) else { panic!("it is open") };
    first.until(until).await;
    let probe = first.ask(1, Instant::now()).unwrap();
    assert_eq!(second.ask(1, Instant::now()).unwrap_err(), Until::Change);
    assert_eq!(gate.open_circuit().unwrap().probed_in, None);
    let waiting = tokio::spawn(async move {
        second.until(Until::Change).await;
        second.ask(1, Instant::now()).unwrap().succeeded();
    });
    tokio::task::yield_now().await;
    probe.succeeded();
    waiting.await.unwrap();
    assert_eq!(gate.open_circuit(), None);
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(events.next().await.unwrap().unwrap().kind);
    }
    assert!(
        matches!(
            &told[..],
            [
                ListenerEventKind::CircuitOpened { reason, .. },
                ListenerEventKind::CircuitHalfOpened,
                ListenerEventKind::CircuitClosed
            ] if reason == "connection refused"
        ),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_its_lane_takes_along_leaves_its_place_to_another() {
    let (gate, _) = gate(None, true);
    let mut pass = Pass::new(&gate);
    for _ in 0..2 {
        pass.ask(1, Instant::now()).unwrap().failed(why);
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    let probe = pass.ask(1, Instant::now()).unwrap();
    let mut other = Pass::new(&gate);
    assert_eq!(other.ask(1, Instant::now()).unwrap_err(), Until::Change);
    let waiting = tokio::spawn(async move {
        other.until(Until::Change).await;
        other.ask(1, Instant::now()).unwrap().succeeded();
    });
    tokio::task::yield_now().await;
    drop(probe);
    waiting.await.unwrap();
    assert_eq!(gate.open_circuit(), None);
}
