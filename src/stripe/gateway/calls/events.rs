//! Events, which Stripe keeps for 30 days.

use stripe_client_core::{RequestBuilder, StripeMethod};
use stripe_core::event::{ListEvent, RetrieveEvent};
use stripe_types::{RangeBoundsTs, RangeQueryTs};

use super::super::account::{Answer, Gateway};
use super::super::caller::Manner;
use super::super::objects::{Event, ThinEvent};
use super::super::page::{Cursor, Page, set_if_any, set_if_some, turn_to};
use super::super::shape::shape;
use super::terms::Span;

/// Which events are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// When they happened; `None`: whenever.
    pub created: Option<Span>,
    /// What they are, at most 20; empty: anything.
    pub types: Vec<String>,
}

impl Gateway {
    /// Returns an event.
    pub async fn retrieve_event(&self, id: &str) -> Answer<Event> {
        self.read(&RetrieveEvent::new(id)).await
    }

    /// Returns events.
    pub async fn list_events(
        &self,
        filter: &EventFilter,
        cursor: Cursor<'_>,
    ) -> Answer<Page<Event>> {
        let mut request = turn_to!(ListEvent::new(), cursor);
        let created = filter.created.map(|span| {
            RangeQueryTs::Bounds(RangeBoundsTs {
                gte: Some(span.start),
                lt: Some(span.end),
                ..RangeBoundsTs::default()
            })
        });
        set_if_some!(request, created = created);
        set_if_any!(request, types = filter.types => filter.types.as_slice());
        self.read(&request).await
    }

    /// Returns a thin event with all that it has to say. The crates have no request type for it.
    pub async fn retrieve_thin_event(&self, id: &str) -> Answer<ThinEvent> {
        let built = RequestBuilder::new(StripeMethod::Get, format!("/core/events/{id}"));
        let mut request = shape(built, None)?;
        request.path = format!("/v2/core/events/{id}");
        self.caller.call(&request, Manner::Repeated).await
    }
}
