//! The checker must find what is wrong with bills: each test plants one fault in some that are right.

use super::scene::{Scene, TIMES, content};
use crate::billing::{Counted, StoredChunk, check};
use crate::checker::{Findings, Kind, StoredVoid};
use crate::world::Meter;

/// What is stored and what Stripe counted.
struct Bill {
    scene: Scene,
    counted: Counted,
}

impl Bill {
    /// The scene charges 32 tokens of one customer: those of a large event weigh two and a half. Another pays for 7, of which
    /// 5 were taken back after they were sealed.
    fn good() -> Self {
        let mut scene = Scene::good();
        scene.event(1, "x", content(Meter::Tokens, 7), 5, 6);
        scene.event(1, "y", content(Meter::Tokens, 5), 5, 6);
        let event = scene.stored.events[&(1, "y".to_owned())][0].clone();
        let void = StoredVoid {
            quantity: -event.content.quantity,
            weighted: -event.weighted,
            count_time: event.count_time,
            charge: None,
        };
        scene.stored.voids.insert((1, "y".to_owned()), vec![void]);
        let mut bill = Self {
            scene,
            counted: Counted::default(),
        };
        bill.chunk("c0 1", 0, 25);
        bill.chunk("c0 2", 0, 7);
        bill.chunk("c1 1", 1, 12);
        bill.chunk("c1 2", 1, -5);
        bill
    }

    fn chunk(&mut self, name: &str, customer: u32, value: i64) {
        let identifier = format!("bursar_{name}");
        self.counted.times.insert(identifier.clone(), 1);
        self.counted.events += 1;
        *self.counted.sums.entry(customer).or_default() += value;
        let chunk = StoredChunk {
            customer,
            identifier,
            value,
            state: "delivered".to_owned(),
        };
        self.scene.stored.chunks.insert(name.to_owned(), chunk);
    }

    fn findings(&self) -> usize {
        let mut found = Findings::default();
        check(&self.scene.stored, &self.counted, TIMES.anchor, &mut found);
        assert_eq!(found.0.len(), found.count(Kind::Billing));
        found.0.len()
    }
}

pub fn nothing_planted() {
    assert_eq!(Bill::good().findings(), 0);
}

pub fn twice() {
    let mut bill = Bill::good();
    bill.counted.times.insert("bursar_c0 2".to_owned(), 2);
    bill.counted.sums.insert(0, 39);
    bill.counted.events += 1;
    assert_eq!(bill.findings(), 3);
    // Under a name that nobody has.
    let mut bill = Bill::good();
    bill.counted.sums.insert(0, 39);
    bill.counted.events += 1;
    assert_eq!(bill.findings(), 2);
}

pub fn forgotten() {
    let mut bill = Bill::good();
    bill.counted.times.remove("bursar_c1 1");
    bill.counted.sums.insert(1, -5);
    bill.counted.events -= 1;
    assert_eq!(bill.findings(), 3);
}

pub fn never_sealed() {
    let mut bill = Bill::good();
    bill.scene.stored.chunks.remove("c0 2");
    bill.counted.sums.insert(0, 25);
    bill.counted.events -= 1;
    assert_eq!(bill.findings(), 1);
}

pub fn not_settled() {
    let mut bill = Bill::good();
    let chunk = bill.scene.stored.chunks.get_mut("c1 2");
    "sending".clone_into(&mut chunk.expect("it is there").state);
    assert_eq!(bill.findings(), 1);
}
