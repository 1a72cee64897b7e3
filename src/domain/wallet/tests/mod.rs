//! The laws of wallets, against counting coin by coin; and each refusal with its numbers.

mod coins;
mod refusals;

use proptest::prelude::*;

use self::coins::Coins;
use super::*;

/// An instant so many seconds after the beginning.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros_clamped(1_000_000_000_000_000 + seconds * 1_000_000)
}

fn grant_id(number: usize) -> GrantId {
    GrantId::new(format!("g{number}")).unwrap()
}

fn hold_id(number: usize) -> HoldId {
    HoldId::new(format!("h{number}")).unwrap()
}

fn wallets() -> [Wallet; 2] {
    let agent = SubaccountId::new("agent").unwrap();
    [Wallet::new(None, "LUC"), Wallet::new(Some(agent), "LUC")]
}

/// What is done to one of two wallets; numbers name earlier grants and holds, wrapped around.
#[derive(Debug, Clone)]
enum Step {
    Wait(i64),
    Grant {
        amount: i64,
        priority: i32,
        is_paid: bool,
        lives: Option<i64>,
    },
    Debit(i64, Cover),
    Hold(i64, i64),
    Capture(usize, i64, bool),
    Release(usize),
    Sweep,
    Expire(usize),
    ClawBack(usize, i64),
    Transfer(i64),
    RollOver(usize, i64, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let cover = prop_oneof![Just(Cover::Full), Just(Cover::Owe)];
    let lives = prop::option::of(1..40_i64);
    prop_oneof![
        2 => (0..15_i64).prop_map(Step::Wait),
        4 => (1..30_i64, 0..3_i32, any::<bool>(), lives).prop_map(
            |(amount, priority, is_paid, lives)| Step::Grant { amount, priority, is_paid, lives }
        ),
        3 => (1..25_i64, cover).prop_map(|(amount, cover)| Step::Debit(amount, cover)),
        4 => (1..25_i64, 1..30_i64).prop_map(|(amount, lives)| Step::Hold(amount, lives)),
        3 => (0..8_usize, 0..20_i64, any::<bool>()).prop_map(|(hold, amount, last)| Step::Capture(hold, amount, last)),
        2 => (0..8_usize).prop_map(Step::Release),
        2 => Just(Step::Sweep),
        1 => (0..8_usize).prop_map(Step::Expire),
        2 => (0..8_usize, 1..30_i64).prop_map(|(grant, amount)| Step::ClawBack(grant, amount)),
        2 => (1..25_i64).prop_map(Step::Transfer),
        1 => (0..8_usize, 0..10_i64, 0..20_i64).prop_map(|(grant, min, more)| Step::RollOver(grant, min, min + more)),
    ]
}

/// What a step did, or why not; and whether the coins moved.
type Done = (Result<Vec<Transaction>, Refusal>, bool);

/// Two wallets, their ledger, and the same coin by coin.
struct Scene {
    wallets: [Wallet; 2],
    coins: [Coins; 2],
    ledger: Vec<Transaction>,
    now: i64,
    made: usize,
}

impl Scene {
    fn new() -> Self {
        Self {
            wallets: wallets(),
            coins: Default::default(),
            ledger: Vec::new(),
            now: 0,
            made: 0,
        }
    }

    fn new_grant(
        &mut self,
        amount: i64,
        priority: i32,
        is_paid: bool,
        lives: Option<i64>,
    ) -> NewGrant {
        self.made += 1;
        NewGrant {
            id: grant_id(self.made),
            amount,
            priority,
            category: if is_paid {
                Category::Paid
            } else {
                Category::Promotional
            },
            source: Source::Manual,
            reference: "test".into(),
            expire_time: lives.map(|lives| at(self.now + lives)),
        }
    }

    /// Names a grant or a hold that may be there.
    fn earlier(&self, number: usize) -> usize {
        1 + number % self.made.max(1)
    }

    /// Does a step on both sides; what either refuses, both must, with nothing changed.
    fn run(&mut self, which: usize, step: &Step) -> Result<(), TestCaseError> {
        if let Step::Wait(seconds) = step {
            self.now += seconds;
            return Ok(());
        }
        let before = self.wallets.clone();
        let (ours, theirs) = match self.spend(which, step) {
            Some(done) => done,
            None => self.fund(which, step),
        };
        match ours {
            Ok(done) => {
                prop_assert!(theirs, "{step:?} is done, and should be refused");
                self.ledger.extend(done);
            }
            Err(refusal) => {
                prop_assert!(!theirs, "{step:?} is refused: {refusal}");
                prop_assert_eq!(&before, &self.wallets, "a refusal changes nothing");
            }
        }
        self.compare()
    }

