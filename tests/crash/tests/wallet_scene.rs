//! A small history of wallets made by hand, and what must be stored of it.

use super::scene::Scene;
use crate::credits::{Balance, Credits, Moved};
use crate::journal::{Answer, Ask, Line};
use crate::wallets::rows::{
    About, Account, Entry, Grant, Head, Hold, HoldBody, Key, Posted, PostedBody,
};
use crate::world::{COLD, HOT, SECOND};

/// A customer that pays from wallets.
pub const PAYS: u32 = COLD + HOT;

type Entries = Vec<(Account, i64)>;

pub fn available(grant: &str) -> Account {
    Account::Available(grant.to_owned())
}

fn held(grant: &str) -> Account {
    Account::Held(grant.to_owned())
}

fn funding() -> Account {
    Account::Funding("stripe".to_owned())
}

/// Moves an amount.
pub fn shift(from: Account, to: Account, amount: i64) -> Entries {
    vec![(from, -amount), (to, amount)]
}

impl Scene {
    /// Credits that come, are spent at once, set aside, moved, taken back and end; work that draws on them, one event of
    /// which is taken back.
    pub fn funded() -> Self {
        let mut scene = Self::default();
        scene.grant("g1", 0, 100_000, Some("p1"), 1);
        scene.grant("g2", 0, 50_000, None, 2);
        scene.debit("d1", 0, "g1", 10_000, 3);
        scene.hold("h1", 0, "g1", 20_000, 4);
        scene.capture("c1", ("h1", 0, "g1"), (5_000, 15_000, true), 5);
        scene.capture("c2", ("h1", 0, "g1"), (15_000, 0, false), 6);
        scene.hold("h2", 0, "g2", 8_000, 7);
        scene.release("l1", ("h2", 0, "g2"), 8_000, 8);
        scene.transfer("t1", ("g1", 30_000), 9);
        scene.work("w1", 30, "g1", 10);
        scene.work("w2", 3, "g1", 12);
        scene.void("v1", "w2", "g1", 14);
        scene.claw_back("b1", "g1", 4_000, 16);
        scene.expire("e1", "g2", 50_000, 17);
        let ask = Credits::Debit {
            part: 1,
            amount: 40_000,
            may_owe: false,
        };
        scene.wallet_call("d2", ask, (18, 19), refused("CREDITS_INSUFFICIENT"));
        scene
    }

    /// A call to a wallet; times in seconds.
    pub fn wallet_call(
        &mut self,
        request: &str,
        credits: Credits,
        (sent, answered): (i64, i64),
        answer: Answer,
    ) {
        self.lines.push(Line::Call {
            at: sent * SECOND,
            customer: PAYS,
            request: request.to_owned(),
            ask: Ask::Credits(credits),
        });
        self.lines.push(Line::CallAnswer {
            at: answered * SECOND,
            request: request.to_owned(),
            answer,
        });
    }

    /// A call that was done, and the transaction that it made.
    fn done(
        &mut self,
        request: &str,
        credits: Credits,
        (id, told): (&str, i64),
        (part, entries): (usize, Entries),
        at: i64,
    ) {
        let about = About {
            request: Some(request.to_owned()),
            hold: matches!(
                credits,
                Credits::Hold { .. } | Credits::Capture { .. } | Credits::Release { .. }
            )
            .then(|| id.to_owned()),
            grant: matches!(credits, Credits::Grant { .. }).then(|| id.to_owned()),
            ..About::default()
        };
        let balance = self.post((PAYS, part), credits.cause(), about, entries);
        let moved = Moved {
            id: id.to_owned(),
            told,
            wallets: vec![(part, balance)],
        };
        self.wallet_call(request, credits, (at, at + 1), Answer::Moved(moved));
    }

