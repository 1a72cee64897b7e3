//! Listing a customer's events, page by page.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::columns::{IdColumn, read_token, token};
use super::names::Reading;
use super::scan::{Lookup, Seen, segments, visit_segment};
use crate::domain::id::EventId;
use crate::domain::time::Timestamp;
use crate::storage::{CustomerNo, EventKind, EventQuery, Page, StoreError, StoredEvent};

/// The order of lists of events: newest count time first, then id, then kind.
type Place = (Reverse<Timestamp>, EventId, EventKind);

/// A page that is being filled with what comes first.
struct Filling<'a> {
    reading: Reading<'a>,
    query: &'a EventQuery,
    customer: CustomerNo,
    meter: Option<i64>,
    after: Option<Place>,
    /// One item more than the page holds, to know whether there are more.
    found: BTreeMap<Place, StoredEvent>,
    limit: usize,
}

/// Lists events.
pub(super) fn page(
    reading: Reading<'_>,
    query: &EventQuery,
) -> Result<Page<StoredEvent>, StoreError> {
    let none = Page {
        items: Vec::new(),
        next: None,
    };
    let after = match &query.after {
        Some(text) => {
            let (at, id, kind): (Timestamp, EventId, EventKind) = read_token(text)?;
            Some((Reverse(at), id, kind))
        }
        None => None,
    };
    let Some(customer) = reading.customer_no(&query.customer)? else {
        return Ok(none);
    };
    let meter = match &query.meter {
        Some(id) => match reading.meter_no(id)? {
            Some(no) => Some(no),
            None => return Ok(none),
        },
        None => None,
    };
    let mut filling = Filling {
        reading,
        query,
        customer,
        meter,
        after,
        found: BTreeMap::new(),
        limit: query.limit.max(1),
    };
    if query.ids.is_empty() {
        filling.by_time()?;
    } else {
        filling.by_id()?;
    }
    Ok(filling.page())
}

impl Filling<'_> {
    /// Takes an event if it belongs on the page.
    fn see(&mut self, seen: &Seen<'_, '_>) -> Result<(), StoreError> {
        let Some(place) = wanted(seen, self.query, self.meter)? else {
            return Ok(());
        };
        let is_past = self.after.as_ref().is_none_or(|after| *after < place);
        let has_room = self.last().is_none_or(|last| place < *last);
        if is_past && has_room {
            let stored = seen.decode(self.reading, self.customer, &self.query.customer)?;
            self.found.insert(place, stored);
            if self.found.len() > self.limit + 1 {
                self.found.pop_last();
            }
        }
        Ok(())
    }

    /// Returns the place beyond which nothing can come onto the page; `None`: it is not full.
    fn last(&self) -> Option<&Place> {
        let last = self.found.last_key_value().map(|(last, _)| last);
        last.filter(|_| self.found.len() > self.limit)
    }

    fn by_time(&mut self) -> Result<(), StoreError> {
        let mut range = self.query.range;
        if let Some((Reverse(at), ..)) = &self.after {
            let next = Timestamp::from_micros_clamped(at.as_micros() + 1);
            range.end = range.end.min(next);
        }
        let mut lookup = Lookup::new(self.reading)?;
        for (segment, last_count) in segments(self.reading, range)? {
            // Segments come latest first: once the page is full, one that ends before its last item adds nothing.
            if self
                .last()
                .is_some_and(|last| last_count < last.0.0.as_micros())
            {
                break;
            }
            let (reading, customer) = (self.reading, self.customer);
            visit_segment(reading, &mut lookup, segment, customer, &mut |seen| {
                self.see(seen)
            })?;
        }
        Ok(())
    }

    fn by_id(&mut self) -> Result<(), StoreError> {
        let mut lookup = Lookup::new(self.reading)?;
        for id in &self.query.ids {
            for kind in [EventKind::Usage, EventKind::Void] {
                lookup.event(self.customer, IdColumn::of(id), kind, |seen| self.see(seen))?;
            }
        }
        Ok(())
    }

    fn page(mut self) -> Page<StoredEvent> {
        let more = self.found.len() > self.limit;
        if more {
            self.found.pop_last();
        }
        let last = self.found.last_key_value().filter(|_| more);
        let next = last.map(|((Reverse(at), id, kind), _)| token(&(at, id, kind)));
        Page {
            items: self.found.into_values().collect(),
            next,
        }
    }
}

/// Returns where an event stands in the list if it belongs there.
fn wanted(
    seen: &Seen<'_, '_>,
    query: &EventQuery,
    meter: Option<i64>,
) -> Result<Option<Place>, StoreError> {
    let count_time = seen.count_time()?;
    if !query.range.contains(count_time) {
        return Ok(None);
    }
    if let Some(meter) = meter
        && seen.meter_no()? != meter
    {
        return Ok(None);
    }
    if let Some(subaccount) = &query.subaccount
        && seen.part()? != Some(subaccount.as_str())
    {
        return Ok(None);
    }
    if query.standing && (seen.kind()? == EventKind::Void || seen.voided()?) {
        return Ok(None);
    }
    if let Some(reservation) = &query.reservation
        && seen.reservation()? != Some(reservation.as_str())
    {
        return Ok(None);
    }
    if !query.dimensions.is_empty() {
        let dimensions = seen.dimensions()?;
        let all = query
            .dimensions
            .iter()
            .all(|(key, value)| dimensions.get(key) == Some(value));
        if !all {
            return Ok(None);
        }
    }
    Ok(Some((Reverse(count_time), seen.id()?, seen.kind()?)))
}
