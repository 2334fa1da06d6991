//! What goes wrong, and when.

use std::time::Duration;

use super::cluster::Cluster;
use super::dice::Dice;
use super::history::Note;
use super::plan::Plan;
use super::seat::{Seat, resume_all};
use crate::listener::control::SeekTo;

/// Bad luck: it strikes every now and then, with one of the faults that a plan allows.
pub(super) struct Misfortune {
    dice: Dice,
    kinds: Vec<Fault>,
    next: Duration,
    /// How long it waits at most.
    rest_max_ms: u64,
    partitions: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Crash,
    Stop,
    Rebalance,
    Expire,
    Cut,
    Outage,
    Pause,
    PausePartition,
    Resume,
    Seek,
    Stall,
}

impl Misfortune {
    pub(super) fn new(mut dice: Dice, plan: &Plan) -> Self {
        let faults = plan.faults;
        let all = [
            (faults.crash, Fault::Crash),
            (faults.stop, Fault::Stop),
            (faults.rebalance, Fault::Rebalance),
            (faults.expire, Fault::Expire),
            (faults.cut, Fault::Cut),
            (faults.outage, Fault::Outage),
            (faults.pause, Fault::Pause),
            (faults.pause, Fault::PausePartition),
            (faults.pause, Fault::Resume),
            (faults.pause, Fault::Resume),
            (faults.seek, Fault::Seek),
            (faults.stall, Fault::Stall),
        ];
        let kinds = all.into_iter().filter(|(is_there, _)| *is_there).map(|(_, fault)| fault).collect();
        let rest_max_ms = dice.pick(&[400, 1500, 5000]);
        let next = dice.millis(0, 3000);
        Self { kinds, next, rest_max_ms, partitions: plan.partitions, dice }
    }

    /// Lets something go wrong, if it is time.
    pub(super) fn strike(&mut self, cluster: &Cluster, seats: &mut [Seat]) {
        let now = cluster.world().now();
        if now < self.next || self.kinds.is_empty() {
            return;
        }
        self.next = now + self.dice.millis(50, self.rest_max_ms);
        let fault = self.dice.pick(&self.kinds);
        let place = self.dice.index(seats.len());
        let consumer = seats[place].consumer();
        let time = self.time(fault);
        let note = Note::Fault {
            what: name(fault),
            consumer,
            millis: u64::try_from(time.as_millis()).unwrap_or_default(),
        };
        cluster.world().note(note);
        if fault == Fault::Resume {
            return resume_all(seats);
        }
        self.let_happen(fault, time, cluster, &mut seats[place]);
    }

    /// How long it lasts, or how long until a consumer starts that ended.
    fn time(&mut self, fault: Fault) -> Duration {
        match fault {
            Fault::Cut => {
                let longest = self.dice.pick(&[300, 3000, 12000]);
                self.dice.millis(50, longest)
            }
            Fault::Outage => self.dice.millis(50, 8000),
            Fault::Stall => {
                let longest = self.dice.pick(&[100, 3000]);
                self.dice.millis(5, longest)
            }
            Fault::Crash | Fault::Stop => self.dice.millis(0, 3000),
            _ => Duration::ZERO,
        }
    }

    fn let_happen(&mut self, fault: Fault, time: Duration, cluster: &Cluster, seat: &mut Seat) {
        let partition = i32::try_from(self.dice.below(u64::from(self.partitions.unsigned_abs())));
        let partition = partition.unwrap_or_default();
        let Some(consumer) = seat.consumer() else {
            return seat.wants_to_run_after(time);
        };
        match fault {
            Fault::Crash => {
                seat.crash();
                seat.wants_to_run_after(time);
            }
            Fault::Stop => {
                seat.stop();
                seat.wants_to_run_after(time);
            }
            Fault::Rebalance => cluster.world().share_out_anew(),
            Fault::Expire => cluster.world().remove(consumer),
            Fault::Cut => {
                let mut world = cluster.world();
                let until = world.now() + time;
                let member = world.member(consumer);
                member.cut_until = member.cut_until.max(until);
            }
            Fault::Outage => {
                let mut world = cluster.world();
                world.outage_until = world.outage_until.max(world.now() + time);
            }
            Fault::Pause => seat.pause(),
            Fault::PausePartition => seat.pause_partition(partition),
            // Concerns all of them.
            Fault::Resume => {}
            Fault::Seek => {
                let end = cluster.world().logs[usize::try_from(partition).unwrap_or_default()].end;
                let offset = i64::try_from(self.dice.below(end.unsigned_abs() + 1)).unwrap_or_default();
                let to = [SeekTo::Beginning, SeekTo::End, SeekTo::Offset(offset), SeekTo::Offset(offset)];
                seat.seek(partition, to[self.dice.index(to.len())]);
            }
            Fault::Stall => cluster.world().stall(consumer, time),
        }
    }
}

fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::Crash => "crash",
        Fault::Stop => "stop",
        Fault::Rebalance => "rebalance",
        Fault::Expire => "expire",
        Fault::Cut => "cut",
        Fault::Outage => "outage",
        Fault::Pause => "pause",
        Fault::PausePartition => "pause a partition",
        Fault::Resume => "resume",
        Fault::Seek => "seek",
        Fault::Stall => "stall",
    }
}
