//! Work in a history made by hand that is paid from a wallet, and taken back.

use std::collections::BTreeMap;

use super::scene::{Scene, content};
use super::wallet_scene::{PAYS, available, shift};
use crate::checker::StoredVoid;
use crate::journal::{Answer, Ask, Content, Line};
use crate::wallets::rows::{About, Account, Charge};
use crate::world::{COUNTERS, Meter, SECOND};

impl Scene {
    /// Work of a multiple of three units, whose price is whole.
    pub fn work(&mut self, id: &str, quantity: i64, grant: &str, at: i64) {
        let amount = quantity / 3 * 1_000;
        self.event(PAYS, id, content(Meter::Work, quantity), at, at + 1);
        let rows = self.stored.events.get_mut(&(PAYS, id.to_owned()));
        rows.expect("it was stored")[0].charge = Some(Charge {
            part: 0,
            quantity: quantity * 1_000,
            amount,
        });
        self.draw("usage", grant, amount);
    }

    fn draw(&mut self, cause: &str, grant: &str, amount: i64) {
        self.grant_row(grant).used += amount;
        *self.stored.books.draws.entry(PAYS).or_default() += amount;
        let about = About {
            meter: Some(Meter::Work.id().to_owned()),
            ..About::default()
        };
        let entries = shift(available(grant), Account::Revenue, amount);
        self.post((PAYS, 0), cause, about, entries);
    }

    /// Takes back work, and gives back what it drew.
    pub fn void(&mut self, request: &str, id: &str, grant: &str, at: i64) {
        let key = (PAYS, id.to_owned());
        let event = self.stored.events[&key][0].clone();
        let charge = event.charge.expect("work is charged for");
        let (weighted, count_time) = (event.weighted, event.count_time);
        let void = StoredVoid {
            quantity: -event.content.quantity,
            weighted: -weighted,
            count_time,
            charge: Some(Charge {
                part: charge.part,
                quantity: -charge.quantity,
                amount: -charge.amount,
            }),
        };
        self.stored.voids.insert(key.clone(), vec![void]);
        self.stored.noted_voids.insert(key, 1);
        self.uncount(&event.content, weighted);
        self.draw("refund", grant, -charge.amount);
        let ask = Ask::Void {
            event: id.to_owned(),
        };
        self.lines.push(Line::Call {
            at: at * SECOND,
            customer: PAYS,
            request: request.to_owned(),
            ask,
        });
        self.lines.push(Line::CallAnswer {
            at: (at + 1) * SECOND,
            request: request.to_owned(),
            answer: Answer::Voided(true),
        });
    }

    fn uncount(&mut self, content: &Content, weighted: i64) {
        let rows: &mut BTreeMap<_, _> = &mut self.stored.counters;
        for ((customer, place, _), row) in rows.iter_mut() {
            if *customer == PAYS && COUNTERS[*place].meter == content.meter {
                row.used -= weighted;
            }
        }
        let total = self.stored.totals.get_mut(&(PAYS, content.meter));
        let total = total.expect("it was counted");
        *total = (total.0 - 1, total.1 - weighted);
    }
}
