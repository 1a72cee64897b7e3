//! Pages of lists, as AIP-158 has them.

use prost::Message;
use sha2::{Digest, Sha256};

use super::invalid;
use crate::engine::{Error, Rule};
use crate::grpc::pb;

const SIZE_DEFAULT: usize = 50;
const SIZE_MAX: usize = 1000;
/// Hex digits at the start of a token that tie it to its list.
const SEAL: usize = 16;

/// A request for a part of a list.
pub(in crate::grpc) trait Paged: Message {
    /// Names the list.
    const LIST: &'static str;
    /// Takes the size and the token out, so that the rest says which list it is.
    fn take_page(&mut self) -> (i32, String);
}

macro_rules! paged {
    ($($request:ident)*) => {$(
        impl Paged for pb::$request {
            const LIST: &'static str = stringify!($request);

            fn take_page(&mut self) -> (i32, String) {
                let size = std::mem::take(&mut self.page_size);
                (size, std::mem::take(&mut self.page_token))
            }
        }
    )*};
}

paged! {
    AuditCountersRequest
    AuditLedgersRequest
    GetReconciliationRequest
    GetUsageRequest
    ListAllocationsRequest
    ListChunksRequest
    ListCustomersRequest
    ListDenialsRequest
    ListEntitlementsRequest
    ListInvoicesRequest
    ListLedgerEntriesRequest
    ListOverridesRequest
    ListPaymentsRequest
    ListPlansRequest
    ListReservationsRequest
    ListSubaccountsRequest
    ListSubscriptionsRequest
    ListUsageEventsRequest
    ListWalletsRequest
    ListWebhooksRequest
}

impl Paged for pb::ReplayEventsRequest {
    const LIST: &'static str = "ReplayEventsRequest";

    fn take_page(&mut self) -> (i32, String) {
        // Stripe says how long its pages are.
        (0, std::mem::take(&mut self.page_token))
    }
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::grpc) struct PageAsk {
    /// Most items; 1 to 1000.
    pub(in crate::grpc) limit: usize,
    /// Where to go on, as the list's maker wrote it.
    pub(in crate::grpc) after: Option<String>,
    list: Vec<u8>,
}

/// Takes the page out of a request.
///
/// # Errors
/// When the size is negative, or the token was given for another list.
pub(in crate::grpc) fn page<R: Paged>(request: &mut R) -> Result<PageAsk, Error> {
    let (size, token) = request.take_page();
    let limit = match usize::try_from(size) {
        Ok(0) => SIZE_DEFAULT,
        Ok(size) => size.min(SIZE_MAX),
        Err(_) => return Err(Error::invalid("page_size", "must not be negative")),
    };
    let mut list = R::LIST.as_bytes().to_vec();
    list.push(0);
    request.encode_raw(&mut list);
    let mut ask = PageAsk {
        limit,
        after: None,
        list,
    };
    if !token.is_empty() {
        let (seal, after) = token
            .split_at_checked(SEAL)
            .ok_or_else(|| invalid("page_token", Rule::PageToken))?;
        if seal != ask.seal(after) {
            return Err(invalid("page_token", Rule::PageToken));
        }
        ask.after = Some(after.to_owned());
    }
    Ok(ask)
}

impl PageAsk {
    /// Returns the token of the next page; empty at the end.
    pub(in crate::grpc) fn next_token(&self, next: Option<String>) -> String {
        next.map_or_else(String::new, |after| {
            let mut token = self.seal(&after);
            token.push_str(&after);
            token
        })
    }

    fn seal(&self, after: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.list);
        hash.update([0]);
        hash.update(after.as_bytes());
        let digest = hash.finalize();
        digest[..SEAL / 2].iter().fold(
            String::with_capacity(SEAL + after.len()),
            |mut text, byte| {
                for nibble in [byte >> 4, byte & 15] {
                    text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
                }
                text
            },
        )
    }
}
