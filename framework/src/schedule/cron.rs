//! Cron: when the next run is, in a time zone, and waiting for that moment of the wall clock.
//!
//! `tokio-cron-scheduler` waits for the moment, because it compares the wall clock and so survives a clock that is set
//! or a machine that slept. The moment itself is computed here, with the parser that it uses too: its own time zones
//! keep the offset of the moment at which a job was added, so that every run would be off by an hour after the next
//! daylight saving change.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use tokio::sync::oneshot;
use tokio_cron_scheduler::{Job as Alarm, JobScheduler, JobSchedulerError};

/// The scheduler rounds to seconds, so it is asked to wake so much early, and the rest is slept.
const WAKE_EARLY: chrono::Duration = chrono::Duration::seconds(2);

/// A parsed cron expression and its time zone.
#[derive(Debug, Clone)]
pub(crate) struct CronPlan {
    cron: Box<Cron>,
    zone: Tz,
}

/// What is wrong with a schedule, and with which key of it.
#[derive(Debug)]
pub(crate) struct CronFault {
    /// `cron` or `zone`.
    pub(crate) key: &'static str,
    /// What was found and what was expected.
    pub(crate) message: String,
}

impl CronPlan {
    /// Parses an expression of six fields (second, minute, hour, day of month, month, day of week) and an IANA zone.
    pub(crate) fn parse(expression: &str, zone: &str) -> Result<Self, CronFault> {
        let parser = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
        let cron = parser.parse(expression).map_err(|error| {
            let fields = "second minute hour day-of-month month day-of-week";
            let message =
                format!("`{expression}` is not a cron expression of six fields ({fields}): {error}");
            CronFault { key: "cron", message }
        })?;
        let zone = Tz::from_str(zone).map_err(|_| {
            let message = format!(
                "`{zone}` is not a time zone; expected an IANA name such as `UTC` or `Europe/Berlin`"
            );
            CronFault { key: "zone", message }
        })?;
        Ok(Self { cron: Box::new(cron), zone })
    }

    /// The first moment after `after`; `None` if there is none.
    pub(crate) fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = after.with_timezone(&self.zone);
        self.cron.find_next_occurrence(&local, false).ok().map(|next| next.with_timezone(&Utc))
    }
}

/// Waits for moments of the wall clock.
pub(super) struct WallClock {
    scheduler: JobScheduler,
}

impl WallClock {
    pub(super) async fn start() -> Result<Self, JobSchedulerError> {
        let scheduler = JobScheduler::new().await?;
        scheduler.start().await?;
        Ok(Self { scheduler })
    }

    /// Returns when the wall clock shows `moment`, or later.
    pub(super) async fn until(&self, moment: DateTime<Utc>) -> Result<(), JobSchedulerError> {
        let ahead = moment - WAKE_EARLY - Utc::now();
        if let Ok(ahead) = ahead.to_std() {
            let (bell, ringing) = oneshot::channel();
            let mut bell = Some(bell);
            let alarm = Alarm::new_one_shot_async(ahead, move |_, _| {
                let bell = bell.take();
                Box::pin(async move {
                    if let Some(bell) = bell {
                        // An error means that nobody waits any more: the application is stopping.
                        let _ = bell.send(());
                    }
                })
            })?;
            self.scheduler.add(alarm).await?;
            drop(ringing.await);
        }
        while let Ok(rest) = (moment - Utc::now()).to_std() {
            if rest.is_zero() {
                break;
            }
            tokio::time::sleep(rest.min(Duration::from_secs(1))).await;
        }
        Ok(())
    }

    pub(super) async fn stop(&self) {
        // It only fails if it was never started.
        drop(self.scheduler.clone().shutdown().await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let plan = CronPlan::parse(expression, zone).unwrap();
        let mut at: DateTime<Utc> = from.parse().unwrap();
        (0..count)
            .map(|_| {
                at = plan.next(at).unwrap();
                at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            })
            .collect()
    }

    #[test]
    fn a_zone_with_daylight_saving_keeps_its_local_hour() {
        let runs = moments("0 0 9 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3);
        assert_eq!(runs, ["2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z", "2026-03-30T07:00:00Z"]);
    }

    #[test]
    fn an_hour_that_daylight_saving_repeats_runs_a_daily_job_once() {
        let runs = moments("0 30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(runs.len(), 2);
        assert!(runs[0].starts_with("2026-10-25T0"), "{runs:?}");
        assert!(runs[1].starts_with("2026-10-26T01:30"), "{runs:?}");
    }

    #[test]
    fn bad_expressions_and_zones_are_refused_with_what_was_expected() {
        let cases = [
            ("0 0 25 * * *", "UTC", "six fields"),
            ("* * *", "UTC", "six fields"),
            ("0 0 1 * * *", "Mars", "IANA"),
        ];
        for (expression, zone, expected) in cases {
            let fault = CronPlan::parse(expression, zone).unwrap_err();
            assert!(fault.message.contains(expected), "{fault:?}");
        }
    }
}
