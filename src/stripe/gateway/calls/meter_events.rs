//! Meter events: how usage gets to Stripe.

use stripe_billing::billing_meter_event::CreateBillingMeterEvent;
use stripe_client_core::StripeRequest as _;

use super::super::account::{Answer, Gateway};
use super::super::caller::Manner;
use super::super::fault::Fault;
use super::super::objects::MeterEvent;
use super::super::shape::{shape, wrong};

/// Where an event says whose it is.
pub const PAYLOAD_CUSTOMER: &str = "stripe_customer_id";
/// Where an event says how much.
pub const PAYLOAD_VALUE: &str = "value";
/// The longest identifier and the longest name of an event, in characters.
pub const IDENTIFIER_MAX: usize = 100;
/// The largest value: Stripe takes 15 digits.
pub const VALUE_MAX: i64 = 999_999_999_999_999;

/// Usage of one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMeterEvent {
    /// What is counted.
    pub event_name: String,
    /// Whose, by the id at Stripe.
    pub customer: String,
    /// How much. Below zero it corrects what was counted.
    pub value: i64,
    /// What keeps it from being counted twice, for about a day.
    pub identifier: String,
    /// The time that it counts at, from 35 days back to 5 minutes ahead.
    pub timestamp: i64,
}

impl Gateway {
    /// Reports usage, once: the call is never repeated here, and carries no idempotency key, under
    /// which a failure would be kept and replayed. An identifier that was counted is
    /// [`super::super::fault::Kind::AlreadyExists`], which is as good as success.
    ///
    /// Success says that it was received. What is wrong with it otherwise is told later, by an
    /// event.
    pub async fn send_meter_event(&self, new: &NewMeterEvent) -> Answer<MeterEvent> {
        check(new)?;
        let payload = [
            (PAYLOAD_CUSTOMER.to_owned(), new.customer.clone()),
            (PAYLOAD_VALUE.to_owned(), new.value.to_string()),
        ];
        let request = CreateBillingMeterEvent::new(new.event_name.as_str(), payload)
            .identifier(new.identifier.as_str())
            .timestamp(new.timestamp);
        let request = shape(request.build(), None)?;
        self.caller.call(&request, Manner::OnceAsMeterEvent).await
    }
}

/// Refuses what Stripe would refuse, or would take and drop later.
fn check(new: &NewMeterEvent) -> Result<(), Fault> {
    let fits = |text: &str| (1..=IDENTIFIER_MAX).contains(&text.chars().count());
    let message = if !fits(&new.event_name) {
        "the name of a meter event has 1 to 100 characters"
    } else if !fits(&new.identifier) {
        "the identifier of a meter event has 1 to 100 characters"
    } else if new.value.unsigned_abs() > VALUE_MAX.unsigned_abs() {
        "the value of a meter event has at most 15 digits"
    } else if new.customer.is_empty() {
        "a meter event names a customer"
    } else {
        return Ok(());
    };
    Err(wrong(message))
}

#[cfg(test)]
mod tests {
    use super::super::super::fault::Kind;
    use super::*;

    fn event() -> NewMeterEvent {
        NewMeterEvent {
            event_name: "calls".to_owned(),
            customer: "cus_1".to_owned(),
            value: 1,
            identifier: "id".to_owned(),
            timestamp: 1,
        }
    }

    #[test]
    fn what_stripe_would_refuse_is_not_sent() {
        type Change = fn(&mut NewMeterEvent);
        let cases: [(Change, bool); 10] = [
            (|_| {}, true),
            (|event| event.identifier = "é".repeat(IDENTIFIER_MAX), true),
            (
                |event| event.identifier = "i".repeat(IDENTIFIER_MAX + 1),
                false,
            ),
            (|event| event.identifier.clear(), false),
            (
                |event| event.event_name = "n".repeat(IDENTIFIER_MAX + 1),
                false,
            ),
            (|event| event.event_name.clear(), false),
            (|event| event.customer.clear(), false),
            (|event| event.value = -VALUE_MAX, true),
            (|event| event.value = VALUE_MAX + 1, false),
            (|event| event.value = i64::MIN, false),
        ];
        for (change, fits) in cases {
            let mut event = event();
            change(&mut event);
            let kind = check(&event).err().map(|fault| fault.kind);
            assert_eq!(kind, (!fits).then_some(Kind::InvalidRequest), "{event:?}");
        }
    }
}
