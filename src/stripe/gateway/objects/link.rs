//! References from one object to another.

use serde::Deserialize;

use super::super::page::Identified;

/// A reference: the id alone, or the whole object where the call asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Linked<T> {
    /// Its id.
    Id(String),
    /// It itself.
    Whole(Box<T>),
}

/// A reference of which only the id matters, in whatever form it comes.
pub type Link = Linked<Named>;

/// An object of which only the id matters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Named {
    /// Its id.
    pub id: String,
}

impl Identified for Named {
    fn id(&self) -> &str {
        &self.id
    }
}

impl<T: Identified> Linked<T> {
    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) => id,
            Self::Whole(object) => object.id(),
        }
    }

    /// Returns the object, where it came along.
    #[must_use]
    pub fn whole(&self) -> Option<&T> {
        match self {
            Self::Id(_) => None,
            Self::Whole(object) => Some(object),
        }
    }
}
