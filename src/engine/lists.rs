//! Lists that are read from the store: events and reservations.

use std::sync::Arc;

use super::Engine;
use super::background::Expire;
use super::error::{Error, Rule, Thing};
use crate::domain::catalog::Meter;
use crate::domain::id::{CustomerId, MeterId};
use crate::domain::quantity::Milli;
use crate::domain::reservation::{ItemHold, Reservation, ReservationState};
use crate::domain::time::Timestamp;
use crate::storage::{EventQuery, Page, ReservationQuery, StoreError, StoredEvent};

/// Turns the failure of a list into an error: what the store cannot place is the page token.
pub(super) fn list_error(error: StoreError) -> Error {
    match error {
        StoreError::Constraint(_) => page_token(),
        other @ (StoreError::Unavailable(_)
        | StoreError::Full(_)
        | StoreError::Unknown(_)
        | StoreError::Conflict(_)
        | StoreError::Outdated
        | StoreError::Fenced
        | StoreError::Corrupt { .. }) => Error::Store(other),
    }
}

/// Returns the error for a page token of something else.
pub(super) fn page_token() -> Error {
    Error::Invalid {
        field: "page_token".to_owned(),
        rule: Rule::PageToken,
    }
}

impl Engine {
    /// Returns a meter of the newest catalog.
    pub(super) fn meter(&self, id: &MeterId) -> Result<Arc<Meter>, Error> {
        let catalog = self.catalog().catalog;
        let meter = catalog.meters.get(id).cloned();
        meter.ok_or_else(|| Error::not_found(Thing::Meter, id))
    }

    /// Checks that there is a customer; one whose data was erased has its books.
    pub(super) async fn check_customer(&self, id: &CustomerId) -> Result<(), Error> {
        match self.shared.load(id).await? {
            Some(_) => Ok(()),
            None => Err(Error::not_found(Thing::Customer, id)),
        }
    }

    /// Lists events, voids as rows of their own, newest count time first.
    ///
    /// # Errors
    /// When the customer or the meter does not exist, or the page token is of something else.
    pub async fn events(&self, query: EventQuery) -> Result<Page<StoredEvent>, Error> {
        if let Some(meter) = &query.meter {
            self.meter(meter)?;
        }
        self.check_customer(&query.customer).await?;
        self.shared.store.events(query).await.map_err(list_error)
    }

    /// Lists reservations, newest first, as they stand now: one whose time is over has expired.
    ///
    /// # Errors
    /// When the customer does not exist, or the page token is of something else.
    pub async fn reservations(&self, query: ReservationQuery) -> Result<Page<Reservation>, Error> {
        let cell = self.customer(&query.customer).await?;
        let now = self.now();
        let overdue = {
            let inner = cell.lock();
            inner
                .account
                .as_ref()
                .is_some_and(|account| account.has_overdue(now))
        };
        if overdue && self.submit(Expire::of(vec![cell])).await.is_err() {
            tracing::debug!(customer.id = %query.customer, "overdue reservations are listed before they end");
        }
        let wanted = query.state;
        let page = self.shared.store.reservations(query).await;
        let mut page = page.map_err(list_error)?;
        let now = self.now();
        for held in &mut page.items {
            settle(held, now);
        }
        page.items
            .retain(|held| wanted.is_none_or(|state| held.state == state));
        Ok(page)
    }
}

/// Shows a reservation as it stands at `now`, whatever is written of it.
fn settle(held: &mut Reservation, now: Timestamp) {
    if held.state != ReservationState::Open || held.is_open(now) {
        return;
    }
    held.state = ReservationState::Expired;
    held.end_time = Some(held.expire_time);
    for item in &mut held.items {
        if let ItemHold::Quota { reserved, .. } = &mut item.hold {
            *reserved = Milli::ZERO;
        }
    }
}