    /// Does a step that spends or sets aside; `None`: it is another.
    fn spend(&mut self, which: usize, step: &Step) -> Option<Done> {
        let now = at(self.now);
        let earlier = |number: usize| 1 + number % self.made.max(1);
        let (wallet, coins) = (&mut self.wallets[which], &mut self.coins[which]);
        Some(match *step {
            Step::Debit(amount, cover) => {
                let theirs = coins.debit(amount, cover == Cover::Owe, now);
                (wallet.debit(amount, cover, now).map(one), theirs)
            }
            Step::Hold(amount, lives) => {
                self.made += 1;
                let (id, end) = (hold_id(self.made), at(self.now + lives));
                let theirs = coins.hold(self.made, amount, end, now);
                (wallet.hold(id, amount, end, now).map(one), theirs)
            }
            Step::Capture(hold, amount, is_last) => {
                let id = earlier(hold);
                let theirs = coins.capture(id, amount, is_last, now);
                let ours = wallet.capture(&hold_id(id), amount, is_last, now);
                (ours.map(one), theirs)
            }
            Step::Release(hold) => {
                let id = earlier(hold);
                let theirs = coins.release(id, now);
                (wallet.release(&hold_id(id), now).map(one), theirs)
            }
            Step::Sweep => {
                coins.sweep(now);
                let ended = wallet.expire_holds(now).into_iter();
                let mut done: Vec<_> = ended.map(|(_, done)| done).collect();
                done.push(wallet.expire_grants(now));
                (Ok(done), true)
            }
            _ => return None,
        })
    }

