//! Documents of dealings with Stripe, as they stand while a batch is decided.

use std::collections::BTreeMap;

use super::step::Step;
use crate::storage::{BillingKey, BillingRow, Changes};

/// What the batch changed of them so far; `None`: it is to be forgotten.
#[derive(Debug, Default)]
pub(super) struct Documents(BTreeMap<BillingKey, Option<BillingRow>>);

impl Documents {
    /// Hands over what is to be written.
    pub(super) fn collect(self, changes: &mut Changes) {
        for (key, row) in self.0 {
            match row {
                Some(row) => changes.billing.push(row),
                None => changes.billing_gone.push(key),
            }
        }
    }
}

impl Step<'_, '_> {
    /// Returns the document that this mutation's nth key asked for, as earlier mutations of the batch left it.
    pub(super) fn document(&self, nth: usize, key: &BillingKey) -> Option<BillingRow> {
        if let Some(changed) = self.batch.documents.0.get(key) {
            return changed.clone();
        }
        let place = self.place.documents.start + nth;
        self.batch.found.billing.get(place).cloned().flatten()
    }

    /// Writes a document, or replaces it.
    pub(super) fn put_document(&mut self, row: BillingRow) {
        self.batch.documents.0.insert(row.key.clone(), Some(row));
    }

    /// Forgets a document.
    pub(super) fn drop_document(&mut self, key: BillingKey) {
        self.batch.documents.0.insert(key, None);
    }
}
