//! Elections that somebody asks for, rather than those that a broker's end brings about.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;

use super::leadership::Leadership;

/// Who is to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Election {
    /// The first of the replicas.
    Preferred,
    /// Any live replica where nobody leads, even one that is behind. Here, none ever is.
    Unclean,
}

impl Election {
    /// By the number that Kafka's protocol has for it.
    pub(crate) fn of(number: i8) -> Result<Self, ResponseError> {
        match number {
            0 => Ok(Self::Preferred),
            1 => Ok(Self::Unclean),
            _ => Err(ResponseError::InvalidRequest),
        }
    }

    /// Has the elected replica lead in a new epoch.
    pub(crate) fn hold(
        self,
        leadership: &mut Leadership,
        end_offset: i64,
        is_live: impl Fn(BrokerId) -> bool,
    ) -> Result<(), ResponseError> {
        let preferred = leadership.replicas().first().copied();
        let is_needed = match self {
            Self::Preferred => leadership.leader() != preferred || preferred.is_none(),
            Self::Unclean => leadership.leader().is_none(),
        };
        if !is_needed {
            return Err(ResponseError::ElectionNotNeeded);
        }
        match self {
            Self::Preferred => {
                let elected = preferred.filter(|replica| is_live(*replica));
                let elected = elected.ok_or(ResponseError::PreferredLeaderNotAvailable)?;
                leadership.become_led_by(Some(elected), end_offset);
                Ok(())
            }
            Self::Unclean if leadership.elect(end_offset, is_live) => Ok(()),
            Self::Unclean => Err(ResponseError::EligibleLeadersNotAvailable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: BrokerId = BrokerId(1);
    const B: BrokerId = BrokerId(2);

    #[test]
    fn the_preferred_replica_leads_again_in_a_new_epoch_if_it_is_live() {
        let mut led = Leadership::new(vec![A, B], |_| true);
        let hold = |led: &mut Leadership, live: &[BrokerId]| {
            Election::Preferred.hold(led, 7, |replica| live.contains(&replica))
        };
        assert_eq!(hold(&mut led, &[A, B]), Err(ResponseError::ElectionNotNeeded));
        led.become_led_by(Some(B), 5);
        assert_eq!(hold(&mut led, &[B]), Err(ResponseError::PreferredLeaderNotAvailable));
        assert_eq!((led.leader(), led.epoch()), (Some(B), 1), "a failed election changes nothing");
        assert_eq!(hold(&mut led, &[A, B]), Ok(()));
        assert_eq!((led.leader(), led.epoch()), (Some(A), 2));
        led.become_led_by(None, 9);
        assert_eq!(hold(&mut led, &[]), Err(ResponseError::PreferredLeaderNotAvailable));
    }

    #[test]
    fn an_unclean_election_is_for_partitions_that_nobody_leads() {
        let mut led = Leadership::new(vec![A, B], |_| true);
        led.become_led_by(Some(B), 5);
        assert_eq!(Election::Unclean.hold(&mut led, 7, |_| true), Err(ResponseError::ElectionNotNeeded));
        led.become_led_by(None, 7);
        let nobody = Election::Unclean.hold(&mut led, 7, |_| false);
        assert_eq!(nobody, Err(ResponseError::EligibleLeadersNotAvailable));
        assert_eq!(Election::Unclean.hold(&mut led, 7, |replica| replica == B), Ok(()));
        assert_eq!((led.leader(), led.epoch()), (Some(B), 3));
    }

    #[test]
    fn other_elections_are_unknown() {
        assert_eq!(Election::of(0), Ok(Election::Preferred));
        assert_eq!(Election::of(1), Ok(Election::Unclean));
        assert_eq!([-1, 2].map(Election::of), [Err(ResponseError::InvalidRequest); 2]);
    }
}
