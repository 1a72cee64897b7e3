//! Making an account from its rows.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::error::Error;
use crate::domain::account::{Account, AccountParts, SubaccountState, rights_until};
use crate::domain::catalog::{Catalog, CatalogVersion, Plan};
use crate::domain::counter::{Counter, CounterSpec, Tally};
use crate::domain::customer::{Override, Subaccount};
use crate::domain::id::{MeterId, PlanId, SubaccountId};
use crate::domain::quantity::Milli;
use crate::domain::rights::{Owner, Rights, Tracked, needed};
use crate::domain::subscription::{Subscription, SubscriptionStatus, anchor_of};
use crate::domain::time::Timestamp;
use crate::domain::wallet::Book;
use crate::domain::window::{Anchor, Window};
use crate::storage::{AccountRows, CounterRow, Store, StoredCatalog, SubaccountRows, Use};

/// Most compiled rights that are kept for sharing.
const SHARED_MAX: usize = 4096;

/// Makes accounts, and shares what is equal among them.
pub(super) struct Loader {
    current: RwLock<StoredCatalog>,
    /// Meters whose usage draws on wallets by a plan of any catalog that was ever in memory.
    drawing: RwLock<Arc<BTreeSet<MeterId>>>,
    older: Mutex<HashMap<CatalogVersion, Arc<Catalog>>>,
    specs: Mutex<HashMap<CounterSpec, Arc<CounterSpec>>>,
    tracked: Mutex<HashMap<Vec<usize>, Tracked>>,
    rights: Mutex<HashMap<RightsKey, Arc<Rights>>>,
}

/// What rights without overrides depend on.
#[derive(PartialEq, Eq, Hash)]
struct RightsKey {
    catalog: CatalogVersion,
    plan: Option<PlanId>,
    of_subaccount: bool,
    tracked: usize,
}

/// The catalogs that an account's plan may be taken from.
pub(super) struct Catalogs {
    current: Arc<Catalog>,
    pinned: Option<Arc<Catalog>>,
}

impl Catalogs {
    /// Returns the plan that holds, and the catalog that it is taken from.
    pub(super) fn plan(
        &self,
        subscription: Option<&Subscription>,
    ) -> (Option<Arc<Plan>>, Arc<Catalog>) {
        let pinned = subscription
            .filter(|held| held.status != SubscriptionStatus::Canceled)
            .and_then(|held| {
                let catalog = self.pinned.as_ref()?;
                Some((catalog.plans.get(&held.plan).cloned(), Arc::clone(catalog)))
            });
        pinned.unwrap_or_else(|| {
            let plan = self.current.default_plan.as_ref();
            (
                plan.and_then(|id| self.current.plans.get(id).cloned()),
                Arc::clone(&self.current),
            )
        })
    }
}

impl Loader {
    pub(super) fn new(current: StoredCatalog) -> Self {
        Self {
            drawing: RwLock::new(Arc::new(current.catalog.drawing_meters())),
            current: RwLock::new(current),
            older: Mutex::default(),
            specs: Mutex::default(),
            tracked: Mutex::default(),
            rights: Mutex::default(),
        }
    }

    /// Returns the newest catalog.
    pub(super) fn current(&self) -> StoredCatalog {
        self.current.read().clone()
    }

    /// Returns the meters whose usage may draw on a wallet: more of them cost time, fewer as well, and nothing else.
    pub(super) fn drawing(&self) -> Arc<BTreeSet<MeterId>> {
        Arc::clone(&self.drawing.read())
    }

    fn learn_drawing(&self, catalog: &Catalog) {
        let more = catalog.drawing_meters();
        let mut drawing = self.drawing.write();
        if !more.is_subset(&drawing) {
            *drawing = Arc::new(drawing.union(&more).cloned().collect());
        }
    }

    /// Takes an applied catalog for the newest; false when it is not newer than the one that is.
    pub(super) fn set_current(&self, catalog: StoredCatalog) -> bool {
        self.learn_drawing(&catalog.catalog);
        let before = {
            let mut current = self.current.write();
            if catalog.version() <= current.version() {
                return false;
            }
            std::mem::replace(&mut *current, catalog)
        };
        self.older.lock().insert(before.version(), before.catalog);
        self.rights.lock().clear();
        true
    }

    /// Returns the catalogs that the rows' plan may be taken from.
    pub(super) async fn catalogs_for(
        &self,
        rows: &AccountRows,
        store: &dyn Store,
    ) -> Result<Catalogs, Error> {
        self.catalogs(rows.subscription.as_ref(), store).await
    }

