//! Meters, and what Stripe counted.

use stripe_billing::billing_meter::{
    CreateBillingMeter, CreateBillingMeterCustomerMapping, CreateBillingMeterCustomerMappingType,
    CreateBillingMeterDefaultAggregation, CreateBillingMeterDefaultAggregationFormula,
    CreateBillingMeterValueSettings, DeactivateBillingMeter, ListBillingMeter,
    ReactivateBillingMeter, RetrieveBillingMeter, UpdateBillingMeter,
};
use stripe_billing::billing_meter_event_summary::{
    ListIdBillingMeterEventSummary, ListIdBillingMeterEventSummaryValueGroupingWindow,
};

use super::super::account::{Answer, Gateway};
use super::super::objects::{Meter, MeterEventSummary};
use super::super::page::{Cursor, Page, turn_to};
use super::meter_events::{PAYLOAD_CUSTOMER, PAYLOAD_VALUE};
use super::terms::Span;

/// A meter to be created. Its sum is what is billed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewMeter {
    /// What people read, at most 250 characters.
    pub display_name: String,
    /// Which events it counts, at most 100 characters. No two active meters count the same.
    pub event_name: String,
}

/// What of Stripe's counts is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryFilter {
    /// The meter.
    pub meter: String,
    /// The customer.
    pub customer: String,
    /// When. Both ends lie on whole minutes, or on whole hours or days of UTC where it is cut up.
    pub span: Span,
    /// How it is cut up.
    pub window: SummaryWindow,
}

/// How a span of counts is cut up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SummaryWindow {
    /// Not.
    Whole,
    /// Into hours.
    Hour,
    /// Into days of UTC.
    Day,
}

impl Gateway {
    /// Creates a meter that sums up.
    pub async fn create_meter(&self, new: &NewMeter, key: &str) -> Answer<Meter> {
        let sum = CreateBillingMeterDefaultAggregationFormula::Sum;
        let by_id = CreateBillingMeterCustomerMappingType::ById;
        let request = CreateBillingMeter::new(
            CreateBillingMeterDefaultAggregation::new(sum),
            new.display_name.as_str(),
            new.event_name.as_str(),
        )
        .customer_mapping(CreateBillingMeterCustomerMapping::new(
            PAYLOAD_CUSTOMER,
            by_id,
        ))
        .value_settings(CreateBillingMeterValueSettings::new(PAYLOAD_VALUE));
        self.change(&request, key).await
    }

    /// Returns a meter.
    pub async fn retrieve_meter(&self, id: &str) -> Answer<Meter> {
        self.read(&RetrieveBillingMeter::new(id)).await
    }

    /// Changes what people read of a meter. Nothing else of it can change.
    pub async fn update_meter(&self, id: &str, display_name: &str, key: &str) -> Answer<Meter> {
        let request = UpdateBillingMeter::new(id).display_name(display_name);
        self.change(&request, key).await
    }

    /// Switches a meter off: it takes no events any more.
    pub async fn deactivate_meter(&self, id: &str, key: &str) -> Answer<Meter> {
        self.change(&DeactivateBillingMeter::new(id), key).await
    }

    /// Switches a meter on again.
    pub async fn reactivate_meter(&self, id: &str, key: &str) -> Answer<Meter> {
        self.change(&ReactivateBillingMeter::new(id), key).await
    }

    /// Returns the meters, those that were switched off among them.
    pub async fn list_meters(&self, cursor: Cursor<'_>) -> Answer<Page<Meter>> {
        self.read(&turn_to!(ListBillingMeter::new(), cursor)).await
    }

    /// Returns what was counted of a customer. It may be minutes behind what was received.
    pub async fn list_meter_event_summaries(
        &self,
        filter: &SummaryFilter,
        cursor: Cursor<'_>,
    ) -> Answer<Page<MeterEventSummary>> {
        // The request type takes the end before the start.
        let request = ListIdBillingMeterEventSummary::new(
            filter.meter.as_str(),
            filter.customer.as_str(),
            filter.span.end,
            filter.span.start,
        );
        let mut request = turn_to!(request, cursor);
        request = match filter.window {
            SummaryWindow::Whole => request,
            SummaryWindow::Hour => request
                .value_grouping_window(ListIdBillingMeterEventSummaryValueGroupingWindow::Hour),
            SummaryWindow::Day => request
                .value_grouping_window(ListIdBillingMeterEventSummaryValueGroupingWindow::Day),
        };
        self.read(&request).await
    }
}
