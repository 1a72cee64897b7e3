//! The ledger: pages both ways with a running balance, filters, causes, and wallets in a list.

use bursar::domain::time::Span;
use bursar::grpc::pb;
use pb::{LedgerAccount as Account, LedgerCause as Cause};
use tonic::Code;

use super::{Clients, USD, at, balance, on_both, refusal, usd};

/// Twelve transactions, a minute apart.
async fn busy(to: &mut Clients, server: &crate::harness::TestServer) -> String {
    let minute = || server.clock.advance(Span::from_minutes(1));
    let grant = to.grant("", 100 * USD).await.grant_id;
    for spent in 1..=5 {
        minute();
        to.debit("", spent * USD).await.unwrap();
    }
    for _ in 0..2 {
        minute();
        let held = to.hold("bot", 10 * USD).await.unwrap().hold_id;
        minute();
        to.capture(&held, Some(4 * USD)).await.unwrap();
    }
    minute();
    let held = to.hold("", USD).await.unwrap().hold_id;
    minute();
    to.release(&held).await.unwrap();
    grant
}

#[test]
fn pages_have_a_running_balance_both_ways() {
    on_both(async |server, mut to| {
        busy(&mut to, server).await;
        let rising = to.ledger("").await;
        assert_eq!(rising.len(), 12);
        let mut running = (0, 0, 0);
        for (index, posted) in rising.iter().enumerate() {
            assert_eq!(posted.number, 1 + i64::try_from(index).unwrap());
            assert_eq!(posted.time, at(60 * i64::try_from(index).unwrap()));
            let sum: i64 = posted.entries.iter().map(|entry| entry.amount_micros).sum();
            assert_eq!(sum, 0);
            for entry in &posted.entries {
                match entry.account() {
                    Account::Available => running.0 += entry.amount_micros,
                    Account::Held => running.1 += entry.amount_micros,
                    Account::Receivable => running.2 -= entry.amount_micros,
                    _ => {}
                }
            }
            assert_eq!(balance(posted.balance), running, "{posted:?}");
        }
        assert_eq!(running, (77 * USD, 0, 0));
        // The last first, in pages of five.
        let mut falling = Vec::new();
        let mut request = pb::ListLedgerEntriesRequest {
            wallet: usd(""),
            page_size: 5,
            ..pb::ListLedgerEntriesRequest::default()
        };
        for expected in [5, 5, 2] {
            let page = to.wallets.list_ledger_entries(request.clone()).await;
            let page = page.unwrap().into_inner();
            assert_eq!(page.transactions.len(), expected);
            falling.extend(page.transactions);
            request.page_token = page.next_page_token;
        }
        assert_eq!(request.page_token, "");
        falling.reverse();
        assert_eq!(falling, rising);
    });
}

