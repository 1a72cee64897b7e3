//! One batch: one transaction, one decision.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use sqlx::{PgConnection, Postgres, Transaction};
use tokio::time::timeout;

use super::customers::Locked;
use super::error::{is_lost_partition, is_passing, of_commit};
use super::insert::{self, Inserted};
use super::marks::{self, Turn};
use super::open::duration;
use super::scan::{self, Key};
use super::wallets::{Moved, Rows};
use super::{Shared, account, billing, changes, columns, counters, find, rollups};
use crate::domain::catalog::CatalogVersion;
use crate::domain::id::CustomerId;
use crate::domain::time::Timestamp;
use crate::failpoint;
use crate::storage::columns::corrupt;
use crate::storage::{
    AccountRows, Batch, BatchMark, BillingKey, Changes, Committed, CustomerNo, Decide, EventKey,
    EventRow, Fold, Found, Named, RequestKey, Reread, StoreError,
};

/// How often a batch is tried that came to nothing before it was decided.
const TRIES: u32 = 5;
/// The longest pause before the second try; it doubles with each.
const PAUSE: Duration = Duration::from_millis(20);

/// What a batch asks for, kept until it is decided: until then it can be tried again.
struct Asked {
    mark: BatchMark,
    now: Timestamp,
    plain: Vec<Arc<Vec<EventRow>>>,
    probe_events: Vec<EventKey>,
    probe_requests: Vec<RequestKey>,
    probe_billing: Vec<BillingKey>,
    catalog: CatalogVersion,
    customers: Vec<Named>,
    folds: Vec<Fold>,
    changes_catalog: bool,
}

/// Why a try came to nothing.
enum Failure {
    Database(sqlx::Error),
    Other(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Other(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Database(error) => error.into(),
            Failure::Other(error) => error,
        }
    }
}

/// What a batch stored, before it is committed.
struct Filled<'a> {
    created: Vec<(CustomerId, CustomerNo)>,
    inserted: Inserted<'a>,
    decided: Vec<EventRow>,
}

impl Filled<'_> {
    fn stored(&self) -> Vec<&EventRow> {
        self.inserted.rows().chain(&self.decided).collect()
    }
}

/// Decides and writes a batch.
pub(super) async fn commit(shared: &Shared, batch: Batch) -> Result<Committed, StoreError> {
    let asked = Asked {
        mark: batch.mark,
        now: batch.now,
        plain: batch.plain,
        probe_events: batch.probe_events,
        probe_requests: batch.probe_requests,
        probe_billing: batch.probe_billing,
        catalog: batch.catalog,
        customers: batch.customers,
        folds: batch.folds,
        changes_catalog: batch.changes_catalog,
    };
    let mut decide = Some(batch.decide);
    // Writers that got into each other's way must not meet again at the same instant.
    let seed = asked.mark.epoch.wrapping_mul(1_000_003) ^ asked.mark.number;
    let mut random = Pcg64::seed_from_u64(seed.cast_unsigned());
    let mut tries = 1;
    loop {
        let failure = match once(shared, &asked, &mut decide).await {
            Ok(committed) => return Ok(committed),
            Err(failure) => failure,
        };
        match failure {
            Failure::Database(error) if is_passing(&error) && decide.is_some() && tries < TRIES => {
                tracing::debug!(%error, tries, "a batch is tried again");
                if is_lost_partition(&error) {
                    shared.days.forget();
                }
                let pause = PAUSE * 2_u32.pow(tries - 1);
                tokio::time::sleep(pause.mul_f64(random.random())).await;
                tries += 1;
            }
            failure => {
                if let Failure::Database(error) = &failure
                    && is_lost_partition(error)
                {
                    shared.days.forget();
                }
                return Err(failure.into());
            }
        }
    }
}

async fn once(
    shared: &Shared,
    asked: &Asked,
    decide: &mut Option<Decide>,
) -> Result<Committed, Failure> {
    let limit = duration(shared.options.answer_timeout);
    let late = |_| StoreError::Unavailable("the database did not answer in time".to_owned());
    let plain = asked.plain.iter().flat_map(|rows| rows.iter());
    let days = shared.days.make(&shared.feed, plain.map(columns::day_of));
    timeout(limit, days).await.map_err(late)??;
    let mut transaction = timeout(limit, shared.writers.begin())
        .await
        .map_err(late)??;
    let filling = fill(shared, &mut transaction, asked, decide);
    let Some(filled) = timeout(limit, filling).await.map_err(late)?? else {
        return Ok(Committed {
            created: Vec::new(),
            repeated: true,
        });
    };
    end(shared, transaction).await?;
    for (id, no) in &filled.created {
        shared.names.learn(*no, id);
    }
    shared.days.noted(filled.stored().into_iter());
    Ok(Committed {
        created: filled.created,
        repeated: false,
    })
}

