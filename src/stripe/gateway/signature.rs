//! Checks that a webhook comes from Stripe: that one of our secrets signed these very bytes,
//! lately.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};
use thiserror::Error;

/// Largest header that is looked at, in bytes.
pub const HEADER_MAX: usize = 4096;
/// Most secrets that are tried; while one is replaced by another, there are two.
pub const SECRETS_MAX: usize = 8;
/// How far the time of the signature may lie from now, to either side, in seconds.
pub const TOLERANCE: i64 = 300;

/// Most signatures of a header that are looked at: one for each secret that Stripe has.
const SIGNATURES_MAX: usize = 16;
/// Bytes of a signature.
const SIGNATURE_LENGTH: usize = 32;

/// Why a webhook is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum BadSignature {
    /// There is no header, or it is longer than [`HEADER_MAX`].
    #[error("the signature is missing or too long")]
    Header,
    /// It has no time, more than one, or one that is no number.
    #[error("the signature has no time")]
    Time,
    /// It has no signature of a scheme that is known, or too many.
    #[error("the signature has no v1")]
    Scheme,
    /// None of the secrets made any of the signatures of these bytes.
    #[error("no secret fits the signature")]
    Mismatch,
    /// It was made too long ago, or lies ahead. Whoever has recorded it may be sending it again.
    #[error("the signature is too old, or from the future")]
    Stale,
}

/// Checks the header `Stripe-Signature` of a body as it came, byte for byte. Every secret that
/// Stripe may still sign with is given; the newest alone is not enough while it replaces another.
///
/// # Errors
/// When it is not believed.
pub fn verify(
    body: &[u8],
    header: &str,
    secrets: &[SecretString],
    now: i64,
    tolerance: i64,
) -> Result<(), BadSignature> {
    let signed = Signed::parse(header)?;
    let mut fits = Choice::from(0);
    for secret in secrets.iter().take(SECRETS_MAX) {
        let secret = secret.expose_secret();
        if secret.is_empty() {
            // Anybody can sign with nothing.
            continue;
        }
        let expected = signature(secret, signed.time_text, body)?;
        for signature in &signed.signatures {
            fits |= expected.as_slice().ct_eq(signature.as_slice());
        }
    }
    if !bool::from(fits) {
        return Err(BadSignature::Mismatch);
    }
    if now.abs_diff(signed.time) > tolerance.unsigned_abs() {
        return Err(BadSignature::Stale);
    }
    Ok(())
}

struct Signed<'a> {
    /// As it stands in the header, for that is what was signed.
    time_text: &'a str,
    time: i64,
    signatures: Vec<[u8; SIGNATURE_LENGTH]>,
}

impl<'a> Signed<'a> {
    fn parse(header: &'a str) -> Result<Self, BadSignature> {
        if header.is_empty() || header.len() > HEADER_MAX {
            return Err(BadSignature::Header);
        }
        let mut time = None;
        let mut signatures = Vec::new();
        for part in header.split(',') {
            let Some((scheme, value)) = part.split_once('=') else {
                continue;
            };
            match scheme.trim() {
                "t" if time.is_some() => return Err(BadSignature::Time),
                "t" => {
                    let seconds = value.parse::<i64>().map_err(|_| BadSignature::Time)?;
                    time = Some((value, seconds));
                }
                "v1" => signatures.extend(from_hex(value)),
                // Other schemes are for others: one of them is for tests alone.
                _ => {}
            }
        }
        let Some((time_text, time)) = time else {
            return Err(BadSignature::Time);
        };
        if signatures.is_empty() || signatures.len() > SIGNATURES_MAX {
            return Err(BadSignature::Scheme);
        }
        Ok(Self {
            time_text,
            time,
            signatures,
        })
    }
}

fn signature(secret: &str, time: &str, body: &[u8]) -> Result<Vec<u8>, BadSignature> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| BadSignature::Mismatch)?;
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    Ok(mac.finalize().into_bytes().to_vec())
}

/// Reads a signature; `None`: it is none.
fn from_hex(text: &str) -> Option<[u8; SIGNATURE_LENGTH]> {
    let text = text.as_bytes();
    if text.len() != 2 * SIGNATURE_LENGTH {
        return None;
    }
    let mut bytes = [0; SIGNATURE_LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Stripe writes lower case only.
const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
