//! Sharing a rate out among processes, each of which counts its own part in memory.
//!
//! What all of them hold never exceeds the whole: whoever wants more waits until others have given up as much. Who gives
//! up does so at once. Shares follow what each process wants (max-min fair), and nobody is left without any, so that
//! nobody is kept from showing that it wants more.

/// All of a rate, in parts.
pub const WHOLE: u32 = 1_000_000;

/// The part that nobody goes below is a hundredth of an even share: together less than a hundredth of the whole.
const FLOOR_DIVISOR: u32 = 100;

/// What a process wants of a rate, in parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Want {
    /// What its callers asked for; it may be more than there is.
    pub parts: u32,
    /// The least that can serve the largest single call.
    pub least: u32,
}

/// Divides the whole among processes, by position: what they want and a part of what is over, or when that is too much,
/// as evenly as wants allow. The sum is at most [`WHOLE`], and each share is above zero.
#[must_use]
pub fn divide(wants: &[Want]) -> Vec<u32> {
    let count = u32::try_from(wants.len()).unwrap_or(u32::MAX).max(1);
    let floor = (WHOLE / count / FLOOR_DIVISOR).max(1);
    let wanted: Vec<u32> = wants
        .iter()
        // A quarter more than what was asked for: what is asked for grows.
        .map(|want| want.parts.saturating_add(want.parts / 4).max(want.least))
        .map(|parts| parts.clamp(floor, WHOLE))
        .collect();
    let sum: u64 = wanted.iter().copied().map(u64::from).sum();
    if sum <= u64::from(WHOLE) {
        let grow = |parts: &u32| u64::from(*parts) * u64::from(WHOLE) / sum.max(1);
        return wanted
            .iter()
            .map(|parts| u32::try_from(grow(parts)).unwrap_or(WHOLE))
            .collect();
    }
    fill(&wanted)
}

/// Gives each what it wants, as far as an even share of what is left after smaller wants goes.
fn fill(wanted: &[u32]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|nth| wanted[*nth]);
    let mut shares = vec![0; wanted.len()];
    let (mut left, mut count) = (WHOLE, u32::try_from(wanted.len()).unwrap_or(u32::MAX));
    for nth in order {
        let share = wanted[nth].min(left / count.max(1));
        shares[nth] = share;
        left -= share;
        count = count.saturating_sub(1);
    }
    shares
}

/// Returns the share that a process may take now: less at once, more only as far as others leave it.
#[must_use]
pub fn settle(current: u32, target: u32, others: u64) -> u32 {
    if target <= current {
        return target;
    }
    let free = u64::from(WHOLE).saturating_sub(others);
    let free = u32::try_from(free).unwrap_or(WHOLE);
    target.min(free.max(current))
}

/// Returns how many calls a share of a rate lets through at once: at least one, or its holder would never serve any.
#[must_use]
pub fn burst_of(burst: u32, parts: u32) -> u32 {
    let share = u64::from(burst) * u64::from(parts) / u64::from(WHOLE);
    u32::try_from(share).unwrap_or(burst).max(1)
}

/// Returns the parts that so many of a whole are, rounded up.
#[must_use]
pub fn parts_of(count: u64, whole: u64) -> u32 {
    let parts = (u128::from(count) * u128::from(WHOLE)).div_ceil(u128::from(whole.max(1)));
    // More than four times the whole tells nothing more.
    u32::try_from(parts).unwrap_or(u32::MAX).min(4 * WHOLE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn want(parts: u32) -> Want {
        Want { parts, least: 0 }
    }

    #[test]
    fn whoever_alone_wants_gets_nearly_all() {
        for others in 1..12 {
            let mut wants = vec![want(0); others];
            wants.push(want(4 * WHOLE));
            let shares = divide(&wants);
            assert!(shares[others] >= WHOLE / 100 * 98, "{shares:?}");
            assert!(shares.iter().all(|share| *share > 0));
        }
    }

    #[test]
    fn equal_wants_get_equal_shares_and_small_ones_all() {
        assert_eq!(divide(&[want(WHOLE); 3]), [333_333, 333_333, 333_334]);
        let shares = divide(&[want(80_000), want(WHOLE), want(WHOLE)]);
        assert_eq!(shares, [100_000, 450_000, 450_000]);
        assert_eq!(divide(&[Want::default(); 4]), [250_000; 4]);
    }

    #[test]
    fn a_large_call_gets_the_share_that_serves_it() {
        let large = Want {
            parts: 10_000,
            least: parts_of(9, 10),
        };
        let shares = divide(&[large, Want::default(), Want::default()]);
        assert_eq!(burst_of(10, shares[0]), 9, "{shares:?}");
    }

    proptest! {
        #[test]
        fn shares_sum_to_at_most_the_whole(
            wants in prop::collection::vec((0..5 * WHOLE, 0..=WHOLE), 1..20)
        ) {
            let wants: Vec<Want> = wants
                .into_iter()
                .map(|(parts, least)| Want { parts, least })
                .collect();
            let shares = divide(&wants);
            prop_assert!(shares.iter().map(|share| u64::from(*share)).sum::<u64>() <= u64::from(WHOLE));
            prop_assert!(shares.iter().all(|share| *share > 0));
        }

        /// Each looks at what all hold and want, in any order; wants change meanwhile.
        #[test]
        fn what_all_hold_never_exceeds_the_whole(
            turns in prop::collection::vec((0_usize..4, 0..2 * WHOLE), 1..200)
        ) {
            let (mut held, mut wants) = ([0_u32; 4], [Want::default(); 4]);
            for (who, parts) in turns {
                wants[who].parts = parts;
                let target = divide(&wants)[who];
                let others = (0..4).filter(|nth| *nth != who).map(|nth| u64::from(held[nth]));
                held[who] = settle(held[who], target, others.sum());
                prop_assert!(held.iter().map(|share| u64::from(*share)).sum::<u64>() <= u64::from(WHOLE));
            }
            // Once wants stand still, two rounds bring what each should have.
            for _ in 0..2 {
                for who in 0..4 {
                    let others = (0..4).filter(|nth| *nth != who).map(|nth| u64::from(held[nth]));
                    held[who] = settle(held[who], divide(&wants)[who], others.sum());
                }
            }
            prop_assert_eq!(held.to_vec(), divide(&wants));
        }
    }
}
