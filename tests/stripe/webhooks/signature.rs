//! Signs what is sent.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Returns the `Stripe-Signature` of a body: the time, in seconds since 1970, and a `v1` by each secret.
#[must_use]
pub fn stripe_signature(secrets: &[String], at: i64, body: &str) -> String {
    let mut header = format!("t={at}");
    for secret in secrets {
        // A key of any length is good for this.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
            continue;
        };
        mac.update(format!("{at}.{body}").as_bytes());
        header.push_str(",v1=");
        for byte in mac.finalize().into_bytes() {
            // Writing into a String cannot fail.
            let _ = write!(header, "{byte:02x}");
        }
    }
    header
}
