//! The due integrations that a run works on, pure: those that have just become due at once, a backlog spread out.
//!
//! After an outage, or an import, everything is due together. Worked on together it would be a stampede, and the same
//! stampede again each time that these tokens expire.

use shared::crypto;
use shared::integration::AccountId;
use shared::store::integrations::Due;

/// An integration that waits longer, in seconds, is part of a backlog: neither a missed run nor one that ended early
/// makes it wait so long, and the tokens still live for two minutes at least.
const BACKLOG_AFTER: i64 = 180;
/// The minutes in which each account of a backlog has its turn once. An integration in use is refreshed every 20 to 25
/// minutes: so a backlog of all of them is refreshed hardly faster than they are anyway.
const ROUND: i64 = 20;
/// A turn lasts for so many minutes, so that none is missed when a run is, or when one has no time for all of it.
const TURN: i64 = 2;

/// The pace of a run that begins at some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    now: i64,
}

impl Pace {
    /// For a run that starts at `now` (epoch seconds).
    pub(crate) const fn at(now: i64) -> Self {
        Self { now }
    }

    /// Returns true if the run works on this one; else its turn is to come.
    pub(crate) fn takes(self, due: &Due) -> bool {
        due.refresh_at >= self.now - BACKLOG_AFTER || self.is_turn_of(&due.key.account_id)
    }

    fn is_turn_of(self, account_id: &AccountId) -> bool {
        let turn = crypto::spread(account_id.as_str(), ROUND);
        (self.now.div_euclid(60) - turn).rem_euclid(ROUND) < TURN
    }
}

#[cfg(test)]
mod tests {
    use shared::integration::Key;

    use super::*;

    /// A full hour, at which a round begins.
    const NOW: i64 = 1_800_000_000;

    fn due(number: usize, refresh_at: i64) -> Due {
        let account_id = AccountId::try_from(format!("acc_{number}")).unwrap();
        Due { key: Key { account_id, sequence: 1 }, refresh_at }
    }

    /// The minutes of an hour in which an account that waits since long has its turn.
    fn turns(number: usize) -> Vec<i64> {
        (0..60).filter(|minute| Pace::at(NOW + minute * 60).takes(&due(number, 0))).collect()
    }

    #[test]
    fn integrations_just_due_run_at_once_and_a_backlog_takes_turns() {
        let waiting = (0..).find(|number| !turns(*number).contains(&0)).unwrap();
        for (seconds, taken) in [(0, true), (105, true), (180, true), (181, false), (6 * 3600, false)] {
            assert_eq!(Pace::at(NOW).takes(&due(waiting, NOW - seconds)), taken, "{seconds}");
        }
    }

    #[test]
    fn everybody_has_a_turn_of_two_minutes_in_every_twenty() {
        for number in 0..500 {
            let turns = turns(number);
            assert_eq!(turns.len(), 6, "{turns:?}");
            assert!(turns.iter().all(|minute| turns.contains(&((minute + 20) % 60))), "{turns:?}");
            assert!(turns.iter().any(|minute| turns.contains(&((minute + 1) % 60))), "{turns:?}");
        }
    }

    #[test]
    fn a_turn_stays_the_same_across_toolchains() {
        // Calculated by Python: int.from_bytes(sha256(id).digest()[:8], "big") % 20.
        for (number, turn) in [(1, 7), (2, 9), (3, 7)] {
            assert!(turns(number).contains(&turn) && turns(number).contains(&(turn + 1)), "{number}");
        }
    }

    #[test]
    fn a_turn_is_that_of_the_wall_minute_whenever_in_it_a_run_begins() {
        for number in 0..100 {
            let at = |second| Pace::at(NOW + second).takes(&due(number, 0));
            assert!((0..60).all(|second| at(second) == at(0)), "{number}");
        }
    }

    #[test]
    fn a_backlog_is_spread_evenly_over_twenty_minutes() {
        let mut waiting: Vec<Due> = (0..10_000).map(|number| due(number, 0)).collect();

        let taken: Vec<usize> = (0..20)
            .map(|minute| {
                let before = waiting.len();
                waiting.retain(|due| !Pace::at(NOW + minute * 60).takes(due));
                before - waiting.len()
            })
            .collect();

        // The first has two shares.
        assert!((900..1100).contains(&taken[0]), "{taken:?}");
        assert!(taken[1..19].iter().all(|count| (420..580).contains(count)), "{taken:?}");
        assert_eq!((waiting.len(), taken[19]), (0, 0));
    }

    #[test]
    fn a_turn_does_not_depend_on_the_shard() {
        let of_one_shard =
            (0..16_000).filter(|number| shared::integration::shard(&due(*number, 0).key.account_id) == 3);
        let (mut all, mut taken) = (0, 0);
        for number in of_one_shard {
            all += 1;
            taken += usize::from(Pace::at(NOW).takes(&due(number, 0)));
        }

        assert!((all / 14..all / 7).contains(&taken), "{taken} of {all}");
    }
}
