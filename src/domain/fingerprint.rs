//! Short names for long content: the same content always has the same, and no two are known to share one.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Returns the first `bytes` bytes (at most 32) of the SHA-256 of some content, as lower-case hexadecimal digits: twice as
/// many. What Stripe was told under such a name it must be told under it again, so that what this returns never changes.
#[must_use]
pub fn fingerprint(content: impl AsRef<[u8]>, bytes: usize) -> String {
    let digest = Sha256::digest(content);
    let mut name = String::with_capacity(bytes * 2);
    for byte in digest.iter().take(bytes) {
        // Writing to a text does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn it_is_the_start_of_the_hash() {
        // The test vector of the standard.
        let whole = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(fingerprint("abc", 32), whole);
        assert_eq!(fingerprint(b"abc", 4), whole[..8]);
        assert_eq!(fingerprint("abc", 99), whole);
        assert_eq!(fingerprint("abc", 0), "");
    }
}