    /// Returns the catalogs that a subscription's plan may be taken from.
    pub(super) async fn catalogs(
        &self,
        subscription: Option<&Subscription>,
        store: &dyn Store,
    ) -> Result<Catalogs, Error> {
        if let Some(version) = subscription.map(|held| held.catalog_version)
            && !self.has(version)
        {
            let stored = store.catalog(Some(version)).await?;
            if let Some(stored) = stored {
                self.learn_drawing(&stored.catalog);
                self.older.lock().insert(version, stored.catalog);
            }
        }
        Ok(self.known_catalogs(subscription))
    }

    /// As [`Loader::catalogs`], from memory alone.
    pub(super) fn known_catalogs(&self, subscription: Option<&Subscription>) -> Catalogs {
        let current = self.current().catalog;
        let pinned = subscription.and_then(|held| {
            if held.catalog_version == current.version {
                return Some(Arc::clone(&current));
            }
            self.older.lock().get(&held.catalog_version).cloned()
        });
        Catalogs { current, pinned }
    }

    /// Whether a version of the catalog is in memory.
    pub(super) fn has(&self, version: CatalogVersion) -> bool {
        self.current.read().version() == version || self.older.lock().contains_key(&version)
    }

    /// Makes an account, and says whether it needs counters that are not kept yet.
    pub(super) fn account(
        &self,
        rows: AccountRows,
        catalogs: &Catalogs,
        now: Timestamp,
    ) -> (Account, bool) {
        let anchor = anchor_of(&rows.customer, rows.subscription.as_ref());
        let (plan, catalog) = catalogs.plan(rows.subscription.as_ref());
        let source = Source {
            catalog: &catalog,
            plan: plan.as_ref(),
            overrides: &rows.overrides,
        };
        let (rights, untracked) = self.rights(Owner::Customer, &source, &rows.tracked, now);
        let mut any_untracked = untracked;
        let counters = into_slots(&rights, &rows.counters, None, anchor, now);
        let subaccounts = rows
            .subaccounts
            .into_iter()
            .map(|sub| {
                let owner = Owner::Subaccount(sub.subaccount.id.as_str());
                let (rights, untracked) = self.rights(owner, &source, &sub.tracked, now);
                any_untracked |= untracked;
                let id = Some(&sub.subaccount.id);
                let counters = into_slots(&rights, &rows.counters, id, anchor, now);
                let SubaccountRows { subaccount, .. } = sub;
                SubaccountState {
                    subaccount,
                    rights,
                    counters,
                }
            })
            .collect();
        let parts = AccountParts {
            customer: rows.customer,
            subscription: rows.subscription.map(Box::new),
            plan,
            anchor,
            overrides: rows.overrides,
            rights,
            counters,
            adjustments: rows.adjustments,
            reservations: rows.reservations,
            allocations: rows.allocations,
            subaccounts,
            book: Book::restore(rows.wallets, rows.draws),
        };
        (Account::new(parts, now), any_untracked)
    }

    /// Makes the account of a customer that is being created: all the counters it needs are kept from now on.
    pub(super) fn fresh_account(&self, mut rows: AccountRows, now: Timestamp) -> Account {
        let catalogs = self.known_catalogs(None);
        let (plan, catalog) = catalogs.plan(None);
        let specs = needed(Owner::Customer, &catalog, plan.as_deref(), &[]);
        rows.tracked = specs.iter().map(|spec| self.spec(spec)).collect();
        self.account(rows, &catalogs, now).0
    }

    /// Makes the state of a subaccount that is being created: nothing can have been used by it yet.
    pub(super) fn fresh_subaccount(
        &self,
        account: &Account,
        subaccount: Subaccount,
        now: Timestamp,
    ) -> SubaccountState {
        let catalogs = self.known_catalogs(account.subscription.as_deref());
        let (plan, catalog) = catalogs.plan(account.subscription.as_deref());
        let source = Source {
            catalog: &catalog,
            plan: plan.as_ref(),
            overrides: &account.overrides,
        };
        let owner = Owner::Subaccount(subaccount.id.as_str());
        let specs = needed(owner, &catalog, plan.as_deref(), &account.overrides);
        let tracked: Vec<_> = specs.iter().map(|spec| self.spec(spec)).collect();
        let (rights, _) = self.rights(owner, &source, &tracked, now);
        let counters = into_slots(&rights, &[], Some(&subaccount.id), account.anchor, now);
        SubaccountState {
            subaccount,
            rights,
            counters,
        }
    }

    /// Compiles an account's rights again, because an override ended.
    pub(super) fn refresh(&self, account: &mut Account, now: Timestamp) {
        let catalogs = self.known_catalogs(account.subscription.as_deref());
        let (plan, catalog) = catalogs.plan(account.subscription.as_deref());
        let source = Source {
            catalog: &catalog,
            plan: plan.as_ref(),
            overrides: &account.overrides,
        };
        let tracked = Arc::clone(&account.rights.tracked);
        account.rights = self.rights(Owner::Customer, &source, &tracked, now).0;
        for (id, state) in &mut account.subaccounts {
            let tracked = Arc::clone(&state.rights.tracked);
            state.rights = self
                .rights(Owner::Subaccount(id.as_str()), &source, &tracked, now)
                .0;
        }
        account.rights_until = rights_until(&account.overrides, now);
    }

