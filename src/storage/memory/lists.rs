//! Lists, page by page: each page starts after the key of the last item before it.

use std::cmp::Reverse;

use super::state::{Books, State};
use crate::domain::customer::{Allocation, Customer};
use crate::domain::id::CustomerId;
use crate::domain::reservation::{Reservation, ReservationState};
use crate::domain::subscription::Subscription;
use crate::domain::time::Timestamp;
use crate::domain::usage::Labels;
use crate::storage::{
    AllocationQuery, CustomerQuery, Denial, DenialQuery, EventKind, EventQuery, EventRow, Page,
    ReservationQuery, StoreError, StoredEvent,
};

/// Takes a page off items with their tokens, in order.
pub(super) fn page<T>(items: impl Iterator<Item = (String, T)>, limit: usize) -> Page<T> {
    let mut taken = Vec::new();
    let mut last = None;
    for (token, item) in items {
        if taken.len() == limit.max(1) {
            return Page {
                items: taken,
                next: last,
            };
        }
        taken.push(item);
        last = Some(token);
    }
    Page {
        items: taken,
        next: None,
    }
}

/// Splits a token into so many parts at slashes; the last part may hold more of them.
fn parts<const N: usize>(after: Option<&String>) -> Result<Option<[&str; N]>, StoreError> {
    let Some(after) = after else {
        return Ok(None);
    };
    let parts: Vec<&str> = after.splitn(N, '/').collect();
    let parts = <[&str; N]>::try_from(parts).map_err(|_| foreign())?;
    Ok(Some(parts))
}

pub(super) fn foreign() -> StoreError {
    StoreError::Constraint(String::from("a page token that this store did not make"))
}

fn instant(text: &str) -> Result<Timestamp, StoreError> {
    let micros = text.parse().map_err(|_| foreign())?;
    Timestamp::from_micros(micros).ok_or_else(foreign)
}

