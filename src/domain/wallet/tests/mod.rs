//! The laws of wallets, against counting coin by coin; and each refusal with its numbers.

mod coins;
mod debts;
mod examples;
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

/// Ids are in the order of their numbers, which is that in which holds end that are over together.
fn hold_id(number: usize) -> HoldId {
    HoldId::new(format!("h{number:03}")).unwrap()
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
                prop_assert!(grant.spent() >= 0 && grant.expired <= grant.lapsed);
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
