//! Every object of the account, by kind and id, with a journal that can take changes back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Kind {
    Customer,
    PaymentMethod,
    Product,
    Price,
    Coupon,
    Discount,
    Meter,
    Session,
    PortalConfiguration,
    PortalSession,
    PaymentLink,
    Subscription,
    Schedule,
    Invoice,
    InvoiceItem,
    PaymentIntent,
    Charge,
    Refund,
    Dispute,
    WebhookEndpoint,
    Event,
    ThinEvent,
}

/// Kind, what its ids start with, and its name in answers and refusals.
const KINDS: [(Kind, &str, &str); 22] = [
    (Kind::Customer, "cus", "customer"),
    (Kind::PaymentMethod, "pm", "payment_method"),
    (Kind::Product, "prod", "product"),
    (Kind::Price, "price", "price"),
    (Kind::Coupon, "co", "coupon"),
    (Kind::Discount, "di", "discount"),
    (Kind::Meter, "mtr_test", "billing.meter"),
    (Kind::Session, "cs_test", "checkout.session"),
    (
        Kind::PortalConfiguration,
        "bpc",
        "billing_portal.configuration",
    ),
    (Kind::PortalSession, "bps", "billing_portal.session"),
    (Kind::PaymentLink, "plink", "payment_link"),
    (Kind::Subscription, "sub", "subscription"),
    (Kind::Schedule, "sub_sched", "subscription_schedule"),
    (Kind::Invoice, "in", "invoice"),
    (Kind::InvoiceItem, "ii", "invoiceitem"),
    (Kind::PaymentIntent, "pi", "payment_intent"),
    (Kind::Charge, "ch", "charge"),
    (Kind::Refund, "re", "refund"),
    (Kind::Dispute, "du", "dispute"),
    (Kind::WebhookEndpoint, "we", "webhook_endpoint"),
    (Kind::Event, "evt", "event"),
    (Kind::ThinEvent, "evt_test", "v2.core.event"),
];

impl Kind {
    /// Returns what its ids start with, without the underscore.
    pub(super) fn prefix(self) -> &'static str {
        KINDS
            .iter()
            .find(|row| row.0 == self)
            .map_or("", |row| row.1)
    }

    /// Returns the `object` of its objects.
    pub(super) fn object(self) -> &'static str {
        KINDS
            .iter()
            .find(|row| row.0 == self)
            .map_or("", |row| row.2)
    }

    /// Returns the kind that an id belongs to, by what it starts with.
    pub(super) fn of_id(id: &str) -> Option<Self> {
        let (prefix, _) = id.rsplit_once('_')?;
        KINDS.iter().find(|row| row.1 == prefix).map(|row| row.0)
    }
}

/// The objects of one kind, in the order in which they were made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Table {
    order: Vec<String>,
    rows: BTreeMap<String, Value>,
}

/// What a row was before it changed; `None`: it did not exist.
#[derive(Debug, Clone)]
struct Change {
    kind: Kind,
    id: String,
    before: Option<Value>,
}

/// A point to which the store can be taken back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Savepoint {
    journal: usize,
    counter: u64,
}

/// The objects of the account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Store {
    tables: BTreeMap<Kind, Table>,
    counter: u64,
    #[serde(skip)]
    journal: Vec<Change>,
}

impl Store {
    /// Forgets how to take back what was changed until now.
    pub(super) fn settle(&mut self) {
        self.journal.clear();
    }

    /// Marks the present state.
    pub(super) fn savepoint(&self) -> Savepoint {
        Savepoint {
            journal: self.journal.len(),
            counter: self.counter,
        }
    }

    /// Takes back every change since the mark, the newest first.
    pub(super) fn rollback(&mut self, to: Savepoint) {
        while self.journal.len() > to.journal {
            let Some(change) = self.journal.pop() else {
                break;
            };
            let table = self.tables.entry(change.kind).or_default();
            if let Some(before) = change.before {
                table.rows.insert(change.id, before);
            } else {
                table.rows.remove(&change.id);
                if table.order.last() == Some(&change.id) {
                    table.order.pop();
                } else {
                    table.order.retain(|id| *id != change.id);
                }
            }
        }
        self.counter = to.counter;
    }

    /// Returns an id that was never given out: the prefix and a number.
    pub(super) fn new_id(&mut self, prefix: &str) -> String {
        self.counter += 1;
        format!("{prefix}_1{:023}", self.counter)
    }

    /// Returns an object that exists.
    pub(super) fn get(&self, kind: Kind, id: &str) -> Option<&Value> {
        self.tables.get(&kind)?.rows.get(id)
    }

    /// Writes an object under its `id`.
    pub(super) fn put(&mut self, kind: Kind, object: Value) {
        let id = object["id"].as_str().unwrap_or_default().to_owned();
        let table = self.tables.entry(kind).or_default();
        let before = table.rows.insert(id.clone(), object);
        // One that was taken away and comes back has its place still.
        let is_new = before.is_none();
        let placed = || table.order.len() >= table.rows.len() && table.order.contains(&id);
        if is_new && !placed() {
            table.order.push(id.clone());
        }
        self.journal.push(Change { kind, id, before });
    }

    /// Takes an object away.
    pub(super) fn remove(&mut self, kind: Kind, id: &str) {
        let Some(table) = self.tables.get_mut(&kind) else {
            return;
        };
        let before = table.rows.remove(id);
        if before.is_some() {
            self.journal.push(Change {
                kind,
                id: id.to_owned(),
                before,
            });
        }
    }

    /// Returns the objects of a kind, oldest first.
    pub(super) fn all(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Value> {
        self.tables
            .get(&kind)
            .into_iter()
            .flat_map(|table| table.order.iter().filter_map(|id| table.rows.get(id)))
    }

    /// Drops the oldest objects of a kind for as long as they are old; nothing takes this back.
    pub(super) fn prune(&mut self, kind: Kind, old: impl Fn(&Value) -> bool) {
        if let Some(table) = self.tables.get_mut(&kind) {
            let gone = table
                .order
                .iter()
                .take_while(|id| table.rows.get(*id).is_none_or(&old))
                .count();
            for id in table.order.drain(..gone) {
                table.rows.remove(&id);
            }
        }
    }
}
