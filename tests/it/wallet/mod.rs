//! Wallets from outside: credits that come, are spent, set aside and moved, what usage draws, and each refusal.

mod audit;
mod fields;
mod ledger;
mod life;
mod races;
mod refusals;
mod repeats;
mod together;
mod top_up;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bursar::grpc::pb;
use pb::customer_service_client::CustomerServiceClient;
use pb::entitlement_service_client::EntitlementServiceClient;
use pb::metering_service_client::MeteringServiceClient;
use pb::operations_service_client::OperationsServiceClient;
use pb::wallet_service_client::WalletServiceClient;
use prost_types::Timestamp;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::{Kind, START, TestServer, run};

/// A dollar, in micro-units.
pub const USD: i64 = 1_000_000;

/// What these servers sell: each call costs two cents from the first on, each page beyond ten a month ten cents; tokens
/// are limited by the day, two jobs may run at a time.
pub const CATALOG: &str = r#"
default_plan = "basic"

[credit_units.USD]
per_dollar = 1

[credit_units.LUC]
per_dollar = 100

[meters.calls]
unit = "call"
aggregation = "sum"

[meters.pages]
unit = "page"
aggregation = "sum"

[meters.tokens]
unit = "token"
aggregation = "sum"

[features]
jobs = "concurrency"

[features.calls]
metered = { meter = "calls" }

[features.pages]
metered = { meter = "pages" }

[features.tokens]
metered = { meter = "tokens" }

[plans.basic.entitlements]
jobs = 2
tokens = { limits = [{ amount = 100, window = "day" }] }
calls = { wallet = { credit_unit = "USD", per_unit = "0.02", per = 1, from_first_unit = true } }

[plans.basic.entitlements.pages]
limits = [{ amount = 10, window = "month", on_limit = "allow" }]
wallet = { credit_unit = "USD", per_unit = "0.10" }
"#;

/// Starts a server with the customer `acme` and its agent `bot`.
async fn start(kind: Kind) -> (TestServer, Clients) {
    let server = TestServer::with(kind, |config| {
        let path = config.catalog.as_ref().unwrap();
        std::fs::write(path, CATALOG).unwrap();
    });
    let mut to = Clients::of(&server).await;
    to.create("acme").await;
    (server, to)
}

/// Runs a test on a server in memory, and on one with a file.
fn on_both(test: impl AsyncFn(&TestServer, Clients)) {
    for kind in [Kind::Memory, Kind::Sqlite] {
        run(async {
            let (server, to) = start(kind).await;
            test(&server, to).await;
            server.stop().await;
        });
    }
}

/// Clients of each service, and calls in few words. Calls carry request ids that were not used before.
#[derive(Clone)]
pub struct Clients {
    pub wallets: WalletServiceClient<Channel>,
    pub entitlements: EntitlementServiceClient<Channel>,
    metering: MeteringServiceClient<Channel>,
    customers: CustomerServiceClient<Channel>,
    operations: OperationsServiceClient<Channel>,
    requests: Arc<AtomicU32>,
}

impl Clients {
    pub async fn of(server: &TestServer) -> Self {
        Self::on(server.channel().await, Arc::default())
    }

    /// Clients on a connection, who number their requests together with others.
    pub fn on(channel: Channel, requests: Arc<AtomicU32>) -> Self {
        Self {
            wallets: WalletServiceClient::new(channel.clone()),
            entitlements: EntitlementServiceClient::new(channel.clone()),
            metering: MeteringServiceClient::new(channel.clone()),
            customers: CustomerServiceClient::new(channel.clone()),
            operations: OperationsServiceClient::new(channel),
            requests,
        }
    }