    /// Compiles rights, shared where no override makes them special, and says whether a counter is missing.
    pub(super) fn rights(
        &self,
        owner: Owner<'_>,
        source: &Source<'_>,
        tracked: &[Arc<CounterSpec>],
        now: Timestamp,
    ) -> (Arc<Rights>, bool) {
        let tracked = self.share(tracked);
        let needed = needed(
            owner,
            source.catalog,
            source.plan.map(AsRef::as_ref),
            source.overrides,
        );
        let untracked = needed
            .iter()
            .any(|spec| !tracked.iter().any(|kept| **kept == *spec));
        let special = source.overrides.iter().any(|set| match owner {
            Owner::Customer => set.subaccount.is_none(),
            Owner::Subaccount(id) => set
                .subaccount
                .as_ref()
                .is_some_and(|sub| sub.as_str() == id),
        });
        let compile = |tracked: Tracked| {
            let plan = source.plan.map(AsRef::as_ref);
            Arc::new(Rights::compile(
                owner,
                source.catalog,
                plan,
                source.overrides,
                tracked,
                now,
            ))
        };
        if special {
            return (compile(tracked), untracked);
        }
        let key = RightsKey {
            catalog: source.catalog.version,
            plan: source.plan.map(|plan| plan.id.clone()),
            of_subaccount: matches!(owner, Owner::Subaccount(_)),
            tracked: tracked.as_ptr() as usize,
        };
        let mut shared = self.rights.lock();
        if shared.len() >= SHARED_MAX {
            shared.clear();
        }
        let rights = shared.entry(key).or_insert_with(|| compile(tracked));
        (Arc::clone(rights), untracked)
    }

    /// Returns the shared list of equal counters.
    pub(super) fn share(&self, tracked: &[Arc<CounterSpec>]) -> Tracked {
        let shared: Vec<Arc<CounterSpec>> = tracked.iter().map(|spec| self.spec(spec)).collect();
        let key: Vec<usize> = shared
            .iter()
            .map(|spec| Arc::as_ptr(spec) as usize)
            .collect();
        Arc::clone(
            self.tracked
                .lock()
                .entry(key)
                .or_insert_with(|| shared.into()),
        )
    }

    /// Returns the shared counter that is equal to this one.
    pub(super) fn spec(&self, spec: &CounterSpec) -> Arc<CounterSpec> {
        let mut specs = self.specs.lock();
        if let Some(shared) = specs.get(spec) {
            return Arc::clone(shared);
        }
        let shared = Arc::new(spec.clone());
        specs.insert(spec.clone(), Arc::clone(&shared));
        shared
    }
}

/// What rights are compiled from.
pub(super) struct Source<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) plan: Option<&'a Arc<Plan>>,
    pub(super) overrides: &'a [Override],
}

/// Puts stored counters into their slots; a window without a row was not used.
pub(super) fn into_slots(
    rights: &Rights,
    rows: &[CounterRow],
    subaccount: Option<&SubaccountId>,
    anchor: Anchor,
    now: Timestamp,
) -> Vec<Counter> {
    let build = |spec: &Arc<CounterSpec>| {
        let mut counter = Counter::empty(spec.window, anchor, now);
        let own = rows
            .iter()
            .filter(|row| row.subaccount.as_ref() == subaccount);
        for row in own.filter(|row| row.spec == *spec) {
            fill(&mut counter, row, spec.window);
        }
        counter
    };
    rights.tracked.iter().map(build).collect()
}

fn fill(counter: &mut Counter, row: &CounterRow, window: Window) {
    match (&mut counter.tally, &row.used) {
        (Tally::Fixed { range, used, .. }, Use::Fixed(stored)) if row.start == range.start => {
            *used = *stored;
            counter.reserved = row.reserved;
        }
        (Tally::Fixed { range, ahead, .. }, Use::Fixed(stored)) if row.start == range.end => {
            *ahead = (*stored != Milli::ZERO).then(|| Box::new(*stored));
        }
        (Tally::Rolling { ring, .. }, Use::Rolling(stored)) => {
            ring.clone_from(&Box::new(stored.clone()));
            counter.reserved = row.reserved;
        }
        // Rows of other windows, such as one that an earlier anchor left.
        (Tally::Fixed { .. } | Tally::Rolling { .. }, Use::Fixed(_) | Use::Rolling(_)) => {
            tracing::trace!(window = %window, start = %row.start, "counter row of another window");
        }
    }
}
