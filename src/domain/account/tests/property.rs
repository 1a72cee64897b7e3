//! L3 as a property of random histories of one account.

use proptest::prelude::*;

use super::super::Ended;
use super::{account, record, reserve, start};
use crate::domain::account::Effects;
use crate::domain::id::{MeterId, ReservationId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::ItemHold;
use crate::domain::time::Span;

/// One step of a random history.
#[derive(Debug, Clone)]
enum Act {
    Reserve(i64, i64),
    Use(usize, i64),
    End(usize, bool),
    Record(i64, i64),
    Wait(u32),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (1..60_i64, 0..60_i64).prop_map(|(want, least)| Act::Reserve(want, least.min(want).max(1))),
        (0..8_usize, 0..40_i64).prop_map(|(which, units)| Act::Use(which, units)),
        (0..8_usize, any::<bool>()).prop_map(|(which, commit)| Act::End(which, commit)),
        (0..20_i64, 0..90_000_i64).prop_map(|(units, back)| Act::Record(units, back)),
        (0..4000_u32).prop_map(Act::Wait),
    ];
    proptest::collection::vec(act, 1..80)
}

proptest! {
    /// L3: what raises `reserved` leaves `used + reserved` within every limit; and reserved is the fold of what
    /// open reservations hold.
    #[test]
    fn reservations_never_exceed_a_limit(acts in acts()) {
        let mut account = account("basic");
        let mut now = start();
        let mut made = 0;
        let mut open: Vec<ReservationId> = Vec::new();
        for act in acts {
            account.advance(now);
            let mut effects = Effects::default();
            account.expire(now, &mut effects).unwrap();
            match act {
                Act::Reserve(want, least) => {
                    made += 1;
                    let id = format!("r{made}");
                    let reserved = reserve(&mut account, &id, &[("tokens", want, least)], now);
                    if let Some(reservation) = reserved.reservation {
                        open.push(reservation.id);
                        for (slot, amount) in [(0, 100_000), (1, 40_000)] {
                            let counter = &account.counters[slot];
                            let taken = counter.used(now).0 + counter.reserved.0;
                            prop_assert!(taken <= amount, "slot {slot}: {taken} of {amount}");
                        }
                    }
                }
                Act::Use(which, units) => {
                    if let Some(id) = open.get(which).cloned()
                        && let Some(held) = account.open_reservation(&id, now)
                    {
                        let at = held.reserve_time;
                        let meter = MeterId::new("tokens").unwrap();
                        account.use_up(&id, &meter, Milli(units * 1000), &mut effects).unwrap();
                        record(&mut account, units, at, now);
                    }
                }
                Act::End(which, commit) => {
                    if which < open.len() {
                        let id = open.remove(which);
                        let how = if commit { Ended::Committed } else { Ended::Released };
                        let _ = account.end(&id, how, now, &mut effects).unwrap();
                    }
                }
                Act::Record(units, back) => {
                    let at = now.minus(Span::from_micros_clamped(back * 1_000_000));
                    record(&mut account, units, at, now);
                }
                Act::Wait(seconds) => now = now.plus(Span::from_secs(seconds)),
            }
            for (slot, counter) in account.counters.iter().enumerate() {
                let held: i64 = account
                    .reservations
                    .values()
                    .flat_map(|reservation| &reservation.items)
                    .filter_map(|item| match &item.hold {
                        ItemHold::Quota { reserved, windows, .. } => {
                            let spec = &account.rights.tracked[slot];
                            let here = windows
                                .iter()
                                .any(|held| held.spec == *spec && held.start == counter.start());
                            here.then_some(reserved.0)
                        }
                        _ => None,
                    })
                    .sum();
                prop_assert_eq!(held, counter.reserved.0);
            }
        }
    }
}
