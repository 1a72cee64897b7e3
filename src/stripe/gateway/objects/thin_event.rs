//! Events that name what they are about and leave the rest to be fetched.

use super::{object, part};

object! {
    /// Something that happened. What Stripe finds wrong with meter events is told so.
    ThinEvent {
        /// What: `v1.billing.meter.error_report_triggered` or `v1.billing.meter.no_meter_found`.
        #[serde(rename = "type")]
        class: String,
        /// When, in RFC 3339.
        created: String,
        /// What it happened to, where that can be said.
        related_object: Option<RelatedObject>,
        /// What is wrong; only where the event was fetched.
        data: Option<MeterErrors>,
        /// Whether money is real.
        livemode: bool,
    }
}

part! {
    /// What a thin event happened to.
    RelatedObject {
        /// Its id.
        id: String,
        /// What kind of thing it is.
        #[serde(rename = "type")]
        class: String,
        /// The path under which it can be fetched.
        url: String,
    }
}

part! {
    /// What is wrong with the meter events of a span of time.
    MeterErrors {
        /// In words.
        developer_message_summary: String,
        /// In numbers.
        reason: MeterErrorReason,
        /// The beginning of the span, in RFC 3339.
        validation_start: String,
        /// Its end.
        validation_end: String,
    }
}

part! {
    /// How many meter events are wrong and why.
    MeterErrorReason {
        /// How many.
        error_count: i64,
        /// Why.
        error_types: Vec<MeterErrorType>,
    }
}

part! {
    /// One way in which meter events are wrong.
    MeterErrorType {
        /// Such as `meter_event_customer_not_found`.
        code: String,
        /// How many are.
        error_count: i64,
        /// A few of them, never all.
        sample_errors: Vec<MeterErrorSample>,
    }
}

part! {
    /// A meter event that is wrong.
    MeterErrorSample {
        /// In words.
        error_message: String,
        /// Which.
        request: SampleRequest,
    }
}

part! {
    /// Which meter event is wrong.
    SampleRequest {
        /// Its identifier. Stripe has sent it under an older name as well.
        #[serde(alias = "idempotency_key")]
        identifier: String,
    }
}
