//! What clients do next, drawn from a seed: the same seed gives the same draws, whatever the server does.

use std::collections::VecDeque;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;

use super::wire::Event;
use crate::journal::Content;
use crate::world::{COLD, FUNDED, HOT, Meter, PARTS, SECOND};

/// Acknowledged events that a client remembers to send again.
const REMEMBERED: usize = 4096;
/// Of a hundred events, how many are sent again after they were acknowledged.
const RESENT: u32 = 5;
/// Of a hundred events, how many come under an id that is taken.
const REUSED: u32 = 2;
/// Of a hundred events, how many draw on wallets.
const WORK: u32 = 6;
const DAY: i64 = 86_400 * SECOND;

/// Draws for one client.
pub struct Draw {
    pub rng: Pcg64,
    client: usize,
    drawn: u64,
    /// The wall clock when the run began.
    began: i64,
    done: VecDeque<Event>,
}

impl Draw {
    pub fn new(seed: u64, client: usize, began: i64) -> Self {
        let stream = u64::try_from(client).expect("there are few clients");
        Self {
            rng: Pcg64::seed_from_u64(seed.wrapping_mul(1000).wrapping_add(stream)),
            client,
            drawn: 0,
            began,
            done: VecDeque::new(),
        }
    }

    /// Returns true in `percent` of a hundred draws.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_ratio(percent, 100)
    }

    /// Returns a new id: half of them UUIDs, which are stored in another way.
    pub fn id(&mut self) -> String {
        self.drawn += 1;
        if self.rng.random_ratio(1, 2) {
            uuid::Builder::from_random_bytes(self.rng.random())
                .into_uuid()
                .to_string()
        } else {
            format!("c{}-{}", self.client, self.drawn)
        }
    }

    /// Returns the next events that are only recorded. Now and then two of them have one id and differ, so that what
    /// came first is to be stored.
    pub fn facts(&mut self, count: usize) -> Vec<Event> {
        let mut facts: Vec<Event> = (0..count).map(|_| self.fact()).collect();
        if let Some(last) = facts.last().filter(|last| last.variant == 0).cloned()
            && self.chance(50)
        {
            facts.push(other(last));
        }
        facts
    }

    /// Returns the next event that is only recorded: mostly a new one, at times one that is known.
    fn fact(&mut self) -> Event {
        if !self.done.is_empty() && self.chance(RESENT + REUSED) {
            let place = self.rng.random_range(0..self.done.len());
            let mut event = self.done[place].clone();
            if self.rng.random_ratio(REUSED, RESENT + REUSED) {
                event = other(event);
            }
            return event;
        }
        if self.chance(WORK) {
            return self.work();
        }
        let meter = if self.chance(70) {
            Meter::Tokens
        } else {
            Meter::Calls
        };
        let stated = self.chance(70);
        let back = if self.chance(50) {
            60 * SECOND
        } else {
            3 * DAY
        };
        let event_time = self.began - self.rng.random_range(0..back);
        Event {
            customer: self.rng.random_range(0..COLD),
            id: self.id(),
            variant: 0,
            content: Content {
                meter,
                quantity: self.rng.random_range(0..1000),
                large: self.chance(30),
                event_time: stated.then_some(event_time),
                reservation: None,
                part: 0,
            },
        }
    }

    /// Returns the next event that draws on a wallet, whether there is something in it or not.
    fn work(&mut self) -> Event {
        let stated = self.chance(50);
        let event_time = self.began - self.rng.random_range(0..60 * SECOND);
        Event {
            customer: self.funded(),
            id: self.id(),
            variant: 0,
            content: Content {
                meter: Meter::Work,
                quantity: self.rng.random_range(0..20),
                large: false,
                event_time: stated.then_some(event_time),
                reservation: None,
                part: self.part(),
            },
        }
    }

    /// Returns a number of a range, both ends included.
    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        self.rng.random_range(least..=most)
    }

    /// Returns a hot customer.
    pub fn hot(&mut self) -> u32 {
        COLD + self.rng.random_range(0..HOT)
    }

    /// Returns a customer that pays from wallets.
    pub fn funded(&mut self) -> u32 {
        COLD + HOT + self.rng.random_range(0..FUNDED)
    }

    /// Returns a part of a customer, mostly the customer itself.
    pub fn part(&mut self) -> usize {
        if self.chance(60) {
            0
        } else {
            self.rng.random_range(1..PARTS.len())
        }
    }

    /// Remembers an event that is acknowledged, to send it again some time.
    pub fn remember(&mut self, event: Event) {
        if self.done.len() == REMEMBERED {
            // A random one goes, so that some stay for long.
            let place = self.rng.random_range(0..REMEMBERED);
            self.done.swap_remove_back(place);
        }
        if event.variant == 0 {
            self.done.push_back(event);
        }
    }
}

/// Returns an event of the same id that says something else.
pub fn other(mut event: Event) -> Event {
    event.variant = 1;
    event.content.quantity += 1;
    event
}
