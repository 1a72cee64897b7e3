//! Telling clients of changes.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::lists::entitlements;
use crate::domain::id::{FeatureId, SubaccountId};
use crate::domain::time::{Span, Timestamp};
use crate::engine::{Engine, EntitledAsk, Error, Watch, WatchUpdate};
use crate::grpc::convert::{count, id, optional_id, span, to_timestamp};
use crate::grpc::pb;
use crate::grpc::pb::watch_entitlements_response::Update;

/// Most features that one watch may be narrowed to.
const FEATURES_MAX: usize = 100;
const HEARTBEAT_DEFAULT: Span = Span::from_secs(30);
const HEARTBEAT_MIN: Span = Span::from_secs(1);
const HEARTBEAT_MAX: Span = Span::from_minutes(5);

pub(super) async fn watch_entitlements(
    engine: &Engine,
    draining: CancellationToken,
    request: pb::WatchEntitlementsRequest,
) -> Result<BoxStream<pb::WatchEntitlementsResponse>, Error> {
    count("feature_ids", request.feature_ids.len(), 0, FEATURES_MAX)?;
    let features = request.feature_ids.into_iter().enumerate();
    let features = features.map(|(index, text)| id(&format!("feature_ids[{index}]"), text));
    let bounds = (HEARTBEAT_MIN, HEARTBEAT_MAX);
    let heartbeat = span(
        "heartbeat_interval",
        request.heartbeat_interval,
        HEARTBEAT_DEFAULT,
        bounds,
    )?;
    let ask = EntitledAsk {
        customer: id("customer_id", request.customer_id)?,
        subaccount: optional_id("subaccount_id", request.subaccount_id)?,
        features: features.collect::<Result<Vec<FeatureId>, _>>()?,
        verbose: request.verbose,
    };
    let subaccount = ask.subaccount.clone();
    let watch = engine.watch(ask, heartbeat).await?;
    let (messages, receiver) = mpsc::channel(1);
    tokio::spawn(tell(watch, subaccount, messages, draining));
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

/// Tells one client until it leaves. The state is looked at only once there is room for a message, so a client that
/// reads slowly gets what is newest then.
async fn tell(
    mut watch: Watch,
    subaccount: Option<SubaccountId>,
    messages: mpsc::Sender<Result<pb::WatchEntitlementsResponse, Status>>,
    draining: CancellationToken,
) {
    while let Ok(room) = messages.reserve().await {
        let told = tokio::select! {
            biased;
            () = draining.cancelled() => Err(Error::Draining),
            () = messages.closed() => return,
            told = watch.next() => told,
        };
        match told {
            Ok((at, update)) => room.send(Ok(message(at, update, subaccount.as_ref()))),
            Err(error) => {
                room.send(Err(Status::from(error)));
                return;
            }
        }
    }
}

fn message(
    at: Timestamp,
    update: WatchUpdate,
    subaccount: Option<&SubaccountId>,
) -> pb::WatchEntitlementsResponse {
    let update = match update {
        WatchUpdate::Snapshot(all) => Update::Snapshot(pb::EntitlementSnapshot {
            entitlements: entitlements(all, subaccount),
        }),
        WatchUpdate::Change { entitled, removed } => Update::Change(pb::EntitlementChange {
            entitlements: entitlements(entitled, subaccount),
            removed_feature_ids: removed.into_iter().map(Into::into).collect(),
        }),
        WatchUpdate::Heartbeat => Update::Heartbeat(pb::Heartbeat {}),
    };
    pb::WatchEntitlementsResponse {
        evaluate_time: Some(to_timestamp(at)),
        update: Some(update),
    }
}
