//! Every service on one port.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::{Builder as Reflection, Error as ReflectionError};
use tower::Service;

use super::billing::Billing;
use super::catalog::Catalogs;
use super::customer::Customers;
use super::entitlement::Entitlements;
use super::metering::Metering;
use super::operations::Operations;
use super::pb;
use super::pb::billing_service_server::BillingServiceServer;
use super::pb::catalog_service_server::CatalogServiceServer;
use super::pb::customer_service_server::CustomerServiceServer;
use super::pb::entitlement_service_server::EntitlementServiceServer;
use super::pb::metering_service_server::MeteringServiceServer;
use super::pb::operations_service_server::OperationsServiceServer;
use super::pb::sandbox_service_server::SandboxServiceServer;
use super::pb::subscription_service_server::SubscriptionServiceServer;
use super::pb::wallet_service_server::WalletServiceServer;
use super::sandbox::Sandboxes;
use super::status::MESSAGE_BYTES_MAX;
use super::subscription::Subscriptions;
use super::transport::explain_response;
use super::wallet::Wallets;
use crate::engine::Engine;

/// What services are made of.
#[derive(Clone)]
pub struct Parts {
    /// The use cases.
    pub engine: Engine,
    /// Cancelled when the server is told to stop; streams end then.
    pub draining: CancellationToken,
    /// Most events of one stream that may wait for their acknowledgement.
    pub stream_window: usize,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

macro_rules! services {
    ($($field:ident: $server:ident<$service:ty> = $new:expr;)*) => {
        /// Every service. Requests go straight to theirs; health and reflection, which are rare, by a router. It is
        /// cloned for each request, so what it holds stands behind one pointer.
        #[derive(Clone)]
        pub struct Services(Arc<Held>);

        struct Held {
            $($field: $server<$service>,)*
            rest: Routes,
        }

        impl Services {
            /// Makes every service.
            ///
            /// # Errors
            /// When the descriptors in this binary cannot be read.
            pub fn new(parts: &Parts, health: &HealthReporter) -> Result<Self, ReflectionError> {
                let health = HealthService::from_health_reporter(health.clone());
                let rest = Routes::new(HealthServer::new(health))
                    .add_service(reflection().build_v1()?)
                    .add_service(reflection().build_v1alpha()?);
                $(let $field = $server::new($new(parts)).max_decoding_message_size(MESSAGE_BYTES_MAX);)*
                Ok(Self(Arc::new(Held { $($field,)* rest })))
            }

            fn route(&self, request: Request<Body>) -> Answering {
                let path = request.uri().path();
                let service = path.strip_prefix('/').and_then(|rest| rest.split_once('/'));
                $(if service.is_some_and(|(name, _)| name == $server::<$service>::NAME) {
                    return self.0.$field.clone().call(request);
                })*
                let answer = self.0.rest.clone().call(request);
                Box::pin(answer)
            }
        }

        /// Names of the services whose health is told, beside that of the whole.
        const NAMES: &[&str] = &["", $($server::<$service>::NAME,)*];
    };
}

services! {
    entitlement: EntitlementServiceServer<Entitlements> =
        |parts: &Parts| Entitlements::new(parts.engine.clone(), parts.draining.clone());
    metering: MeteringServiceServer<Metering> =
        |parts: &Parts| Metering::new(parts.engine.clone(), parts.draining.clone(), parts.stream_window);
    customer: CustomerServiceServer<Customers> =
        |parts: &Parts| Customers::new(parts.engine.clone());
    subscription: SubscriptionServiceServer<Subscriptions> =
        |parts: &Parts| Subscriptions::new(parts.engine.clone());
    catalog: CatalogServiceServer<Catalogs> =
        |parts: &Parts| Catalogs::new(parts.engine.clone());
    wallet: WalletServiceServer<Wallets> =
        |parts: &Parts| Wallets::new(parts.engine.clone());
    billing: BillingServiceServer<Billing> =
        |parts: &Parts| Billing::new(parts.engine.clone());
    operations: OperationsServiceServer<Operations> =
        |parts: &Parts| Operations::new(parts.engine.clone());
    sandbox: SandboxServiceServer<Sandboxes> =
        |parts: &Parts| Sandboxes::new(parts.engine.clone());
}

fn reflection() -> Reflection<'static> {
    Reflection::configure()
        .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // What errors carry, so that clients which know no types print reasons and fields.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

/// Tells whether the services serve.
pub async fn report_health(health: &HealthReporter, is_serving: bool) {
    let status = if is_serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    for name in NAMES {
        health.set_service_status(name, status).await;
    }
}

/// Ends the streams of those who watch the health of a server that stops, so that they do not hold it.
pub async fn end_health(mut health: HealthReporter) {
    for name in NAMES {
        health.clear_service_status(name).await;
    }
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Explained;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Explained {
        Explained(self.route(request))
    }
}

/// An answer to come; what the transport refuses gets the reason that the protocol promises.
pub struct Explained(Answering);

impl Future for Explained {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = self.0.as_mut().poll(context);
        answer.map(|answer| answer.map(explain_response))
    }
}