#[test]
fn ledgers_are_filtered() {
    on_both(async |server, mut to| {
        let grant = busy(&mut to, server).await;
        let all = to.ledger("").await;
        let hold = all[6].hold_id.clone();
        type Change<'a> = Box<dyn Fn(&mut pb::ListLedgerEntriesRequest) + 'a>;
        let filters: [(Change<'_>, &[i64]); 7] = [
            (Box::new(|to| to.cause = Cause::Capture.into()), &[8, 10]),
            (Box::new(|to| to.hold_id.clone_from(&hold)), &[7, 8]),
            (Box::new(|to| to.start_time = at(600)), &[11, 12]),
            (Box::new(|to| to.end_time = at(120)), &[1, 2]),
            (
                Box::new(|to| (to.start_time, to.end_time) = (at(60), at(180))),
                &[2, 3],
            ),
            (
                Box::new(|to| to.grant_id.clone_from(&grant)),
                &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
            ),
            (Box::new(|to| to.wallet = usd("bot")), &[]),
        ];
        for (change, numbers) in filters {
            let mut request = pb::ListLedgerEntriesRequest {
                wallet: usd(""),
                oldest_first: true,
                ..pb::ListLedgerEntriesRequest::default()
            };
            change(&mut request);
            let page = to.wallets.list_ledger_entries(request).await.unwrap();
            let page = page.into_inner().transactions;
            let found: Vec<i64> = page.iter().map(|posted| posted.number).collect();
            assert_eq!(found, numbers);
        }
        let mut request = pb::ListLedgerEntriesRequest {
            wallet: usd(""),
            page_size: 2,
            ..pb::ListLedgerEntriesRequest::default()
        };
        let first = to.wallets.list_ledger_entries(request.clone()).await;
        request.page_token = first.unwrap().into_inner().next_page_token;
        request.cause = Cause::Grant.into();
        let (code, reason, _) = refusal(to.wallets.list_ledger_entries(request.clone()).await);
        assert_eq!(
            (code, &*reason),
            (Code::InvalidArgument, "PAGE_TOKEN_INVALID")
        );
        request.page_token.clear();
        (request.start_time, request.end_time) = (at(5), at(5));
        let (_, reason, numbers) = refusal(to.wallets.list_ledger_entries(request).await);
        assert_eq!((&*reason, &*numbers[0].1), ("FIELD_INVALID", "end_time"));
    });
}

#[test]
fn transactions_say_what_they_are_about() {
    on_both(async |_, mut to| {
        let request = pb::GrantCreditsRequest {
            request_id: "pay".to_owned(),
            source: pb::CreditSource::Promotion.into(),
            note: "welcome".to_owned(),
            ..to.granting("", 10 * USD)
        };
        let granted = to
            .wallets
            .grant_credits(request)
            .await
            .unwrap()
            .into_inner();
        let grant_id = granted.grant.unwrap().grant_id;
        to.transfer("", "bot", 4 * USD).await.unwrap();
        let [own, bots] = [to.ledger("").await, to.ledger("bot").await];
        let first = &own[0];
        assert_eq!(
            (&*first.note, &*first.request_id, &*first.caller),
            ("welcome", "pay", "anonymous")
        );
        assert_eq!((first.cause(), &first.grant_id), (Cause::Grant, &grant_id));
        let entry = |account: Account, grant: &str, amount| pb::LedgerEntry {
            account: account.into(),
            grant_id: grant.to_owned(),
            source: 0,
            amount_micros: amount,
        };
        let funding = pb::LedgerEntry {
            source: pb::CreditSource::Promotion.into(),
            ..entry(Account::Funding, "", -10 * USD)
        };
        let available = entry(Account::Available, &grant_id, 10 * USD);
        assert_eq!(first.entries, [funding, available]);
        let given = entry(Account::Available, &grant_id, -4 * USD);
        let way = entry(Account::Transfers, "", 4 * USD);
        assert_eq!(own[1].entries, [given, way]);
        assert_eq!(own[1].other_subaccount_id, "bot");
        assert_eq!(bots[0].other_subaccount_id, "");
        assert_eq!(bots[0].cause(), Cause::Transfer);
        let taken = &to.wallet("bot").await.grants[0];
        assert_eq!(taken.source(), pb::CreditSource::Transfer);
        assert_eq!(taken.category(), pb::CreditCategory::Promotional);
        assert_eq!(taken.reference, grant_id);
        let came = entry(Account::Available, &taken.grant_id, 4 * USD);
        assert_eq!(bots[0].entries[1], came);
        to.prove().await;
    });
}

#[test]
fn wallets_are_listed_page_by_page() {
    on_both(async |_, mut to| {
        for owner in ["bot", ""] {
            for unit in ["USD", "LUC"] {
                let mut request = to.granting(owner, USD);
                request.wallet.as_mut().unwrap().credit_unit = unit.to_owned();
                to.wallets.grant_credits(request).await.unwrap();
            }
        }
        let mut request = pb::ListWalletsRequest {
            customer_id: "acme".to_owned(),
            page_size: 1,
            ..pb::ListWalletsRequest::default()
        };
        let mut found = Vec::new();
        for _ in 0..4 {
            let page = to.wallets.list_wallets(request.clone()).await.unwrap();
            let page = page.into_inner();
            let [wallet] = &page.wallets[..] else {
                panic!("{page:?}");
            };
            let name = (wallet.subaccount_id.clone(), wallet.credit_unit.clone());
            assert_eq!(wallet.spendable_micros, USD);
            found.push(name);
            request.page_token = page.next_page_token;
        }
        assert_eq!(request.page_token, "");
        let expected = [("", "LUC"), ("", "USD"), ("bot", "LUC"), ("bot", "USD")];
        let expected = expected.map(|(owner, unit)| (owner.to_owned(), unit.to_owned()));
        assert_eq!(found, expected);
        for token in ["x", "0123456789abcdef USD"] {
            request.page_token = token.to_owned();
            let refused = refusal(to.wallets.list_wallets(request.clone()).await);
            assert_eq!(refused.1, "PAGE_TOKEN_INVALID");
        }
    });
}
