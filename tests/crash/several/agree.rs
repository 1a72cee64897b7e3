//! Whether every replica tells what is stored, while nobody changes anything.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bursar::clock::Stopwatch;
use bursar::grpc::pb;
use bursar::grpc::pb::entitlement_service_client::EntitlementServiceClient;
use sqlx::{Connection as _, PgConnection, Row as _};
use tonic::transport::{Channel, Endpoint};

use super::runtime;
use crate::clients::wire::micros;
use crate::run::Result;
use crate::stored::postgres::{begin, chain};
use crate::stored::{place_of, unpack};
use crate::world::{COUNTERS, CUSTOMERS, Group, Meter, Window, customer_id, customer_no};

/// How long replicas may tell something else after the last change.
const MAY_DIFFER: Duration = Duration::from_secs(2);
/// How long it may take until nothing changes any more: reservations that are over are still to be ended, and what
/// was on its way arrives.
const MAY_CHANGE: Duration = Duration::from_mins(1);
/// Features with counters, and whether they count only what the large model used.
const METERED: [(&str, Meter, bool); 5] = [
    ("tokens", Meter::Tokens, false),
    ("large_tokens", Meter::Tokens, true),
    ("calls", Meter::Calls, false),
    ("units", Meter::Units, false),
    ("work", Meter::Work, false),
];

/// A counter's row: from, to, used, reserved, buckets.
type Row = (i64, i64, i64, i64, BTreeMap<i64, i64>);

/// What is stored of the things that checks tell.
#[derive(Debug, Default, PartialEq, Eq)]
struct Numbers {
    /// By customer and place in [`COUNTERS`].
    counters: BTreeMap<(u32, usize), Vec<Row>>,
    jobs: BTreeMap<u32, i64>,
    seats: BTreeMap<u32, i64>,
    /// What customers themselves have to spend, and what they owe.
    available: BTreeMap<u32, i64>,
    owed: BTreeMap<u32, i64>,
    /// Whether reservations, holds or grants are due to end.
    changes_soon: bool,
}

