//! Whether a call carries a key that is good.

use super::Response;
use super::refusals::{refusal, unauthorized};

/// What a key for tests starts with.
const TEST_KEY: &str = "sk_test_";

/// Checks the `Authorization` header: `Bearer`, or `Basic` with the key as the user, which curl sends. `only` is the one
/// key that is good; `None`: any key for tests.
pub(super) fn check(header: Option<&str>, only: Option<&str>) -> Result<(), Response> {
    let key = header.and_then(key_in).unwrap_or_default();
    if key.is_empty() {
        return Err(unauthorized(
            "You did not provide an API key. It belongs in the Authorization header, with the \
             Bearer scheme.",
        ));
    }
    if key.starts_with("sk_live_") || key.starts_with("rk_live_") {
        return Err(refusal(
            403,
            "invalid_request_error",
            Some("testmode_only"),
            "This account has no live mode: use a key for tests.",
        ));
    }
    let good = only.map_or_else(|| key.starts_with(TEST_KEY), |only| only == key);
    if good {
        Ok(())
    } else {
        let shown: String = key.chars().take(8).collect();
        Err(unauthorized(&format!(
            "Invalid API Key provided: {shown}***"
        )))
    }
}

fn key_in(header: &str) -> Option<String> {
    let (scheme, rest) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let both = String::from_utf8(from_base64(rest.trim())?).ok()?;
        return Some(both.split(':').next().unwrap_or_default().to_owned());
    }
    None
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(six)) & 0xFFFF;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xFF).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_keys_for_tests_are_good() {
        let table = [
            (None, None, Some(401)),
            (Some("Bearer "), None, Some(401)),
            (Some("Digest sk_test_1"), None, Some(401)),
            (Some("Bearer sk_test_1"), None, None),
            (Some("bearer sk_test_1"), None, None),
            (Some("Bearer pk_test_1"), None, Some(401)),
            (Some("Bearer sk_live_1"), None, Some(403)),
            (Some("Basic c2tfdGVzdF8xOg=="), None, None),
            (Some("Basic c2tfdGVzdF8xOg=="), Some("sk_test_1"), None),
            (Some("Basic ???"), None, Some(401)),
            (Some("Bearer sk_test_1"), Some("sk_test_1"), None),
            (Some("Bearer sk_test_2"), Some("sk_test_1"), Some(401)),
        ];
        for (header, only, refused) in table {
            let verdict = check(header, only).err().map(|response| response.status);
            assert_eq!(verdict, refused, "{header:?} {only:?}");
        }
    }
}