fn holds(labels: &Labels, wanted: &Labels) -> bool {
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

pub(super) fn customers(
    state: &State,
    query: &CustomerQuery,
) -> Page<(Customer, Option<Subscription>)> {
    let items = state.numbers.iter().filter_map(|(id, no)| {
        let books = state.books.get(no)?;
        let wanted = query
            .after
            .as_deref()
            .is_none_or(|after| id.as_str() > after)
            && query.id.as_ref().is_none_or(|only| only == id)
            && query.matches(&books.customer, books.subscription.as_ref());
        let item = || (books.customer.clone(), books.subscription.clone());
        wanted.then(|| (String::from(id.as_str()), item()))
    });
    page(items, query.limit)
}

pub(super) fn events(books: &Books, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
    let after = match parts::<3>(query.after.as_ref())? {
        Some([at, kind, id]) => Some((Reverse(instant(at)?), id, kind == "v")),
        None => None,
    };
    let end = query.range.end.max(query.range.start);
    let newest_first = books.timeline.range(query.range.start..end).rev();
    let rows = newest_first
        .flat_map(|(_, names)| names)
        .filter_map(|name| books.events.get(name));
    let wanted = |row: &&EventRow| {
        let event = &row.event;
        let void = row.kind == EventKind::Void;
        let key = (Reverse(row.count_time), event.event_id.as_str(), void);
        after.as_ref().is_none_or(|after| key > *after)
            && (query.subaccount.is_none() || event.subaccount_id == query.subaccount)
            && query
                .meter
                .as_ref()
                .is_none_or(|meter| *meter == event.meter_id)
            && holds(&event.dimensions, &query.dimensions)
            && (query.ids.is_empty() || query.ids.contains(&event.event_id))
            && (query.reservation.is_none() || event.reservation_id == query.reservation)
            && (!query.standing || !void && !books.is_voided(row))
    };
    let items = rows.filter(wanted).map(|row| {
        let kind = match row.kind {
            EventKind::Usage => "u",
            EventKind::Void => "v",
        };
        let token = format!(
            "{}/{kind}/{}",
            row.count_time.as_micros(),
            row.event.event_id
        );
        let voided = books.is_voided(row);
        let row = row.clone();
        (token, StoredEvent { row, voided })
    });
    Ok(page(items, query.limit))
}

pub(super) fn reservations(
    books: &Books,
    query: &ReservationQuery,
) -> Result<Page<Reservation>, StoreError> {
    let after = match parts::<2>(query.after.as_ref())? {
        Some([at, id]) => Some((Reverse(instant(at)?), id)),
        None => None,
    };
    let key = |held: &Reservation| (Reverse(held.reserve_time), held.id.clone());
    let mut wanted: Vec<&Reservation> = books
        .reservations
        .values()
        .filter(|held| {
            let key = (Reverse(held.reserve_time), held.id.as_str());
            after.is_none_or(|after| key > after)
                && query.id.as_ref().is_none_or(|id| *id == held.id)
                && (query.subaccount.is_none() || held.subaccount == query.subaccount)
                && query.state.is_none_or(|state| state == held.state)
                && query
                    .holder
                    .as_ref()
                    .is_none_or(|holder| *holder == held.holder)
        })
        .collect();
    wanted.sort_by_key(|held| key(held));
    let items = wanted.into_iter().map(|held| {
        let token = format!("{}/{}", held.reserve_time.as_micros(), held.id);
        (token, held.clone())
    });
    Ok(page(items, query.limit))
}

pub(super) fn allocations(
    books: &Books,
    query: &AllocationQuery,
) -> Result<Page<Allocation>, StoreError> {
    // Ids may hold slashes, so the token says where the first of them ends.
    let after = match parts::<2>(query.after.as_ref())? {
        Some([length, ids]) => {
            let length: usize = length.parse().map_err(|_| foreign())?;
            Some(ids.split_at_checked(length).ok_or_else(foreign)?)
        }
        None => None,
    };
    let items = books.allocations.values().filter_map(|row| {
        let (feature, id) = (row.feature.as_str(), row.id.as_str());
        let wanted = after.is_none_or(|after| (feature, id) > after)
            && query
                .feature
                .as_ref()
                .is_none_or(|only| *only == row.feature)
            && (query.subaccount.is_none() || query.subaccount == row.subaccount);
        wanted.then(|| (format!("{}/{feature}{id}", feature.len()), row.clone()))
    });
    Ok(page(items, query.limit))
}

pub(super) fn denials(state: &State, query: &DenialQuery) -> Result<Page<Denial>, StoreError> {
    let after = match parts::<3>(query.after.as_ref())? {
        Some([at, length, rest]) => {
            let length: usize = length.parse().map_err(|_| foreign())?;
            let (feature, reason) = rest.split_at_checked(length).ok_or_else(foreign)?;
            Some((Reverse(instant(at)?), feature, reason))
        }
        None => None,
    };
    let mut wanted: Vec<(String, Denial)> = Vec::new();
    for ((minute, feature, reason), (count, sample)) in
        state.denials.get(&query.customer).into_iter().flatten()
    {
        let key = (Reverse(*minute), feature.as_str(), &**reason);
        if after.is_none_or(|after| key > after)
            && query.range.contains(*minute)
            && query.feature.as_ref().is_none_or(|only| only == feature)
            && query.reason.as_ref().is_none_or(|only| only == reason)
        {
            let length = feature.as_str().len();
            let token = format!("{}/{length}/{feature}{reason}", minute.as_micros());
            let row = Denial {
                customer: query.customer.clone(),
                feature: feature.clone(),
                reason: reason.clone(),
                minute: *minute,
                count: *count,
                sample: sample.clone(),
            };
            wanted.push((token, row));
        }
    }
    wanted.sort_by(|(_, a), (_, b)| {
        let key = |row: &Denial| (Reverse(row.minute), row.feature.clone(), row.reason.clone());
        key(a).cmp(&key(b))
    });
    Ok(page(wanted.into_iter(), query.limit))
}

/// Returns customers with a reservation, a hold or a grant whose time is over.
pub(super) fn overdue(state: &State, now: Timestamp, limit: usize) -> Vec<CustomerId> {
    let is_over =
        |held: &Reservation| held.state == ReservationState::Open && held.expire_time <= now;
    state
        .books
        .values()
        .filter(|books| books.reservations.values().any(is_over) || books.wallets.is_due(now))
        .map(|books| books.customer.id.clone())
        .take(limit)
        .collect()
}