    /// Appends a transaction, and changes grants and wallet as it says.
    pub fn post(&mut self, key: Key, cause: &str, about: About, entries: Entries) -> Balance {
        let books = &mut self.stored.books;
        let rows = books.ledger.entry(key).or_default();
        let mut balance = rows.last().map(|row| row.balance).unwrap_or_default();
        for (account, amount) in &entries {
            match account {
                Account::Available(_) => balance.available += amount,
                Account::Held(_) => balance.held += amount,
                Account::Receivable => balance.owed -= amount,
                _ => {}
            }
        }
        let number = i64::try_from(rows.len()).expect("there are few") + 1;
        let entry = |(account, amount)| Entry { account, amount };
        rows.push(Posted {
            number,
            cause: cause.to_owned(),
            body: PostedBody {
                entries: entries.into_iter().map(entry).collect(),
                about,
            },
            balance,
        });
        let owed = balance.owed;
        books.heads.insert(key, Head { number, owed });
        balance
    }

    pub fn grant_row(&mut self, id: &str) -> &mut Grant {
        let grant = self.stored.books.grants.get_mut(&(PAYS, id.to_owned()));
        grant.expect("the scene has it")
    }

    pub fn hold_row(&mut self, id: &str) -> &mut Hold {
        let hold = self.stored.books.holds.get_mut(&((PAYS, 0), id.to_owned()));
        hold.expect("the scene has it")
    }

    /// Returns the ledger of a part.
    pub fn ledger(&mut self, part: usize) -> &mut Vec<Posted> {
        self.stored.books.ledger.entry((PAYS, part)).or_default()
    }

    fn come(&mut self, id: &str, part: usize, amount: i64, payment: Option<&str>) {
        let grant = Grant {
            part,
            amount,
            used: 0,
            held: 0,
            lapsed: 0,
            payment: payment.map(|name| format!("stripe:{name}")),
        };
        let books = &mut self.stored.books;
        books.grants.insert((PAYS, id.to_owned()), grant);
    }

    pub fn grant(&mut self, id: &str, part: usize, amount: i64, payment: Option<&str>, at: i64) {
        self.come(id, part, amount, payment);
        let credits = Credits::Grant {
            part,
            amount,
            payment: payment.map(str::to_owned),
            expire_time: None,
        };
        let entries = shift(funding(), available(id), amount);
        let request = format!("rq-{id}");
        self.done(&request, credits, (id, amount), (part, entries), at);
    }

    pub fn debit(&mut self, request: &str, part: usize, grant: &str, amount: i64, at: i64) {
        self.grant_row(grant).used += amount;
        let credits = Credits::Debit {
            part,
            amount,
            may_owe: false,
        };
        let entries = shift(available(grant), Account::Revenue, amount);
        self.done(request, credits, ("", 0), (part, entries), at);
    }

    /// Spends what there is not, and pays for it afterwards: nothing of what comes can be spent.
    pub fn owe_and_pay(&mut self, amount: i64, at: i64) {
        let credits = Credits::Debit {
            part: 0,
            amount,
            may_owe: true,
        };
        let entries = shift(Account::Receivable, Account::Revenue, amount);
        self.done("owe", credits, ("", 0), (0, entries), at);
        self.come("paid", 0, amount, Some("p-owed"));
        self.grant_row("paid").used = amount;
        let credits = Credits::Grant {
            part: 0,
            amount,
            payment: Some("p-owed".to_owned()),
            expire_time: None,
        };
        let entries = shift(funding(), Account::Receivable, amount);
        self.done("pay", credits, ("paid", amount), (0, entries), at + 2);
    }

    pub fn hold(&mut self, id: &str, part: usize, grant: &str, amount: i64, at: i64) {
        self.grant_row(grant).held += amount;
        let body = HoldBody {
            amount,
            captured: 0,
            legs: vec![(grant.to_owned(), amount)],
            is_pool: false,
        };
        let key = ((PAYS, part), id.to_owned());
        let hold = Hold { state: 0, body };
        self.stored.books.holds.insert(key, hold);
        let credits = Credits::Hold {
            part,
            amount,
            ttl: 600 * SECOND,
        };
        let entries = shift(available(grant), held(grant), amount);
        let request = format!("rq-{id}");
        self.done(&request, credits, (id, amount), (part, entries), at);
    }

