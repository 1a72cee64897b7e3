//! Random histories of one account: what is pledged is covered, and what is charged is the price of what was used.

use super::*;

/// What is done; features and reservations by number, wrapped around.
#[derive(Debug, Clone)]
enum Act {
    Grant(i64),
    Reserve(Vec<(usize, i64, i64)>),
    Use(usize, usize, i64),
    End(usize, bool),
    Consume(usize, i64),
    Record(usize, i64),
    Void(usize),
    Wait(u32),
}

fn acts(may_owe: bool) -> impl Strategy<Value = Vec<Act>> {
    let item = (0..3_usize, 1..70_i64, 0..70_i64)
        .prop_map(|(of, want, least)| (of, want, least.min(want).max(1)));
    let act = prop_oneof![
        2 => (1..6_000_i64).prop_map(Act::Grant),
        4 => prop::collection::vec(item, 1..4).prop_map(Act::Reserve),
        5 => (0..8_usize, 0..3_usize, 1..60_i64).prop_map(|(which, item, units)| Act::Use(which, item, units)),
        3 => (0..8_usize, any::<bool>()).prop_map(|(which, commit)| Act::End(which, commit)),
        3 => (0..3_usize, 1..70_i64).prop_map(|(of, units)| Act::Consume(of, units)),
        if may_owe { 3 } else { 1 } => (0..3_usize, 1..70_i64).prop_map(|(of, units)| Act::Record(of, units)),
        1 => (0..20_usize).prop_map(Act::Void),
        2 => (0..40_u32).prop_map(Act::Wait),
    ];
    let keep = move |act: &Act| may_owe || !matches!(act, Act::Record(..) | Act::Void(_));
    prop::collection::vec(act.prop_filter("what may owe", keep), 1..60)
}

impl History {
    fn run(&mut self, act: &Act) -> i64 {
        let effects = &mut Effects::default();
        self.account.advance(self.now);
        self.account.expire(self.now, effects).unwrap();
        self.account.book.sweep(self.now);
        match act {
            Act::Grant(amount) => self.grant(*amount),
            Act::Reserve(items) => {
                let before = self.account.clone();
                let made = self.reserve(items);
                match made {
                    Some(id) => self.open.push(id),
                    None => assert_eq!(
                        (&before.book, before.counters.len(), &before.pledges),
                        (
                            &self.account.book,
                            self.account.counters.len(),
                            &self.account.pledges
                        ),
                        "nothing stays held"
                    ),
                }
            }
            Act::Use(which, item, units) => return self.use_up(*which, *item, *units),
            Act::End(which, commit) => {
                if !self.open.is_empty() {
                    let id = self.open.remove(which % self.open.len());
                    let how = if *commit {
                        Ended::Committed
                    } else {
                        Ended::Released
                    };
                    let _ = self.account.end(&id, how, self.now, effects).unwrap();
                }
            }
            Act::Consume(of, units) => return self.consume(*of, *units),
            Act::Record(of, units) => {
                self.record(*of, *units, None);
            }
            Act::Void(which) => self.void(*which),
            Act::Wait(seconds) => self.now = self.now.plus(Span::from_secs(*seconds)),
        }
        0
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What was reserved or checked is covered: it never comes to be owed. In the end what was charged is the price of
    /// all that was used, whatever came between.
    #[test]
    fn what_is_pledged_is_covered(acts in acts(false)) {
        let mut history = History::new();
        for act in &acts {
            let owed = history.run(act);
            prop_assert_eq!(owed, 0, "{:?}", act);
            history.compare()?;
        }
        history.charged_is_due()?;
    }

    /// Usage that nobody asked for first is charged all the same. What is charged is the price of what was used and not
    /// taken back, at each step, whichever use that was.
    #[test]
    fn what_is_used_is_charged_and_what_is_taken_back_comes_back(acts in acts(true)) {
        let mut history = History::new();
        for act in &acts {
            history.run(act);
            history.compare()?;
            history.charged_is_due()?;
        }
    }
}
