//! What clients do with wallets: drawn, and noted when it is answered.

use std::collections::{BTreeMap, VecDeque};

use super::Client;
use super::calls::{Holdings, Reserved, event};
use super::job::{Job, LONG, SHORT};
use crate::credits::Credits;
use crate::journal::{Answer, Ask};
use crate::world::{Meter, PARTS, SECOND};

/// The shortest life of a hold.
const BRIEF: i64 = SECOND;
/// What a client remembers at most of each kind.
const KEPT_MAX: usize = 64;

/// What this client has in wallets, and what it must come back to.
#[derive(Default)]
pub struct Funds {
    /// Customer, hold, what is left of it.
    holds: VecDeque<(u32, String, i64)>,
    /// What was left of holds before the capture that is on its way.
    captured: BTreeMap<String, i64>,
    /// Customer, part, grant, what it brought; whether that was money.
    grants: VecDeque<(u32, usize, String, i64, bool)>,
    /// Wallets that refused.
    broke: VecDeque<(u32, usize)>,
    /// Events that drew on wallets.
    drawn: VecDeque<(u32, String)>,
}

fn keep<T>(kept: &mut VecDeque<T>, one: T) {
    if kept.len() == KEPT_MAX {
        kept.pop_front();
    }
    kept.push_back(one);
}

impl Funds {
    /// Notes an event of work that is stored.
    pub fn drew(&mut self, customer: u32, event: &str) {
        keep(&mut self.drawn, (customer, event.to_owned()));
    }

    /// Notes what a call came to.
    pub fn take(&mut self, customer: u32, credits: &Credits, answer: &Answer) {
        let before = match credits {
            Credits::Capture { hold, .. } => self.captured.remove(hold),
            _ => None,
        };
        let moved = match answer {
            Answer::Moved(moved) => moved,
            Answer::Refused(_) => return self.refused(customer, credits),
            _ => return,
        };
        let id = moved.id.clone();
        match credits {
            Credits::Grant {
                part,
                amount,
                payment,
                ..
            } => keep(
                &mut self.grants,
                (customer, *part, id, *amount, payment.is_some()),
            ),
            // All of them are ended some time, or left to expire.
            Credits::Hold { amount, .. } => self.holds.push_back((customer, id, *amount)),
            Credits::Capture {
                amount,
                keep_open: true,
                ..
            } => {
                if let Some(left) = before.map(|before| before - amount)
                    && left > 0
                {
                    self.holds.push_back((customer, id, left));
                }
            }
            Credits::Debit { .. }
            | Credits::Capture { .. }
            | Credits::Release { .. }
            | Credits::Transfer { .. }
            | Credits::Expire { .. }
            | Credits::ClawBack { .. } => {}
        }
    }

    fn refused(&mut self, customer: u32, credits: &Credits) {
        if let Credits::Debit { part, .. }
        | Credits::Hold { part, .. }
        | Credits::Transfer { from: part, .. } = credits
        {
            keep(&mut self.broke, (customer, *part));
        }
    }
}

/// Draws what is to be done next with the wallets of a customer: mostly one thing, at times two that race each other.
pub fn draw(client: &mut Client, holdings: &mut Holdings, customer: u32) -> Vec<Job> {
    let funds = &mut holdings.funds;
    let part = client.draw.part();
    let credits = match client.draw.between(0, 99) {
        0..10 => return grant(client, customer, part),
        10..20 => match funds.broke.pop_front() {
            Some((customer, part)) => return pay(client, customer, part),
            None => return grant(client, customer, part),
        },
        20..32 => Credits::Debit {
            part,
            amount: client.draw.between(1, 120_000),
            may_owe: client.draw.chance(15),
        },
        32..47 => Credits::Hold {
            part,
            amount: client.draw.between(1, 150_000),
            ttl: if client.draw.chance(15) { BRIEF } else { LONG },
        },
        47..65 => match funds.holds.pop_front() {
            Some(held) => return end_hold(client, funds, held),
            None => return Vec::new(),
        },
        65..75 => Credits::Transfer {
            from: part,
            to: other_part(client, part),
            amount: client.draw.between(1, 150_000),
        },
        75..78 => match funds.grants.pop_front() {
            Some((customer, part, grant, _, _)) => {
                return vec![call(client, customer, Credits::Expire { part, grant })];
            }
            None => return Vec::new(),
        },
        78..81 => match funds.grants.pop_back() {
            Some((customer, part, grant, amount, true)) => {
                let amount = client.draw.between(1, amount);
                let back = Credits::ClawBack {
                    part,
                    grant,
                    amount,
                };
                return vec![call(client, customer, back)];
            }
            Some(_) | None => return Vec::new(),
        },
        81..89 => {
            let quantity = client.draw.between(1, 60);
            let id = client.draw.id();
            let work = event(id, (customer, part), (Meter::Work, quantity), None);
            return vec![Job::Consume(work)];
        }
        89..95 => {
            let quantity = client.draw.between(1, 60);
            let reserve = Ask::Reserve {
                meter: Meter::Work,
                quantity,
                least: if client.draw.chance(50) { 1 } else { quantity },
                ttl: if client.draw.chance(10) { SHORT } else { LONG },
            };
            return vec![Job::call(customer, client.draw.id(), reserve)];
        }
        _ => return void(client, funds),
    };
    vec![call(client, customer, credits)]
}

