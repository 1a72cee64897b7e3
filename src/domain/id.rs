//! Identifiers, checked once where they enter.
//!
//! All ids share one alphabet: 1 to 128 bytes of printable ASCII without space. They are compared byte for
//! byte and never normalised, so what a caller sends is what it finds again. Short ones stand where they are used and
//! longer ones are shared, so that copies cost little: decisions and what is written of them name ids again and again.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use smol_str::SmolStr;

/// Longest id, in bytes.
pub const ID_BYTES_MAX: usize = 128;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// More than [`ID_BYTES_MAX`] bytes.
    #[error("must be at most 128 bytes")]
    TooLong,
    /// A byte outside `!` to `~`.
    #[error("must be printable ASCII without spaces")]
    Alphabet,
}

/// Checks a text against the alphabet and length of ids.
///
/// # Errors
/// When it is empty, too long or holds a byte outside `!` to `~`.
pub fn check_id(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(InvalidId::TooLong);
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(InvalidId::Alphabet)
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(SmolStr);

        impl $name {
            /// Takes a text as an id.
            ///
            /// # Errors
            /// When the text breaks the rules of [`check_id`].
            pub fn new(text: impl Into<SmolStr>) -> Result<Self, InvalidId> {
                let text = text.into();
                check_id(&text)?;
                Ok(Self(text))
            }

            /// Returns the id as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }
    )*};
}

ids! {
    /// Names who is billed and entitled.
    CustomerId;
    /// Names an agent, user or workspace below a customer; unique within it.
    SubaccountId;
    /// Names what is counted.
    MeterId;
    /// Names what is sold.
    FeatureId;
    /// Names a bundle of prices and entitlements.
    PlanId;
    /// Names a thing with a price that is not a plan.
    ProductId;
    /// Names what is charged in percent of other charges.
    AddOnId;
    /// Names one usage event; unique within its customer, made by the client.
    EventId;
    /// Names a reservation; unique within its customer.
    ReservationId;
    /// Names credits that came at once; unique within the customer.
    GrantId;
    /// Names credits set aside; unique within the customer.
    HoldId;
    /// Names a thing that exists (an agent, a seat); unique within customer and feature.
    AllocationId;
    /// Names one mutation attempt of a caller, so that a repeat is recognised.
    RequestId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_printable_ascii_of_bounded_length() {
        assert_eq!(check_id(""), Err(InvalidId::Empty));
        assert_eq!(check_id(&"x".repeat(129)), Err(InvalidId::TooLong));
        assert_eq!(check_id(&"x".repeat(128)), Ok(()));
        for bad in ["a b", "a\0b", "caf\u{e9}", "tab\t", "\u{7f}"] {
            assert_eq!(check_id(bad), Err(InvalidId::Alphabet), "{bad:?}");
        }
        assert_eq!(check_id("org:42/agent~7"), Ok(()));
    }
}
