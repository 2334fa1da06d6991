//! Scheduled jobs: fixed delay, fixed rate and cron, each job in a task of its own.
//!
//! # Invariants
//! 1. A job never overlaps itself, and one job never waits for another.
//! 2. A run that fails or panics is logged and counted; the schedule goes on.
//! 3. No run starts after `stop` was called; the run in hand may finish within the shutdown's budget.

mod cron;
mod job;
mod scheduler;

pub(crate) use cron::CronPlan;
pub use job::{Job, JobInfo, job_handler};
pub(crate) use scheduler::JobSpec;
pub use scheduler::{Scheduler, UnknownJob};