/// Commits.
async fn end(shared: &Shared, transaction: Transaction<'static, Postgres>) -> Result<(), Failure> {
    let limit = duration(shared.options.answer_timeout);
    failpoint::hit("commit.rows_written");
    failpoint::hit("commit.before_commit");
    match timeout(limit, transaction.commit()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(of_commit(error).into()),
        Err(_) => {
            let text = "the database did not answer a COMMIT in time".to_owned();
            return Err(StoreError::Unknown(text).into());
        }
    }
    failpoint::hit("commit.after_commit");
    Ok(())
}

/// Finds out, decides and writes; `None`: the batch is already stored.
async fn fill<'a>(
    shared: &Shared,
    conn: &mut PgConnection,
    asked: &'a Asked,
    decide: &mut Option<Decide>,
) -> Result<Option<Filled<'a>>, Failure> {
    let Some(turn) = marks::begin(conn, asked.mark, asked.changes_catalog).await? else {
        return Ok(None);
    };
    failpoint::hit("commit.begun");
    let mut locked = Locked::default();
    let mut customers = named(shared, conn, asked).await?;
    let plain = || asked.plain.iter().flat_map(|rows| rows.iter());
    let of_events = plain().map(|row| &row.event.customer_id);
    let of_numbers = customers.values();
    let of_names = asked.customers.iter().map(|named| &named.id);
    locked
        .lock(conn, of_events.chain(of_numbers).chain(of_names))
        .await?;
    // Asked after the catalog was held: what another process committed before is seen.
    if asked.catalog != 0 && locked.catalog(conn).await? > asked.catalog {
        return Err(StoreError::Outdated.into());
    }
    check_events(&locked, plain())?;
    let mut inserted = insert::insert_plain(conn, &asked.plain).await?;
    failpoint::hit("commit.events_inserted");
    let duplicates = inserted.duplicates(conn).await?;
    let found = Found {
        plain: &asked.plain,
        duplicates,
        events: probed(conn, &customers, &asked.probe_events).await?,
        requests: find::answers(conn, asked.probe_requests.clone()).await?,
        billing: billing::find(conn, &asked.probe_billing).await?,
        accounts: reread(shared, conn, asked, &locked).await?,
        folds: find::folds(conn, &customers, &asked.folds).await?,
    };
    let Some(decide) = decide.take() else {
        let text = "a batch was decided twice".to_owned();
        return Err(StoreError::Constraint(text).into());
    };
    // A decision that panics must not take the caller with it.
    let mut changes = catch_unwind(AssertUnwindSafe(|| decide(&found)))
        .map_err(|_| StoreError::Constraint("the decision panicked".to_owned()))?;
    drop(found);
    if let Some(why) = changes.abort.take() {
        return Err(StoreError::Constraint(why).into());
    }
    failpoint::hit("commit.decided");

    let numbers = changes.rollups.iter().map(|shift| shift.customer);
    customers = shared.names.customers(conn, numbers).await?;
    let by_id = changes::named(&changes);
    locked.lock(conn, by_id.chain(customers.values())).await?;
    inserted.take_out(conn, &changes.refused).await?;
    let created = write(shared, conn, asked, &changes, &mut locked, &customers).await?;
    let wallets = Rows::of(&changes.books);
    wallets.write(conn).await?;
    let filled = Filled {
        created,
        inserted,
        decided: changes.events,
    };
    let written = (&*filled.stored(), wallets.moved());
    note(shared, conn, asked, (&turn, &locked), written).await?;
    Ok(Some(filled))
}

