//! Products and prices at run time: a change to the current catalog, made in its text and applied as a whole.

use std::sync::Arc;

use serde::Serialize;

use super::catalogs::{CatalogAnswer, check_version, compare};
use super::cell::Cell;
use super::error::{Error, Thing};
use super::mutation::{Applied, Mutation};
use super::step::Step;
use super::{Engine, Shared};
use crate::domain::catalog::{Catalog, CatalogEdit, CatalogVersion, EditFault, parse_catalog};
use crate::domain::id::RequestId;
use crate::storage::StoredCatalog;

/// A call to change a product or a price.
#[derive(Debug, Clone, Serialize)]
pub struct EditCall {
    /// The change.
    pub edit: CatalogEdit,
    /// Only the version that is expected to be current is changed; `None`: any.
    pub expected_version: Option<CatalogVersion>,
}

impl Engine {
    /// Changes a product or a price in a new version of the catalog; a change that is there already changes nothing.
    ///
    /// # Errors
    /// When the change does not fit the catalog, the catalog would have faults, or another version is current than the
    /// one expected.
    pub async fn edit_catalog(
        &self,
        caller: &str,
        request: RequestId,
        call: EditCall,
    ) -> Result<CatalogAnswer, Error> {
        let content = call.clone();
        if matches!(call.edit, CatalogEdit::Register(_)) {
            let edit = Edit::<true>::new(call, &self.catalog());
            self.submit_once(caller, request, &content, edit).await
        } else {
            let edit = Edit::<false>::new(call, &self.catalog());
            self.submit_once(caller, request, &content, edit).await
        }
    }

    /// Says what [`Engine::edit_catalog`] would come to, and changes nothing.
    ///
    /// # Errors
    /// As there.
    pub fn compare_edit(&self, call: &EditCall) -> Result<CatalogAnswer, Error> {
        let current = self.catalog();
        check_version(&current, call.expected_version)?;
        let edited = Edited::of(&current, &call.edit)?;
        compare(&current, &edited.catalog, call.expected_version)
    }
}

/// A version of the catalog with a change made.
struct Edited {
    /// The version that it was made in.
    base: CatalogVersion,
    source: String,
    catalog: Catalog,
}

impl Edited {
    fn of(current: &StoredCatalog, edit: &CatalogEdit) -> Result<Self, Error> {
        let edited = edit.apply(&current.source, &current.catalog);
        let source = edited.map_err(fault)?;
        let catalog = parse_catalog(&source).map_err(Error::CatalogInvalid)?;
        if !edit.is_in(&catalog) {
            tracing::error!(
                version = current.version(),
                "a change did not show in the catalog"
            );
            return Err(Error::Internal);
        }
        Ok(Self {
            base: current.version(),
            source,
            catalog,
        })
    }
}

fn fault(fault: EditFault) -> Error {
    match fault {
        EditFault::NoProduct(id) => Error::not_found(Thing::Product, &id),
        EditFault::NoPlan(id) => Error::not_found(Thing::Plan, &id),
        EditFault::Exists(id) => Error::Exists {
            kind: Thing::Product,
            id: id.to_string(),
        },
        EditFault::OtherPrice { by_use: true } => Error::invalid(
            "amount_micros",
            "must be price instead: the product is priced by use",
        ),
        EditFault::OtherPrice { by_use: false } => Error::invalid(
            "price",
            "must be amount_micros instead: the product is not priced by use",
        ),
        EditFault::Unlike => {
            tracing::error!("the text of the catalog does not hold what the catalog does");
            Error::Internal
        }
    }
}

/// Changes the catalog: registers a product, or sets a price.
struct Edit<const REGISTERS: bool> {
    call: EditCall,
    /// Made before it came to the committer, which has little time; made anew there when another version came between.
    prepared: Option<Edited>,
    bytes: usize,
    /// What is stored once the batch is durable.
    applied: Option<StoredCatalog>,
}

impl<const REGISTERS: bool> Edit<REGISTERS> {
    fn new(call: EditCall, current: &StoredCatalog) -> Self {
        Self {
            // A fault is told by the decision, to which a repeat is known.
            prepared: Edited::of(current, &call.edit).ok(),
            bytes: current.source.len(),
            call,
            applied: None,
        }
    }
}

impl<const REGISTERS: bool> Mutation for Edit<REGISTERS> {
    const METHOD: &'static str = if REGISTERS {
        "RegisterProduct"
    } else {
        "SetPrice"
    };
    type Answer = CatalogAnswer;

    fn cells(&self) -> &[Arc<Cell>] {
        &[]
    }

    fn is_alone(&self) -> bool {
        true
    }

    fn changes_catalog(&self) -> bool {
        true
    }

    fn weight(&self) -> usize {
        4 * self.bytes
    }

    fn apply(&mut self, step: &mut Step<'_, '_>) -> Result<Applied<CatalogAnswer>, Error> {
        self.applied = None;
        let current = step.batch.loader.current();
        check_version(&current, self.call.expected_version)?;
        let prepared = self.prepared.take();
        let edited = match prepared.filter(|edited| edited.base == current.version()) {
            Some(edited) => edited,
            None => Edited::of(&current, &self.call.edit)?,
        };
        let answer = compare(&current, &edited.catalog, None)?;
        if answer.version != current.version() {
            let stored = step.put_catalog(&edited.catalog, &edited.source, answer.version);
            self.applied = Some(stored);
        }
        self.prepared = Some(edited);
        Ok(Applied::Done(answer))
    }

    fn committed(&mut self, shared: &Shared) {
        if let Some(applied) = self.applied.take() {
            shared.take_applied(applied);
        }
    }
}
