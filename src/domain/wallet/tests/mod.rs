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

/// The customer's wallet, and that of its agent.
fn keys() -> [WalletKey; 2] {
    let agent = SubaccountId::new("agent").unwrap();
    [WalletKey::own("LUC"), WalletKey::of(Some(&agent), "LUC")]
}

fn full() -> Cover {
    Cover::Full { owed_max: 0 }
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
    Refund(i64),
    Pool(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let cover = prop_oneof![Just(full()), Just(Cover::Owe)];
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
        1 => (1..25_i64).prop_map(Step::Refund),
        2 => (0..25_i64).prop_map(Step::Pool),
        1 => (0..8_usize, 0..10_i64, 0..20_i64).prop_map(|(grant, min, more)| Step::RollOver(grant, min, min + more)),
    ]
}

/// What came of a step, and whether the coins moved.
type Done = (Result<(), Refusal>, bool);

/// The wallets of a customer and its agent, their ledgers, and the same coin by coin.
struct Scene {
    book: Book,
    coins: [Coins; 2],
    ledgers: BTreeMap<WalletKey, Vec<Posted>>,
    now: i64,
    made: usize,
}

/// The number that the coins know the pool by.
const POOL: usize = 1_000;

impl Scene {
    fn new() -> Self {
        Self {
            book: Book::default(),
            coins: Default::default(),
            ledgers: BTreeMap::new(),
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

    /// The wallet that one of the two pays from.
    fn payer(&self, which: usize) -> usize {
        usize::from(which == 1 && self.coins[1].is_opened())
    }

    /// Does a step on both sides; what either refuses, both must, with nothing changed.
    fn run(&mut self, which: usize, step: &Step) -> Result<(), TestCaseError> {
        if let Step::Wait(seconds) = step {
            self.now += seconds;
            return Ok(());
        }
        let before: Vec<Wallet> = self.book.wallets().cloned().collect();
        let (ours, theirs) = match self.spend(which, step) {
            Some(done) => done,
            None => self.fund(which, step),
        };
        match ours {
            Ok(()) => prop_assert!(theirs, "{step:?} is done, and should be refused"),
            Err(refusal) => {
                prop_assert!(!theirs, "{step:?} is refused: {refusal}");
                let opened = self.book.wallets().filter(|wallet| wallet.is_opened());
                let before = before.iter().filter(|wallet| wallet.is_opened());
                prop_assert!(before.eq(opened), "a refusal changes nothing");
            }
        }
        let changes = self.book.take_changes(at(self.now));
        for posted in changes.posted {
            let ledger = self.ledgers.entry(posted.wallet.clone()).or_default();
            ledger.push(posted);
        }
        self.compare()
    }

    /// Does a step that spends or sets aside; `None`: it is another.
    fn spend(&mut self, which: usize, step: &Step) -> Option<Done> {
        let (now, about) = (at(self.now), About::default());
        let spender = keys()[which].owner.clone();
        let payer = self.payer(which);
        let made_by = |coins: &[Coins; 2], hold| usize::from(!coins[0].has(hold));
        Some(match *step {
            Step::Debit(amount, cover) => {
                let owes = cover == Cover::Owe;
                let theirs = self.coins[payer].debit(amount, owes, now);
                let asked = (amount, cover);
                let ours = self.book.debit(spender.as_ref(), "LUC", asked, about, now);
                (ours.map(drop), theirs)
            }
            Step::Hold(amount, lives) => {
                self.made += 1;
                let (id, end) = (hold_id(self.made), at(self.now + lives));
                let theirs = self.coins[payer].hold(self.made, amount, end, now);
                let new = NewHold {
                    id,
                    amount,
                    spender,
                    expire_time: end,
                };
                (self.book.hold("LUC", new, 0, about, now).map(drop), theirs)
            }
            Step::Capture(hold, amount, is_last) => {
                let id = self.earlier(hold);
                let coins = made_by(&self.coins, id);
                let theirs = self.coins[coins].capture(id, amount, is_last, now);
                let asked = (amount, is_last);
                let ours = self.book.capture(&hold_id(id), asked, about, now);
                (ours.map(drop), theirs)
            }
            Step::Release(hold) => {
                let id = self.earlier(hold);
                let coins = made_by(&self.coins, id);
                let theirs = self.coins[coins].release(id, now);
                (
                    self.book.release(&hold_id(id), about, now).map(drop),
                    theirs,
                )
            }
            Step::Sweep => {
                self.coins.iter_mut().for_each(|coins| coins.sweep(now));
                self.book.sweep(now);
                (Ok(()), true)
            }
            Step::Pool(target) => self.pool(payer, target, now),
            Step::Refund(amount) => {
                let theirs = self.coins[payer].refund(amount, now);
                let key = &keys()[payer];
                let done = self.book.wallet_mut(key).refund(amount, now);
                let ours = done.map(|done| self.book.post(key, done, about, now));
                (ours, theirs)
            }
            _ => return None,
        })
    }

    /// Raises or lowers what a pool holds.
    fn pool(&mut self, payer: usize, target: i64, now: Timestamp) -> Done {
        let (key, id) = (&keys()[payer], HoldId::new("pool").unwrap());
        let wallet = self.book.wallet_mut(key);
        let held = wallet.hold_of(&id).map_or(0, Hold::held);
        let done = if target > held {
            wallet.raise_pool(&id, target - held, 0, now)
        } else {
            Ok(wallet.lower_pool(&id, target, now))
        };
        let theirs = self.coins[payer].pool(POOL, target, now);
        let ours = done.map(|done| self.book.post(key, done, About::default(), now));
        (ours, theirs)
    }

    /// Does a step that brings credits, takes them back or moves them.
    fn fund(&mut self, which: usize, step: &Step) -> Done {
        let (now, about) = (at(self.now), About::default());
        let key = &keys()[which];
        match *step {
            Step::Grant {
                amount,
                priority,
                is_paid,
                lives,
            } => {
                let new = self.new_grant(amount, priority, is_paid, lives);
                let theirs = self.coins[which].grant(&new, now);
                (self.book.grant(key, new, about, now).map(drop), theirs)
            }
            Step::Expire(grant) => {
                let id = grant_id(self.earlier(grant));
                let theirs = self.coins.iter_mut().any(|coins| coins.expire(&id, now));
                (self.book.expire_grant(&id, about, now).map(drop), theirs)
            }
            Step::ClawBack(grant, amount) => {
                let id = grant_id(self.earlier(grant));
                let mut coins = self.coins.iter_mut();
                let theirs = coins.any(|coins| coins.claw_back(&id, amount, now));
                let ours = self.book.claw_back(&id, amount, about, now);
                (ours.map(drop), theirs)
            }
            Step::Transfer(amount) => {
                self.made += 1;
                let id = grant_id(self.made);
                let theirs = coins::transfer(&mut self.coins, which, &id, amount, now);
                let other = &keys()[1 - which];
                let asked = (amount, 0);
                let ours = self.book.transfer((key, other), &id, asked, &about, now);
                (ours, theirs)
            }
            Step::RollOver(grant, min, max) => {
                let old = grant_id(self.earlier(grant));
                let new = self.new_grant(0, 1, false, Some(30));
                let theirs = self.coins[which].roll_over(&old, (min, max), &new, now);
                let wallet = self.book.wallet_mut(key);
                let done = wallet.roll_over(&[old], (min, max), new, now);
                let ours = done.map(|done| self.book.post(key, done, about, now));
                (ours, theirs)
            }
            _ => panic!("{step:?} is not of these"),
        }
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let none = Vec::new();
        for (key, coins) in keys().iter().zip(&self.coins) {
            let Some(wallet) = self.book.wallet(key) else {
                continue;
            };
            let ledger = self.ledgers.get(key).unwrap_or(&none);
            prop_assert_eq!(audit(wallet, ledger), []);
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

/// A wallet of 10 that were paid for, and its ledger.
fn funded(lives: Option<i64>) -> (Book, Vec<Posted>) {
    let mut scene = Scene::new();
    let new = scene.new_grant(10, 0, true, lives);
    let key = &keys()[0];
    scene.book.grant(key, new, About::default(), at(0)).unwrap();
    let ledger = scene.book.take_changes(at(0)).posted;
    (scene.book, ledger)
}

#[test]
fn an_audit_names_what_is_wrong() {
    let (mut book, mut ledger) = funded(None);
    book.debit(None, "LUC", (4, full()), About::default(), at(1))
        .unwrap();
    ledger.extend(book.take_changes(at(1)).posted);
    let wallet = book.wallet(&keys()[0]).unwrap();
    assert_eq!(audit(wallet, &ledger), []);
    let mut unbalanced = ledger.clone();
    unbalanced[1].transaction.entries[1].amount += 1;
    let fault = LedgerFault::Unbalanced {
        transaction: 2,
        sum: 1,
    };
    assert_eq!(audit(wallet, &unbalanced), [fault]);
    let mut overdrawn = ledger.clone();
    overdrawn[1].transaction.entries[0].amount -= 7;
    let faults = audit(wallet, &overdrawn);
    let fault = LedgerFault::Overdrawn {
        transaction: 2,
        entry: 0,
        balance: -1,
    };
    assert!(faults.contains(&fault), "{faults:?}");
    let mut misstated = ledger.clone();
    misstated[0].balance.available = 9;
    let faults = audit(wallet, &misstated);
    assert!(
        matches!(&faults[..], [LedgerFault::Misstated { transaction: 1, .. }]),
        "{faults:?}"
    );
    let faults = audit(wallet, &ledger[1..]);
    assert!(
        matches!(
            faults[0],
            LedgerFault::Gap {
                expected: 1,
                found: Some(2)
            }
        ),
        "{faults:?}"
    );
    ledger.pop();
    let faults = audit(wallet, &ledger);
    assert!(
        matches!(
            &faults[..],
            [
                LedgerFault::Gap {
                    expected: 2,
                    found: None
                },
                LedgerFault::Differs { .. }
            ]
        ),
        "{faults:?}"
    );
}

#[test]
fn what_is_held_survives_the_expiry_of_its_grant() {
    let (mut book, _) = funded(Some(5));
    let wallet = book.wallet_mut(&keys()[0]);
    let new = NewHold {
        id: hold_id(1),
        amount: 8,
        spender: None,
        expire_time: at(100),
    };
    wallet.hold(new, 0, at(1)).unwrap();
    assert_eq!(wallet.expire_grants(at(5)).entries.len(), 2);
    assert_eq!((wallet.available(at(6)), wallet.held()), (0, 8));
    wallet.capture(&hold_id(1), 6, true, at(7)).unwrap();
    let grant = &wallet.grants()[0];
    assert_eq!((grant.used, grant.held, grant.lapsed), (6, 0, 4));
}

#[test]
fn grants_are_used_by_priority_then_expiry_then_age_then_id() {
    let mut wallet = Wallet::new(WalletKey::own("LUC"));
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
        let mut wallet = Wallet::new(WalletKey::own("LUC"));
        let mut scene = Scene::new();
        let old = scene.new_grant(40, 0, false, None);
        let id = old.id.clone();
        wallet.grant(old, at(0)).unwrap();
        wallet.debit(40 - left, full(), at(1)).unwrap();
        let new = scene.new_grant(0, 0, false, None);
        let done = wallet.roll_over(&[id], (min, max), new, at(2)).unwrap();
        assert_eq!((wallet.available(at(2)), done.sum()), (next, 0));
    }
}

#[test]
fn what_usage_draws_in_one_batch_is_one_transaction_a_meter() {
    let (mut book, mut ledger) = funded(None);
    let key = &keys()[0];
    for (amount, meter) in [(1, "in"), (2, "out"), (3, "in"), (9, "out"), (1, "in")] {
        let mut done = book
            .wallet_mut(key)
            .debit(amount, Cover::Owe, at(1))
            .unwrap();
        done.cause = Cause::Usage;
        let about = About {
            meter: Some(crate::domain::id::MeterId::new(meter).unwrap()),
            ..About::default()
        };
        book.post(key, done, about, at(1));
    }
    let posted = book.take_changes(at(1)).posted;
    assert_eq!(posted.len(), 2);
    let after: Vec<(i64, i64)> = posted
        .iter()
        .map(|posted| (posted.balance.available, posted.balance.receivable))
        .collect();
    assert_eq!(after, [(6, 1), (0, 6)]);
    ledger.extend(posted);
    assert_eq!(audit(book.wallet(key).unwrap(), &ledger), []);
}