    /// Does a step that brings credits, takes them back or moves them.
    fn fund(&mut self, which: usize, step: &Step) -> Done {
        let now = at(self.now);
        match *step {
            Step::Grant {
                amount,
                priority,
                is_paid,
                lives,
            } => {
                let new = self.new_grant(amount, priority, is_paid, lives);
                let theirs = self.coins[which].grant(&new, now);
                (self.wallets[which].grant(new, now).map(one), theirs)
            }
            Step::Expire(grant) => {
                let id = grant_id(self.earlier(grant));
                let theirs = self.coins[which].expire(&id, now);
                (self.wallets[which].expire_grant(&id, now).map(one), theirs)
            }
            Step::ClawBack(grant, amount) => {
                let id = grant_id(self.earlier(grant));
                let theirs = self.coins[which].claw_back(&id, amount, now);
                let ours = self.wallets[which].claw_back(&id, amount, now);
                (ours.map(one), theirs)
            }
            Step::Transfer(amount) => {
                self.made += 1;
                let id = grant_id(self.made);
                let theirs = coins::transfer(&mut self.coins, which, &id, amount, now);
                let [first, second] = &mut self.wallets;
                let (from, to) = match which {
                    0 => (first, second),
                    _ => (second, first),
                };
                (transfer(from, to, &id, amount, now).map(one), theirs)
            }
            Step::RollOver(grant, min, max) => {
                let old = grant_id(self.earlier(grant));
                let new = self.new_grant(0, 1, false, Some(30));
                let theirs = self.coins[which].roll_over(&old, (min, max), &new, now);
                let wallet = &mut self.wallets[which];
                let ours = wallet.roll_over(&[old], (min, max), new, now);
                (ours.map(one), theirs)
            }
            _ => panic!("{step:?} is not of these"),
        }
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        for transaction in &self.ledger {
            prop_assert_eq!(transaction.sum(), 0);
        }
        for (wallet, coins) in self.wallets.iter().zip(&self.coins) {
            prop_assert_eq!(audit(wallet, &self.ledger), []);
            prop_assert_eq!(wallet.receivable(), coins.owed);
            prop_assert_eq!(
                wallet.available(at(self.now)),
                coins.available(at(self.now))
            );
            for grant in wallet.grants() {
                let taken = grant.used + grant.held;
                prop_assert!(0 <= grant.used && 0 <= grant.held && taken <= grant.amount);
                prop_assert!(grant.available() >= 0 && grant.returned <= grant.amount);
                let counted = coins.counts(&grant.id);
                prop_assert_eq!(
                    (grant.used, grant.held, grant.lapsed),
                    counted,
                    "{}",
                    grant.id
                );
            }
            let sorted = wallet
                .grants()
                .windows(2)
                .all(|two| two[0].order() <= two[1].order());
            prop_assert!(sorted);
        }
        Ok(())
    }
}

fn one(transaction: Transaction) -> Vec<Transaction> {
    vec![transaction]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Every transaction sums to zero, no grant is overdrawn at any point, a hold resolves once, and balances are the
    /// fold of the entries.
    #[test]
    fn credits_are_neither_made_nor_lost(steps in prop::collection::vec((0..2_usize, step()), 1..60)) {
        let mut scene = Scene::new();
        for (which, step) in &steps {
            scene.run(*which, step)?;
        }
    }
}

#[test]
fn an_audit_names_what_is_wrong() {
    let [mut wallet, _] = wallets();
    let new = Scene::new().new_grant(10, 0, true, None);
    let mut ledger = vec![wallet.grant(new, at(0)).unwrap()];
    ledger.push(wallet.debit(4, Cover::Full, at(1)).unwrap());
    assert_eq!(audit(&wallet, &ledger), []);
    let mut unbalanced = ledger.clone();
    unbalanced[1].entries[1].amount += 1;
    let fault = LedgerFault::Unbalanced {
        transaction: 1,
        sum: 1,
    };
    assert_eq!(audit(&wallet, &unbalanced), [fault]);
    let mut overdrawn = ledger.clone();
    overdrawn.swap(0, 1);
    let fault = LedgerFault::Overdrawn {
        transaction: 0,
        entry: 0,
    };
    assert_eq!(audit(&wallet, &overdrawn), [fault]);
    ledger.pop();
    let faults = audit(&wallet, &ledger);
    assert!(
        matches!(&faults[..], [LedgerFault::Differs { .. }]),
        "{faults:?}"
    );
}

#[test]
fn what_is_held_survives_the_expiry_of_its_grant() {
    let [mut wallet, _] = wallets();
    let new = Scene::new().new_grant(10, 0, true, Some(5));
    wallet.grant(new, at(0)).unwrap();
    wallet.hold(hold_id(1), 8, at(100), at(1)).unwrap();
    assert_eq!(wallet.expire_grants(at(5)).entries.len(), 2);
    assert_eq!((wallet.available(at(6)), wallet.held()), (0, 8));
    wallet.capture(&hold_id(1), 6, true, at(7)).unwrap();
    let grant = &wallet.grants()[0];
    assert_eq!((grant.used, grant.held, grant.lapsed), (6, 0, 4));
}

#[test]
fn grants_are_used_by_priority_then_expiry_then_age_then_id() {
    let [mut wallet, _] = wallets();
    let new = |id: &str, priority, expires: Option<i64>| NewGrant {
        id: GrantId::new(id).unwrap(),
        amount: 1,
        priority,
        category: Category::Paid,
        source: Source::Manual,
        reference: "".into(),
        expire_time: expires.map(at),
    };
    for (grant, now) in [
        (new("f-late", 1, None), 3),
        (new("e-z", 1, None), 2),
        (new("d-a", 1, None), 2),
        (new("c", 1, Some(90)), 2),
        (new("b", 1, Some(80)), 2),
        (new("a", 0, None), 2),
    ] {
        wallet.grant(grant, at(now)).unwrap();
    }
    let order: Vec<&str> = wallet
        .grants()
        .iter()
        .map(|grant| grant.id.as_str())
        .collect();
    assert_eq!(order, ["a", "b", "c", "d-a", "e-z", "f-late"]);
}

#[test]
fn a_period_carries_over_at_least_the_least_and_at_most_the_most() {
    for (left, min, max, next) in [(7, 5, 20, 7), (2, 5, 20, 5), (30, 5, 20, 20), (0, 0, 20, 0)] {
        let [mut wallet, _] = wallets();
        let mut scene = Scene::new();
        let old = scene.new_grant(40, 0, false, None);
        let id = old.id.clone();
        let mut ledger = vec![wallet.grant(old, at(0)).unwrap()];
        if left < 40 {
            ledger.push(wallet.debit(40 - left, Cover::Full, at(1)).unwrap());
        }
        let new = scene.new_grant(0, 0, false, None);
        ledger.push(wallet.roll_over(&[id], (min, max), new, at(2)).unwrap());
        assert_eq!(wallet.available(at(2)), next);
        assert_eq!(audit(&wallet, &ledger), []);
    }
}
