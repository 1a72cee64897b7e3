//! Faults of a catalog as callers see them.

use tonic_types::FieldViolation;

use super::Fault;
use crate::domain::catalog::CatalogFault;
use crate::grpc::pb::ErrorReason;

/// Says each fault with its place.
pub(super) fn invalid(faults: &[CatalogFault], text: String) -> Fault {
    let metadata = [("faults", faults.len().to_string())];
    let mut made = Fault::argument(ErrorReason::CatalogInvalid, text, &metadata);
    let violations: Vec<FieldViolation> = faults
        .iter()
        .map(|fault| {
            let line = fault.line.map(|line| format!("line {line}: "));
            let text = format!("{}{}", line.unwrap_or_default(), fault.message);
            FieldViolation::new(fault.path.clone(), text)
        })
        .collect();
    made.details.set_bad_request(violations);
    made
}