    /// Captures so much and leaves so much.
    fn capture(
        &mut self,
        request: &str,
        (id, part, grant): (&str, usize, &str),
        (amount, rest, keep_open): (i64, i64, bool),
        at: i64,
    ) {
        let row = self.grant_row(grant);
        row.held -= amount;
        row.used += amount;
        let hold = self.hold_row(id);
        hold.body.captured += amount;
        let told = hold.body.captured;
        hold.body.legs = vec![(grant.to_owned(), rest)];
        if rest == 0 {
            hold.body.legs.clear();
            hold.state = 1;
        }
        let credits = Credits::Capture {
            hold: id.to_owned(),
            amount,
            is_all: false,
            keep_open,
        };
        let entries = shift(held(grant), Account::Revenue, amount);
        self.done(request, credits, (id, told), (part, entries), at);
    }

    fn release(
        &mut self,
        request: &str,
        (id, part, grant): (&str, usize, &str),
        left: i64,
        at: i64,
    ) {
        self.grant_row(grant).held -= left;
        let hold = self.hold_row(id);
        hold.body.legs.clear();
        hold.state = 2;
        let credits = Credits::Release {
            hold: id.to_owned(),
        };
        let entries = shift(held(grant), available(grant), left);
        self.done(request, credits, (id, 0), (part, entries), at);
    }

    /// Moves credits from the customer to its first agent.
    fn transfer(&mut self, request: &str, (grant, amount): (&str, i64), at: i64) {
        let came = format!("{grant}.0");
        self.come(&came, 1, amount, None);
        let taken = shift(Account::Transfers, available(&came), amount);
        self.give(request, (grant, amount), (taken, Vec::new()), at);
    }

    /// Has the first agent spend what it has not, and the customer pay for it: nothing of what comes can be spent.
    pub fn owe_and_be_given(&mut self, amount: i64, at: i64) {
        let credits = Credits::Debit {
            part: 1,
            amount,
            may_owe: true,
        };
        let entries = shift(Account::Receivable, Account::Revenue, amount);
        self.done("agent-owes", credits, ("", 0), (1, entries), at);
        self.come("given", 1, amount, None);
        self.grant_row("given").used = amount;
        let taken = shift(Account::Transfers, Account::Receivable, amount);
        let settled = vec!["given".to_owned()];
        self.give("given", ("g1", amount), (taken, settled), at + 2);
    }

    /// Has the customer give to its first agent, and that take.
    fn give(
        &mut self,
        request: &str,
        (grant, amount): (&str, i64),
        (taken, settled): (Entries, Vec<String>),
        at: i64,
    ) {
        self.grant_row(grant).used += amount;
        let about = |settled| About {
            request: Some(request.to_owned()),
            settled,
            ..About::default()
        };
        let given = shift(available(grant), Account::Transfers, amount);
        let given = self.post((PAYS, 0), "transfer", about(Vec::new()), given);
        let taken = self.post((PAYS, 1), "transfer", about(settled), taken);
        let wallets = vec![(0, given), (1, taken)];
        let credits = Credits::Transfer {
            from: 0,
            to: 1,
            amount,
        };
        let moved = Moved {
            id: String::new(),
            told: 0,
            wallets,
        };
        self.wallet_call(request, credits, (at, at + 1), Answer::Moved(moved));
    }

    fn claw_back(&mut self, request: &str, grant: &str, amount: i64, at: i64) {
        self.grant_row(grant).lapsed += amount;
        let credits = Credits::ClawBack {
            part: 0,
            grant: grant.to_owned(),
            amount,
        };
        let entries = shift(available(grant), funding(), amount);
        self.done(request, credits, (grant, amount), (0, entries), at);
    }

    fn expire(&mut self, request: &str, grant: &str, rest: i64, at: i64) {
        self.grant_row(grant).lapsed += rest;
        let credits = Credits::Expire {
            part: 0,
            grant: grant.to_owned(),
        };
        let entries = shift(available(grant), Account::Expired, rest);
        self.done(request, credits, (grant, 0), (0, entries), at);
    }
}

pub fn refused(reason: &str) -> Answer {
    Answer::Refused(reason.to_owned())
}
