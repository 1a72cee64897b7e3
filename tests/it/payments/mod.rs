//! Payments, money that goes back, disputes and invoices: a server, the double of Stripe over real HTTP, and webhooks
//! between them. What bursar says, what its ledger says and what Stripe has must be the same.

mod credits;
mod invoices;
mod reconciliation;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use bursar::clock::Clock as _;
use bursar::grpc::pb;
use bursar::stripe::gateway::{Cursor, PaymentIntent};
use pb::billing_service_client::BillingServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::harness::run;
use crate::subscriptions::Site;
use crate::wallet::Clients;

/// A credit, in micro-units.
const LUC: i64 = 1_000_000;
/// A test card that pays.
const GOOD: &str = "4242424242424242";

/// A site whose server sells packs, reports and use, with a customer.
struct Shop {
    site: Site,
    billing: BillingServiceClient<Channel>,
    wallets: Clients,
}

fn catalog() -> PathBuf {
    format!(
        "{}/tests/it/payments/catalog.toml",
        env!("CARGO_MANIFEST_DIR")
    )
    .into()
}

/// Runs a test in a shop.
fn in_a_shop(test: impl AsyncFn(&mut Shop)) {
    run(async {
        let mut site = Site::with(catalog()).await;
        site.create("acme").await;
        let mut shop = Shop {
            billing: BillingServiceClient::new(site.server.channel().await),
            wallets: Clients::of(&site.server).await,
            site,
        };
        test(&mut shop).await;
        if !shop.wallet().await.grants.is_empty() {
            shop.wallets.prove().await;
        }
        shop.site.server.stop().await;
        shop.site.double.stop().await;
    });
}

/// Names a product to be bought.
fn piece(product: &str, quantity: i32) -> pb::Purchase {
    pb::Purchase {
        product_id: product.to_owned(),
        quantity,
        ..pb::Purchase::default()
    }
}

/// Names the wallet that packs fill.
fn wallet_name() -> pb::WalletName {
    pb::WalletName {
        customer_id: "acme".to_owned(),
        subaccount_id: String::new(),
        credit_unit: "LUC".to_owned(),
    }
}

impl Shop {
    /// Opens a page on which the customer buys something.
    async fn page(&mut self, request: &str, purchase: pb::Purchase) -> String {
        let request = pb::CreateCheckoutSessionRequest {
            request_id: request.to_owned(),
            customer_id: "acme".to_owned(),
            success_url: "https://example.com/done".to_owned(),
            purchase: Some(purchase),
            ..pb::CreateCheckoutSessionRequest::default()
        };
        let page = self.site.subscriptions.create_checkout_session(request);
        page.await.unwrap().into_inner().session_id
    }

    /// Buys something on a page, and returns the payment once it is known.
    async fn buy(&mut self, request: &str, purchase: pb::Purchase) -> pb::Payment {
        let page = self.page(request, purchase).await;
        let paid = |model: &mut bursar::stripe::model::Model| model.complete_checkout(&page, GOOD);
        self.site.double.model(paid).unwrap();
        self.until(|all| all.len() == 1).await.remove(0)
    }

    async fn payments(&mut self) -> Vec<pb::Payment> {
        let request = pb::ListPaymentsRequest {
            customer_id: "acme".to_owned(),
            ..pb::ListPaymentsRequest::default()
        };
        let answer = self.billing.list_payments(request).await.unwrap();
        answer.into_inner().payments
    }

    /// Waits until the payments are as they should be.
    async fn until(&mut self, is_so: impl Fn(&[pb::Payment]) -> bool) -> Vec<pb::Payment> {
        let mut last = Vec::new();
        for _ in 0..100 {
            last = self.payments().await;
            if is_so(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the payments do not get there: {last:#?}");
    }

    async fn refund(
        &mut self,
        request: &str,
        payment: &str,
        cents: i64,
        keep_credits: bool,
    ) -> Result<pb::Payment, Status> {
        let request = pb::RefundPaymentRequest {
            request_id: request.to_owned(),
            payment_id: payment.to_owned(),
            amount_cents: cents,
            reason: pb::RefundReason::RequestedByCustomer.into(),
            keep_credits,
        };
        let answer = self.billing.refund_payment(request).await?;
        Ok(answer.into_inner().payment.unwrap())
    }

    /// Returns what Stripe has of a payment.
    async fn at_stripe(&self, payment: &str) -> PaymentIntent {
        let found = self.site.gateway.retrieve_payment_intent(payment).await;
        found.unwrap()
    }

    /// Returns what went back of a payment at Stripe, in cents.
    async fn back_at_stripe(&self, payment: &str) -> i64 {
        let page = self
            .site
            .gateway
            .list_refunds(Some(payment), Cursor::FIRST)
            .await;
        page.unwrap().data.iter().map(|refund| refund.amount).sum()
    }

    /// Returns what can be spent and what is owed, in credits.
    async fn credits(&mut self) -> (i64, i64) {
        let wallet = self.wallet().await;
        let owed = wallet.balance.unwrap().receivable_micros;
        (wallet.spendable_micros / LUC, owed / LUC)
    }

    /// Returns the causes of what moved in the wallet, the last first, with what is noted of each.
    async fn ledger(&mut self) -> Vec<(pb::LedgerCause, String)> {
        let request = pb::ListLedgerEntriesRequest {
            wallet: Some(wallet_name()),
            ..pb::ListLedgerEntriesRequest::default()
        };
        let answer = self.wallets.wallets.list_ledger_entries(request).await;
        let moved = answer.unwrap().into_inner().transactions.into_iter();
        moved.map(|one| (one.cause(), one.note)).collect()
    }

    async fn wallet(&mut self) -> pb::Wallet {
        let wallet = Some(wallet_name());
        let request = pb::GetWalletRequest { wallet };
        let answer = self.wallets.wallets.get_wallet(request).await.unwrap();
        answer.into_inner().wallet.unwrap()
    }

    /// Spends credits.
    async fn spend(&mut self, credits: i64) -> Result<(), Status> {
        let request = pb::DebitCreditsRequest {
            request_id: self.wallets.fresh(),
            spender: Some(wallet_name()),
            amount_micros: credits * LUC,
            ..pb::DebitCreditsRequest::default()
        };
        self.wallets.wallets.debit_credits(request).await.map(drop)
    }

    /// Records use of a meter as of so many minutes ago.
    async fn used(&mut self, id: &str, meter: &str, quantity: i64, minutes_ago: i64) {
        let now = self.site.server.clock.now().as_micros() / 1_000_000;
        let event = pb::UsageEvent {
            event_id: id.to_owned(),
            customer_id: "acme".to_owned(),
            meter_id: meter.to_owned(),
            quantity,
            event_time: Some(prost_types::Timestamp {
                seconds: now - minutes_ago * 60,
                nanos: 0,
            }),
            ..pb::UsageEvent::default()
        };
        let events = vec![event];
        let mut metering = self.site.server.metering().await;
        let request = pb::RecordUsageBatchRequest { events };
        let answer = metering.record_usage_batch(request).await.unwrap();
        let result = &answer.into_inner().results[0];
        assert_eq!(result.status(), pb::RecordStatus::Recorded, "{result:?}");
    }
}