fn call(client: &mut Client, customer: u32, credits: Credits) -> Job {
    Job::call(customer, client.draw.id(), Ask::Credits(credits))
}

fn other_part(client: &mut Client, part: usize) -> usize {
    (part + if client.draw.chance(50) { 1 } else { 2 }) % PARTS.len()
}

/// Adds credits, given or paid for; some do not live long. A payment may be told twice, under two request ids, and of two
/// wallets.
fn grant(client: &mut Client, customer: u32, part: usize) -> Vec<Job> {
    let amount = client.draw.between(1_000, 400_000);
    let lives = match client.draw.between(0, 9) {
        0..2 => Some(SHORT),
        2..4 => Some(LONG),
        _ => None,
    };
    let is_paid = client.draw.chance(50);
    let credits = Credits::Grant {
        part,
        amount,
        payment: is_paid.then(|| format!("pay-{}", client.draw.id())),
        expire_time: lives.map(|lives| client.ground.began + client.ground.now() + lives),
    };
    let mut jobs = vec![call(client, customer, credits.clone())];
    if is_paid && client.draw.chance(30) {
        let mut again = credits;
        if let Credits::Grant { part, .. } = &mut again
            && client.draw.chance(50)
        {
            *part = other_part(client, *part);
        }
        jobs.push(call(client, customer, again));
    }
    jobs
}

/// Pays for credits of a wallet that lacks some: what it owes is settled first.
fn pay(client: &mut Client, customer: u32, part: usize) -> Vec<Job> {
    let credits = Credits::Grant {
        part: if client.draw.chance(50) { part } else { 0 },
        amount: client.draw.between(200_000, 2_000_000),
        payment: Some(format!("pay-{}", client.draw.id())),
        expire_time: None,
    };
    vec![call(client, customer, credits)]
}

/// Ends a hold in one of its ways, at times in two at once.
fn end_hold(
    client: &mut Client,
    funds: &mut Funds,
    (customer, hold, left): (u32, String, i64),
) -> Vec<Job> {
    let part = client.draw.between(1, left);
    let (all, release) = (
        Credits::Capture {
            hold: hold.clone(),
            amount: left,
            is_all: client.draw.chance(50),
            keep_open: false,
        },
        Credits::Release { hold: hold.clone() },
    );
    let some = |keep_open| Credits::Capture {
        hold: hold.clone(),
        amount: part,
        is_all: false,
        keep_open,
    };
    let ways = match client.draw.between(0, 99) {
        0..30 => {
            funds.captured.insert(hold.clone(), left);
            vec![some(true)]
        }
        30..50 => vec![all],
        50..65 => vec![some(false)],
        65..80 => vec![release],
        80..90 => vec![all, release],
        90..95 => vec![some(false), release],
        // It is left to expire, or for ever.
        _ => Vec::new(),
    };
    ways.into_iter()
        .map(|credits| call(client, customer, credits))
        .collect()
}

/// Takes back an event that drew; at times it is tried again under another request id.
fn void(client: &mut Client, funds: &mut Funds) -> Vec<Job> {
    let Some((customer, event)) = funds.drawn.pop_front() else {
        return Vec::new();
    };
    if client.draw.chance(20) {
        keep(&mut funds.drawn, (customer, event.clone()));
    }
    vec![Job::call(customer, client.draw.id(), Ask::Void { event })]
}

/// Uses up what a reservation of work set aside.
pub fn work_of(client: &mut Client, reserved: &Reserved) -> super::wire::Event {
    // Now and then more than was reserved.
    let most = reserved.granted + if client.draw.chance(10) { 10 } else { 0 };
    let quantity = client.draw.between(0, most);
    event(
        client.draw.id(),
        (reserved.customer, 0),
        (Meter::Work, quantity),
        Some(reserved.reservation.clone()),
    )
}
