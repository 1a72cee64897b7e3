//! Lists that come in pages.

use serde::Deserialize;

/// Most objects of a page.
pub const PAGE_MAX: u8 = 100;

/// Which page of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor<'a> {
    /// The id of the last object of the page before; `None`: the first page.
    pub after: Option<&'a str>,
    /// How many objects, 1 to 100.
    pub limit: u8,
}

impl Cursor<'_> {
    /// The first page, as long as pages can be.
    pub const FIRST: Self = Self {
        after: None,
        limit: PAGE_MAX,
    };
}

impl<'a> Cursor<'a> {
    /// Returns the page behind an object, as long as pages can be.
    #[must_use]
    pub const fn after(id: &'a str) -> Self {
        Self {
            after: Some(id),
            limit: PAGE_MAX,
        }
    }
}

/// A page of a list, in Stripe's order: what was created last comes first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Page<T> {
    /// Its objects.
    pub data: Vec<T>,
    /// Whether there are more behind it.
    #[serde(default)]
    pub has_more: bool,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            data: Vec::new(),
            has_more: false,
        }
    }
}

/// An object that a list can go on behind.
pub trait Identified {
    /// Returns its id.
    fn id(&self) -> &str;
}

impl<T: Identified> Page<T> {
    /// Returns the cursor of the next page; `None`: this is the last.
    #[must_use]
    pub fn next(&self) -> Option<Cursor<'_>> {
        let last = self.data.last()?;
        self.has_more.then(|| Cursor::after(last.id()))
    }
}

/// Sets the cursor of a list request.
macro_rules! turn_to {
    ($request:expr, $cursor:expr) => {{
        let request = $request.limit(i64::from($cursor.limit));
        match $cursor.after {
            Some(id) => request.starting_after(id),
            None => request,
        }
    }};
}

/// Sets what is there of optional parameters of a request.
macro_rules! set_if_some {
    ($request:ident, $($method:ident = $value:expr),+ $(,)?) => {
        $(if let Some(value) = $value {
            $request = $request.$method(value);
        })+
    };
}

/// Sets a parameter of a request to a list or a map, unless it is empty.
macro_rules! set_if_any {
    ($request:ident, $($method:ident = $value:expr => $as:expr),+ $(,)?) => {
        $(if !$value.is_empty() {
            $request = $request.$method($as);
        })+
    };
}

pub(super) use {set_if_any, set_if_some, turn_to};
