//! Proving ledgers: on demand, where each kind of fault is named with its numbers, and from time to time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bursar::clock::ManualClock;
use bursar::config::Database;
use bursar::domain::id::{CustomerId, RequestId};
use bursar::domain::time::Timestamp;
use bursar::domain::wallet::{Category, Source};
use bursar::engine::{Chores, Engine, GrantCall, Limits, Profile, WalletName};
use bursar::grpc::pb;
use bursar::storage::sqlite::{Options, SqliteStore};
use metrics_exporter_prometheus::PrometheusBuilder;
use pb::LedgerFaultKind as Kind;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::{CATALOG, Clients, USD, refusal};
use crate::harness::{Kind as Place, START, TestServer, run};
use crate::laws::system::catalog;

/// Writes to the database behind the back of its server.
fn alter(path: &Path, sql: &str) {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.busy_timeout(Duration::from_secs(10)).unwrap();
    let changed = conn.execute(sql, []).unwrap();
    assert!(changed > 0, "{sql}");
}

async fn audit(to: &mut Clients, customer: &str) -> pb::AuditLedgersResponse {
    let request = pb::AuditLedgersRequest {
        customer_id: customer.to_owned(),
        ..pb::AuditLedgersRequest::default()
    };
    let answer = to.operations.audit_ledgers(request).await;
    answer.unwrap().into_inner()
}

/// Kind, transaction, entry.
type Fault = (Kind, i64, Option<i32>);

/// What is broken, how it is mended, and what an audit says of it.
struct Damage {
    breaks: &'static str,
    mends: &'static str,
    /// Kind, transaction and entry of each fault.
    faults: &'static [Fault],
    /// What stands in the text of the first.
    text: &'static str,
}

/// The customer's ledger: 10 dollars came, 3 were spent, 2 went to the agent.
const DAMAGES: [Damage; 6] = [
    Damage {
        breaks: "UPDATE ledger SET body = replace(body, '-3000000', '-3000001') WHERE number = 2",
        mends: "UPDATE ledger SET body = replace(body, '-3000001', '-3000000') WHERE number = 2",
        faults: &[
            (Kind::Unbalanced, 2, None),
            (Kind::Misstated, 2, None),
            (Kind::Differs, 0, None),
        ],
        text: "the entries sum to -1 micro-units",
    },
    Damage {
        breaks: "UPDATE ledger SET body = replace(body, '3000000', '30000000') WHERE number = 2",
        mends: "UPDATE ledger SET body = replace(body, '30000000', '3000000') WHERE number = 2",
        faults: &[
            (Kind::Overdrawn, 2, Some(0)),
            (Kind::Misstated, 2, None),
            (Kind::Differs, 0, None),
        ],
        text: "leaves its account with -20000000 micro-units",
    },
    Damage {
        breaks: "UPDATE ledger SET number = 20 WHERE number = 2",
        mends: "UPDATE ledger SET number = 2 WHERE number = 20",
        faults: &[
            (Kind::Gap, 2, None),
            (Kind::Misstated, 3, None),
            (Kind::Differs, 0, None),
        ],
        text: "transaction 2 should have come, 3 did",
    },
    Damage {
        breaks: "UPDATE ledger SET held = 4 WHERE number = 3",
        mends: "UPDATE ledger SET held = 0 WHERE number = 3",
        faults: &[(Kind::Misstated, 3, None)],
        text: "noted is 5000000 available, 4 held, 0 owed, the entries come to 5000000 available, 0 held",
    },
    Damage {
        breaks: "UPDATE books SET used = used + 7 WHERE kind = 1 AND subaccount = ''",
        mends: "UPDATE books SET used = used - 7 WHERE kind = 1 AND subaccount = ''",
        faults: &[(Kind::Differs, 0, None)],
        text: "has 4999993 available, the entries say 5000000",
    },
    Damage {
        breaks: "UPDATE ledger SET number = 20 WHERE subaccount = 'bot'",
        mends: "UPDATE ledger SET number = 1 WHERE subaccount = 'bot'",
        faults: &[
            (Kind::Gap, 1, None),
            (Kind::Differs, 0, None),
            (Kind::Transfers, 0, None),
        ],
        text: "transaction 1 should have come, none did",
    },
];

