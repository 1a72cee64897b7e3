//! Dealings with Stripe.

use std::collections::BTreeMap;

use crate::storage::columns::{read_token, token};
use crate::storage::{BillingKey, BillingQuery, BillingRow, Changes, Page, StoreError};

/// All rows by name.
pub(super) type Billing = BTreeMap<BillingKey, BillingRow>;

/// Writes what was decided.
pub(super) fn write(billing: &mut Billing, changes: &mut Changes) {
    for key in changes.billing_gone.drain(..) {
        billing.remove(&key);
    }
    for row in changes.billing.drain(..) {
        billing.insert(row.key.clone(), row);
    }
}

/// Lists rows.
pub(super) fn page(
    billing: &Billing,
    query: &BillingQuery,
) -> Result<Page<BillingRow>, StoreError> {
    let after: Option<(i64, Box<str>)> = query.after.as_deref().map(read_token).transpose()?;
    let mut found: Vec<_> = billing
        .values()
        .filter(|row| query.matches(row))
        .map(|row| (query.place(row), row))
        .filter(|(place, _)| after.as_ref().is_none_or(|after| place > after))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let limit = query.limit.max(1);
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more);
    Ok(Page {
        next: last.map(|(place, _)| token(place)),
        items: found.into_iter().map(|(_, row)| row.clone()).collect(),
    })
}