/// Compares the checks of all replicas with what is stored, until they agree or have had their time; then looks at the
/// marks of batches.
pub fn check(url: &str, replicas: &[(usize, SocketAddr)]) -> Result<Vec<String>> {
    runtime()?.block_on(async {
        let mut services = Vec::new();
        for (number, addr) in replicas {
            let endpoint = Endpoint::from_shared(format!("http://{addr}"))?;
            let channel = endpoint.timeout(MAY_DIFFER).connect().await?;
            services.push((*number, EntitlementServiceClient::new(channel)));
        }
        let (watch, mut stable) = (Stopwatch::start(), Stopwatch::start());
        let mut stored = numbers(url).await?;
        loop {
            let since = stable.elapsed();
            let differences = compare(&services, &stored).await?;
            let now = numbers(url).await?;
            if now != stored || now.changes_soon {
                // What was told meanwhile says nothing.
                stable = Stopwatch::start();
            } else if differences.is_empty() || since > MAY_DIFFER {
                let mut conn = begin(url).await?;
                let chain = chain(&mut conn).await?;
                conn.close().await?;
                return Ok(differences.into_iter().chain(chain).collect());
            }
            stored = now;
            if watch.elapsed() > MAY_CHANGE {
                return Ok(vec!["what is stored does not come to rest".to_owned()]);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

async fn numbers(url: &str) -> Result<Numbers> {
    let mut conn = begin(url).await?;
    let mut numbers = Numbers {
        jobs: count(
            &mut conn,
            r#"SELECT customer_id, count(*) FROM reservations
               WHERE state = 0 AND items LIKE '%"feature":"jobs"%' GROUP BY 1"#,
        )
        .await?,
        seats: count(
            &mut conn,
            "SELECT customer_id, count(*) FROM allocations WHERE feature = 'seats' GROUP BY 1",
        )
        .await?,
        available: count(
            &mut conn,
            "SELECT customer_id, sum(amount - used - held - lapsed)::int8 FROM grants
             WHERE subaccount = '' GROUP BY 1",
        )
        .await?,
        owed: count(
            &mut conn,
            "SELECT customer_id, receivable FROM wallets WHERE subaccount = ''",
        )
        .await?,
        ..Numbers::default()
    };
    let rows = sqlx::query(
        "SELECT customer_id, coalesce(long_spec, spec), start_time, end_time, used, reserved, ring FROM counters
         ORDER BY 1, 2, 3",
    );
    for row in rows.fetch_all(&mut conn).await? {
        let (customer, spec): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (Some(customer), Some(place)) = (customer_no(&customer), place_of(&spec)) else {
            // The checker reports it at the end.
            continue;
        };
        let ring: Option<Vec<u8>> = row.try_get(6)?;
        let ring = ring.map_or_else(|| Ok([].into()), |bytes| unpack(&bytes))?;
        let rows = numbers.counters.entry((customer, place)).or_default();
        let (used, reserved) = (row.try_get(4)?, row.try_get(5)?);
        rows.push((row.try_get(2)?, row.try_get(3)?, used, reserved, ring));
    }
    // Those of a short life end by themselves, at the latest a moment after their time.
    let due = "WITH soon AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8 + 3000000 AS time)
        SELECT EXISTS (SELECT FROM reservations, soon WHERE state = 0 AND expire_time < time)
            OR EXISTS (SELECT FROM holds, soon WHERE state = 0 AND expire_time < time)
            OR EXISTS (SELECT FROM grants, soon
                       WHERE amount > used + held + lapsed AND expire_time < time)";
    numbers.changes_soon = sqlx::query_scalar(due).fetch_one(&mut conn).await?;
    conn.close().await?;
    Ok(numbers)
}

async fn count(conn: &mut PgConnection, sql: &'static str) -> Result<BTreeMap<u32, i64>> {
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(conn).await?;
    let known = rows.into_iter();
    Ok(known
        .filter_map(|(id, count)| Some((customer_no(&id)?, count)))
        .collect())
}

/// Asks every replica about every customer.
async fn compare(
    services: &[(usize, EntitlementServiceClient<Channel>)],
    stored: &Numbers,
) -> Result<Vec<String>> {
    let mut differences = Vec::new();
    for (replica, service) in services {
        let mut service = service.clone();
        for customer in 0..CUSTOMERS {
            for text in compare_one(&mut service, customer, stored).await? {
                differences.push(format!("replica {replica}, customer {customer}: {text}"));
            }
        }
    }
    Ok(differences)
}

async fn compare_one(
    service: &mut EntitlementServiceClient<Channel>,
    customer: u32,
    stored: &Numbers,
) -> Result<Vec<String>> {
    let mut differences = Vec::new();
    let group = Group::of(customer);
    let things = [("jobs", &stored.jobs), ("seats", &stored.seats)];
    for (feature, things) in things.into_iter().filter(|_| group == Group::Hot) {
        let told = ask(service, customer, feature).await?;
        let due = things.get(&customer).copied().unwrap_or_default();
        if told.used + told.reserved != due {
            let (used, reserved) = (told.used, told.reserved);
            differences.push(format!(
                "{feature}: {due} are stored, it tells {used} + {reserved}"
            ));
        }
    }
    for (feature, meter, large_only) in METERED {
        if used_by(meter) != group {
            continue;
        }
        let told = ask(service, customer, feature).await?;
        if told.degraded {
            differences.push(format!("{feature}: the answer is degraded"));
        }
        if meter == Meter::Work {
            differences.extend(compare_credits(&told, customer, stored));
        }
        let at = micros(told.evaluate_time.as_ref());
        let places = COUNTERS
            .iter()
            .enumerate()
            .filter(|(_, counter)| counter.meter == meter && counter.large_only == large_only);
        // Both in the order of the catalog.
        for (number, (place, counter)) in places.enumerate() {
            let Some(status) = told.limits.get(number) else {
                let window = counter.window_name;
                differences.push(format!("{feature} in {window}: nothing is told, {told:?}"));
                continue;
            };
            let due = due(stored.counters.get(&(customer, place)), counter.window, at);
            if (status.used_milli, status.reserved_milli) != due {
                differences.push(format!(
                    "{feature} in {}: {due:?} is stored, it tells {:?}",
                    counter.window_name,
                    (status.used_milli, status.reserved_milli)
                ));
            }
        }
    }
    Ok(differences)
}

/// What is recorded, what is admitted and what is paid for belong to different customers.
fn used_by(meter: Meter) -> Group {
    match meter {
        Meter::Tokens | Meter::Calls => Group::Cold,
        Meter::Units => Group::Hot,
        Meter::Work => Group::Funded,
    }
}

/// Compares what a customer itself has to spend.
fn compare_credits(told: &pb::Decision, customer: u32, stored: &Numbers) -> Option<String> {
    let of = |sums: &BTreeMap<u32, i64>| sums.get(&customer).copied().unwrap_or_default();
    let due = (of(&stored.available), of(&stored.owed));
    let credits = told.credits.clone().unwrap_or_default();
    let is = (credits.available_micros, credits.receivable_micros);
    (is != due).then(|| format!("credits: {due:?} are stored, it tells {is:?}"))
}

/// Returns what is used and reserved at an instant.
fn due(rows: Option<&Vec<Row>>, window: Window, at: i64) -> (i64, i64) {
    let mut rows = rows.into_iter().flatten();
    match window {
        Window::Lifetime | Window::Steps(_) => rows
            .find(|row| row.0 <= at && at < row.1)
            .map_or((0, 0), |row| (row.2, row.3)),
        Window::Rolling(length) => rows.next().map_or((0, 0), |row| {
            let width = (length + 59) / 60;
            // A bucket counts until it lies wholly outside.
            let oldest = (at - length) / width;
            let used = row.4.range(oldest..).map(|(_, amount)| amount).sum();
            (used, row.3)
        }),
    }
}

async fn ask(
    service: &mut EntitlementServiceClient<Channel>,
    customer: u32,
    feature: &str,
) -> Result<pb::Decision> {
    let request = pb::CheckEntitlementRequest {
        customer_id: customer_id(customer),
        feature_id: feature.to_owned(),
        quantity: Some(0),
        verbose: true,
        ..pb::CheckEntitlementRequest::default()
    };
    let answer = service.check_entitlement(request).await;
    let answer = answer.map_err(|status| format!("CheckEntitlement: {status}"))?;
    Ok(answer.into_inner().decision.ok_or("no decision")?)
}