    /// Returns a request id that was not used before.
    pub fn fresh(&self) -> String {
        format!("q-{}", self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Creates a customer with the agent `bot`.
    pub async fn create(&mut self, customer: &str) {
        let customer_id = customer.to_owned();
        let request = pb::CreateCustomerRequest {
            request_id: self.fresh(),
            customer: Some(pb::Customer {
                customer_id: customer_id.clone(),
                ..pb::Customer::default()
            }),
        };
        self.customers.create_customer(request).await.unwrap();
        let request = pb::CreateSubaccountRequest {
            request_id: self.fresh(),
            subaccount: Some(pb::Subaccount {
                customer_id,
                subaccount_id: "bot".to_owned(),
                ..pb::Subaccount::default()
            }),
        };
        self.customers.create_subaccount(request).await.unwrap();
    }

    /// Grants credits that were paid for to a wallet of `acme`.
    pub async fn grant(&mut self, owner: &str, amount_micros: i64) -> pb::Grant {
        let request = pb::GrantCreditsRequest {
            category: pb::CreditCategory::Paid.into(),
            ..self.granting(owner, amount_micros)
        };
        let granted = self.wallets.grant_credits(request).await.unwrap();
        granted.into_inner().grant.unwrap()
    }

    fn granting(&self, owner: &str, amount_micros: i64) -> pb::GrantCreditsRequest {
        pb::GrantCreditsRequest {
            request_id: self.fresh(),
            wallet: usd(owner),
            amount_micros,
            ..pb::GrantCreditsRequest::default()
        }
    }

    fn debiting(&self, spender: &str, amount_micros: i64) -> pb::DebitCreditsRequest {
        pb::DebitCreditsRequest {
            request_id: self.fresh(),
            spender: usd(spender),
            amount_micros,
            ..pb::DebitCreditsRequest::default()
        }
    }

    pub async fn debit(&mut self, spender: &str, amount_micros: i64) -> Result<Balance, Status> {
        let request = self.debiting(spender, amount_micros);
        let answer = self.wallets.debit_credits(request).await?;
        Ok(balance(answer.into_inner().balance))
    }

    fn holding(&self, spender: &str, amount_micros: i64) -> pb::HoldCreditsRequest {
        pb::HoldCreditsRequest {
            request_id: self.fresh(),
            spender: usd(spender),
            amount_micros,
            ..pb::HoldCreditsRequest::default()
        }
    }

    pub async fn hold(&mut self, spender: &str, amount: i64) -> Result<pb::CreditHold, Status> {
        let request = self.holding(spender, amount);
        let answer = self.wallets.hold_credits(request).await?;
        Ok(answer.into_inner().hold.unwrap())
    }

    fn capturing(&self, hold: &str, amount_micros: Option<i64>) -> pb::CaptureHoldRequest {
        pb::CaptureHoldRequest {
            request_id: self.fresh(),
            customer_id: "acme".to_owned(),
            hold_id: hold.to_owned(),
            amount_micros,
            ..pb::CaptureHoldRequest::default()
        }
    }

    pub async fn capture(
        &mut self,
        hold: &str,
        amount: Option<i64>,
    ) -> Result<pb::CreditHold, Status> {
        let request = self.capturing(hold, amount);
        let answer = self.wallets.capture_hold(request).await?;
        Ok(answer.into_inner().hold.unwrap())
    }

    async fn release(&mut self, hold: &str) -> Result<pb::CreditHold, Status> {
        let request = pb::ReleaseHoldRequest {
            request_id: self.fresh(),
            customer_id: "acme".to_owned(),
            hold_id: hold.to_owned(),
            note: String::new(),
        };
        let answer = self.wallets.release_hold(request).await?;
        Ok(answer.into_inner().hold.unwrap())
    }

    fn transferring(&self, from: &str, to: &str, amount: i64) -> pb::TransferCreditsRequest {
        pb::TransferCreditsRequest {
            request_id: self.fresh(),
            customer_id: "acme".to_owned(),
            credit_unit: "USD".to_owned(),
            from_subaccount_id: from.to_owned(),
            to_subaccount_id: to.to_owned(),
            amount_micros: amount,
            note: String::new(),
        }
    }

    pub async fn transfer(
        &mut self,
        from: &str,
        to: &str,
        amount: i64,
    ) -> Result<[Balance; 2], Status> {
        let request = self.transferring(from, to, amount);
        let answer = self.wallets.transfer_credits(request).await?.into_inner();
        Ok([answer.from_balance, answer.to_balance].map(balance))
    }

    /// Bounds what may be spent in a day.
    async fn cap(&mut self, owner: &str, amount_micros: i64) -> pb::Wallet {
        let request = pb::SetSpendCapRequest {
            request_id: self.fresh(),
            wallet: usd(owner),
            amount_micros: Some(amount_micros),
            window: String::new(),
        };
        let answer = self.wallets.set_spend_cap(request).await.unwrap();
        answer.into_inner().wallet.unwrap()
    }

    /// Returns a wallet of `acme` in dollars.
    async fn wallet(&mut self, owner: &str) -> pb::Wallet {
        let request = pb::GetWalletRequest { wallet: usd(owner) };
        let answer = self.wallets.get_wallet(request).await.unwrap();
        answer.into_inner().wallet.unwrap()
    }

    /// Returns what a wallet of `acme` holds.
    pub async fn balance(&mut self, owner: &str) -> Balance {
        balance(self.wallet(owner).await.balance)
    }

    /// Returns the ledger of a wallet of `acme`, the first transaction first, in pages of three.
    pub async fn ledger(&mut self, owner: &str) -> Vec<pb::LedgerTransaction> {
        let mut request = pb::ListLedgerEntriesRequest {
            wallet: usd(owner),
            oldest_first: true,
            page_size: 3,
            ..pb::ListLedgerEntriesRequest::default()
        };
        let mut all = Vec::new();
        loop {
            let answer = self.wallets.list_ledger_entries(request.clone()).await;
            let answer = answer.unwrap().into_inner();
            all.extend(answer.transactions);
            request.page_token = answer.next_page_token;
            if request.page_token.is_empty() {
                return all;
            }
        }
    }

    /// Proves the ledgers of `acme`, and its counters.
    pub async fn prove(&mut self) {
        let request = pb::AuditLedgersRequest {
            customer_id: "acme".to_owned(),
            ..pb::AuditLedgersRequest::default()
        };
        let proof = self.operations.audit_ledgers(request).await;
        let proof = proof.unwrap().into_inner();
        assert_eq!(proof.faults, []);
        assert!(proof.wallets_checked > 0);
        let counters = pb::AuditCountersRequest::default();
        let counters = self.operations.audit_counters(counters).await;
        assert_eq!(counters.unwrap().into_inner().mismatches, []);
    }
}

/// Available, held, owed.
pub type Balance = (i64, i64, i64);

fn balance(of: Option<pb::CreditBalance>) -> Balance {
    let of = of.unwrap();
    (of.available_micros, of.held_micros, of.receivable_micros)
}

/// Names a wallet of `acme` in dollars.
fn usd(owner: &str) -> Option<pb::WalletName> {
    Some(pb::WalletName {
        customer_id: "acme".to_owned(),
        subaccount_id: owner.to_owned(),
        credit_unit: "USD".to_owned(),
    })
}

/// So many seconds after the start.
fn at(seconds: i64) -> Option<Timestamp> {
    let seconds = START / 1_000_000 + seconds;
    Some(Timestamp { seconds, nanos: 0 })
}

/// What a refusal says: code, reason, and the numbers behind it.
pub type Refused = (Code, String, Vec<(String, String)>);

/// Returns what a refusal says.
pub fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> Refused {
    let status = answer.unwrap_err();
    let details = status.get_error_details();
    let info = details.error_info().expect("each has an ErrorInfo");
    assert_eq!(info.domain, "bursar.v1");
    let numbers: BTreeMap<_, _> = info.metadata.clone().into_iter().collect();
    let reason = info.reason.clone();
    (status.code(), reason, numbers.into_iter().collect())
}

/// As [`refusal`] says it.
fn said(code: Code, reason: &str, numbers: &[(&str, &str)]) -> Refused {
    let own = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
    (code, reason.to_owned(), numbers.iter().map(own).collect())
}
