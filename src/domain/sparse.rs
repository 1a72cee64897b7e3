//! What values leave out when they are stored: fields that say nothing, which most fields of most answers do.

/// Whether a field holds what it holds where nothing is said of it; for serde's `skip_serializing_if`, beside `default`.
pub(crate) fn is_default<T: Default + PartialEq>(field: &T) -> bool {
    *field == T::default()
}