/// Notes what was stored: from when on its days count, and the row of the batch.
async fn note(
    shared: &Shared,
    conn: &mut PgConnection,
    asked: &Asked,
    (turn, locked): (&Turn, &Locked),
    (stored, moved): (&[&EventRow], &[Moved<'_>]),
) -> Result<(), StoreError> {
    let rows = stored.iter().copied();
    shared.days.note(conn, asked.now, rows).await?;
    let (turn, marked) = ((turn, shared.options.lease), (asked.mark, asked.now));
    marks::link(conn, turn, marked, &locked.ids(), (stored, moved)).await
}

/// Reads customers that are locked, save those that are as the maker of the batch knows them.
async fn reread(
    shared: &Shared,
    conn: &mut PgConnection,
    asked: &Asked,
    locked: &Locked,
) -> Result<Vec<Reread>, StoreError> {
    let is_blind = failpoint::fault("limit_from_memory");
    let is_known = |named: &Named| match locked.version(&named.id) {
        Some(version) => version == named.version || (is_blind && named.version != 0),
        None => true,
    };
    let changed = asked.customers.iter().filter(|named| !is_known(named));
    let ids: Vec<CustomerId> = changed.map(|named| named.id.clone()).collect();
    let mut read = account::read(conn, &shared.names, &ids, asked.now)
        .await?
        .into_iter();
    let mut answers = Vec::with_capacity(asked.customers.len());
    for named in &asked.customers {
        answers.push(match locked.version(&named.id) {
            None => Reread::Absent,
            Some(_) if is_known(named) => Reread::Same,
            Some(version) => {
                let rows = read.next().flatten();
                let rows = rows.ok_or_else(|| corrupt("customers", "a locked row is gone"))?;
                Reread::Rows(Box::new(AccountRows { version, ..rows }))
            }
        });
    }
    Ok(answers)
}

/// Writes what was decided.
async fn write(
    shared: &Shared,
    conn: &mut PgConnection,
    asked: &Asked,
    changes: &Changes,
    locked: &mut Locked,
    customers: &BTreeMap<CustomerNo, CustomerId>,
) -> Result<Vec<(CustomerId, CustomerNo)>, StoreError> {
    if changes.catalog.is_some() && !asked.changes_catalog {
        let text = "a batch changes the catalog and did not say so before".to_owned();
        return Err(StoreError::Constraint(text));
    }
    let created = locked.write(conn, &changes.customers).await?;
    locked.check(changes::named(changes))?;
    check_events(locked, changes.events.iter())?;
    let needed = changes.events.iter().map(columns::day_of);
    // On a connection of its own: this transaction holds no lock that it would wait for.
    shared.days.make(&shared.feed, needed).await?;
    insert::insert_decided(conn, &changes.events).await?;
    changes::write(conn, asked.now, changes).await?;
    billing::write(conn, changes).await?;
    counters::clear(conn, &changes.cleared).await?;
    counters::write(conn, &changes.counters, &changes.shifts).await?;
    rollups::write(conn, customers, &changes.rollups).await?;
    Ok(created)
}

/// Returns the customers that a batch names by number.
async fn named(
    shared: &Shared,
    conn: &mut PgConnection,
    asked: &Asked,
) -> Result<BTreeMap<CustomerNo, CustomerId>, StoreError> {
    let probed = asked.probe_events.iter().map(|key| key.customer);
    let folded = asked.folds.iter().map(|fold| fold.customer);
    shared.names.customers(conn, probed.chain(folded)).await
}

/// Refuses events whose customer is not stored, or not under their number.
fn check_events<'a>(
    locked: &Locked,
    rows: impl Iterator<Item = &'a EventRow>,
) -> Result<(), StoreError> {
    // Events mostly come in runs of one customer.
    let mut last = None;
    for row in rows {
        let named = Some((row.customer, &row.event.customer_id));
        if named == last {
            continue;
        }
        if locked.no(&row.event.customer_id) != Some(row.customer) {
            return Err(StoreError::Constraint(
                "an event names a customer number that was never given".to_owned(),
            ));
        }
        last = named;
    }
    Ok(())
}

/// Looks up the events that the decision depends on.
async fn probed(
    conn: &mut PgConnection,
    customers: &BTreeMap<CustomerNo, CustomerId>,
    keys: &[EventKey],
) -> Result<Vec<Option<crate::storage::StoredEvent>>, StoreError> {
    let mut asked = Vec::with_capacity(keys.len());
    let mut places = Vec::with_capacity(keys.len());
    for (place, key) in keys.iter().enumerate() {
        if let Some(customer) = customers.get(&key.customer) {
            let event = &key.event;
            let kind = key.kind;
            asked.push((
                Key {
                    event,
                    customer,
                    kind,
                },
                key.customer,
            ));
            places.push(place);
        }
    }
    let mut all = vec![None; keys.len()];
    for (place, found) in places.into_iter().zip(scan::find(conn, &asked).await?) {
        all[place] = found;
    }
    Ok(all)
}