#[test]
fn an_audit_names_each_kind_of_fault() {
    let mut file = PathBuf::new();
    let server = TestServer::with(Place::Sqlite, |config| {
        std::fs::write(config.catalog.as_ref().unwrap(), CATALOG).unwrap();
        if let Database::Sqlite(path) = &config.database {
            file.clone_from(path);
        }
    });
    run(async {
        let mut to = Clients::of(&server).await;
        to.create("acme").await;
        to.create("bolt").await;
        to.grant("", 10 * USD).await;
        to.debit("", 3 * USD).await.unwrap();
        to.transfer("", "bot", 2 * USD).await.unwrap();
        for damage in DAMAGES {
            let sound = audit(&mut to, "").await;
            assert_eq!(sound.faults, []);
            assert_eq!((sound.wallets_checked, sound.transactions_checked), (2, 4));
            alter(&file, damage.breaks);
            let found = audit(&mut to, "acme").await.faults;
            let seen: Vec<Fault> = found
                .iter()
                .map(|fault| (fault.kind(), fault.transaction_number, fault.entry_index))
                .collect();
            assert_eq!(seen, damage.faults, "{found:#?}");
            assert!(found[0].text.contains(damage.text), "{found:#?}");
            let name = found[0].wallet.as_ref().unwrap();
            assert_eq!((&*name.customer_id, &*name.credit_unit), ("acme", "USD"));
            assert_eq!(audit(&mut to, "bolt").await.faults, []);
            alter(&file, damage.mends);
        }
    });
    run(async {
        server.stop().await;
    });
}

#[test]
fn an_audit_goes_page_by_page() {
    super::on_both(async |_, mut to| {
        to.create("bolt").await;
        to.grant("", USD).await;
        let mut request = pb::AuditLedgersRequest {
            page_size: 1,
            ..pb::AuditLedgersRequest::default()
        };
        for wallets in [1, 0] {
            let page = to.operations.audit_ledgers(request.clone()).await;
            let page = page.unwrap().into_inner();
            assert_eq!(page.wallets_checked, wallets);
            request.page_token = page.next_page_token;
        }
        assert_eq!(request.page_token, "");
        request.page_token = "elsewhere".to_owned();
        let refused = refusal(to.operations.audit_ledgers(request).await);
        assert_eq!(refused.1, "PAGE_TOKEN_INVALID");
        let request = pb::AuditLedgersRequest {
            customer_id: "nobody".to_owned(),
            ..pb::AuditLedgersRequest::default()
        };
        let (code, reason, _) = refusal(to.operations.audit_ledgers(request).await);
        assert_eq!((code, &*reason), (Code::NotFound, "CUSTOMER_NOT_FOUND"));
    });
}

/// Creates `acme` and grants it a dollar.
async fn fund(engine: &Engine) {
    let (acme, request) = (
        CustomerId::new("acme").unwrap(),
        RequestId::new("r").unwrap(),
    );
    let profile = Profile::default();
    let created = engine.create_customer("test", request.clone(), acme.clone(), profile);
    created.await.unwrap();
    let call = GrantCall {
        wallet: WalletName {
            customer: acme,
            subaccount: None,
            unit: "USD".into(),
        },
        id: None,
        amount: USD,
        priority: 0,
        category: Category::Paid,
        source: Source::Manual,
        reference: "".into(),
        expire_time: None,
        note: "".into(),
    };
    engine.grant_credits("test", request, call).await.unwrap();
}

#[test]
fn ledgers_are_proved_from_time_to_time() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bursar.db");
        let (store, _) = SqliteStore::open(&path, Options::default()).unwrap();
        let clock = ManualClock::at(Timestamp::from_micros_clamped(START));
        let recorder = PrometheusBuilder::new().build_recorder();
        let (engine, committer) = metrics::with_local_recorder(&recorder, || {
            let catalog = catalog(CATALOG);
            Engine::start(Arc::new(store), Arc::new(clock), catalog, Limits::default())
        });
        fund(&engine).await;
        let often = Duration::from_millis(5);
        let chores = Chores {
            first_proof: often,
            proof: often,
            ..Chores::default()
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(engine.clone().run_chores(chores, None, stop.clone()));
        let told = async |faults: u32| {
            let line = format!("bursar_ledger_faults {faults}\n");
            while !recorder.handle().render().contains(&line) {
                tokio::time::sleep(often).await;
            }
        };
        told(0).await;
        alter(&path, "UPDATE ledger SET available = 7");
        told(1).await;
        alter(&path, "UPDATE books SET used = 7 WHERE kind = 1");
        told(2).await;
        alter(&path, "UPDATE books SET used = 0 WHERE kind = 1");
        alter(&path, "UPDATE ledger SET available = 1000000");
        told(0).await;
        stop.cancel();
        task.await.unwrap();
        drop(engine);
        committer.await.unwrap();
    });
}
