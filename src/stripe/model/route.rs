//! Which call does what: the paths of the API with their parameters, each area's beside its code.

use super::fault::Fault;
use super::form::Params;
use super::{Method, Model, Value};

/// A call that was understood.
#[derive(Debug)]
pub(super) struct Call {
    /// The parts of the path that name objects.
    pub(super) ids: Vec<String>,
    /// Its parameters.
    pub(super) params: Params,
}

impl Call {
    /// Returns the object that the path names.
    pub(super) fn id(&self) -> &str {
        self.ids.first().map_or("", String::as_str)
    }
}

/// The answer to a call: an object, or a refusal.
pub(super) type Answer = Result<Value, Fault>;

/// One call of the API.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) method: Method,
    /// The path below the root; `*` stands for an id.
    pub(super) path: &'static str,
    /// Its parameters beside `expand`, in the grammar of [`super::grammar`].
    pub(super) params: &'static str,
    pub(super) run: fn(&mut Model, &Call) -> Answer,
}

impl Route {
    /// Returns a route that reads.
    pub(super) const fn get(
        path: &'static str,
        params: &'static str,
        run: fn(&mut Model, &Call) -> Answer,
    ) -> Self {
        Self {
            method: Method::Get,
            path,
            params,
            run,
        }
    }

    /// Returns a route that creates or changes.
    pub(super) const fn post(
        path: &'static str,
        params: &'static str,
        run: fn(&mut Model, &Call) -> Answer,
    ) -> Self {
        Self {
            method: Method::Post,
            path,
            params,
            run,
        }
    }

    /// Returns a route that ends something.
    pub(super) const fn delete(
        path: &'static str,
        params: &'static str,
        run: fn(&mut Model, &Call) -> Answer,
    ) -> Self {
        Self {
            method: Method::Delete,
            path,
            params,
            run,
        }
    }

    /// Returns the ids in a path if it is this route's.
    pub(super) fn matches(&self, method: Method, path: &str) -> Option<Vec<String>> {
        if self.method != method {
            return None;
        }
        let mut ids = Vec::new();
        let mut given = path.split('/');
        for part in self.path.split('/') {
            let given = given.next()?;
            if part == "*" && !given.is_empty() {
                ids.push(given.to_owned());
            } else if part != given {
                return None;
            }
        }
        given.next().is_none().then_some(ids)
    }
}
