//! `kafka.consumer.circuit-breaker`: when a listener stops calling its handler for a while.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::TimeSpan;

/// `kafka.consumer.circuit-breaker`: pauses a listener while nearly every call of its handler fails, as when a database is
/// down, and probes whether it works again. The names are those of Resilience4j.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CircuitBreakerProperties {
    /// Whether there is one. Default `false`.
    pub enabled: bool,
    /// The share of failed calls, in percent, from which the circuit opens. Default 50.
    #[schemars(range(min = 1.0, max = 100.0))]
    pub failure_rate_threshold: f64,
    /// How many of the last calls count. Default 100.
    #[schemars(range(min = 1, max = 100_000))]
    pub sliding_window_size: u32,
    /// How many calls there must be before their share of failures says anything. Default 20.
    #[schemars(range(min = 1, max = 100_000))]
    pub minimum_number_of_calls: u32,
    /// How long the circuit stays open before the handler is probed. Default 30 s.
    #[schemars(extend("x-minimum" = "1ms"))]
    pub wait_duration_in_open_state: TimeSpan,
    /// How many calls are let through as probes; their share of failures closes the circuit, or opens it again.
    /// Default 3.
    #[schemars(range(min = 1, max = 10_000))]
    pub permitted_number_of_calls_in_half_open_state: u32,
}

impl Default for CircuitBreakerProperties {
    fn default() -> Self {
        Self {
            enabled: false,
            failure_rate_threshold: 50.0,
            sliding_window_size: 100,
            minimum_number_of_calls: 20,
            wait_duration_in_open_state: TimeSpan::from_secs(30),
            permitted_number_of_calls_in_half_open_state: 3,
        }
    }
}
