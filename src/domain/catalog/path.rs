//! Places in a catalog, written as TOML would, and the word that was meant.

/// Longest word that a suggestion is searched for, so that the search stays cheap whatever a file holds.
const SUGGESTED_BYTES_MAX: usize = 40;

/// Appends a key to a path; keys that TOML would quote are quoted, so that a path reads one way only.
pub(super) fn join(path: &str, key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let key = if !key.is_empty() && key.bytes().all(is_bare) {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

/// Writes a path of keys.
pub(super) fn join_all(keys: &[&str]) -> String {
    keys.iter()
        .fold(String::new(), |path, key| join(&path, key))
}

/// Finishes a message with the candidate that was probably meant, if one is near.
pub(super) fn with_suggestion<'a>(
    message: String,
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> String {
    match nearest(word, candidates) {
        Some(candidate) => format!("{message}; did you mean {candidate:?}?"),
        None => message,
    }
}

/// Finds the candidate with the fewest edits, at most one for each three bytes of the word.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > SUGGESTED_BYTES_MAX {
        return None;
    }
    let most = (word.len() / 3).max(1);
    candidates
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= most)
        .map(|candidate| (edits(word.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Counts insertions, removals, replacements and swaps of neighbours from one word to the other.
fn edits(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let mut before = row.clone();
    for i in 0..from.len() {
        let mut next = vec![i + 1; to.len() + 1];
        for j in 0..to.len() {
            let replaced = row[j] + usize::from(from[i] != to[j]);
            next[j + 1] = replaced.min(next[j] + 1).min(row[j + 1] + 1);
            if i > 0 && j > 0 && from[i] == to[j - 1] && from[i - 1] == to[j] {
                next[j + 1] = next[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut row, next);
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_only_when_it_is_near() {
        let words = ["limits", "overage", "wallet"];
        assert_eq!(nearest("limit", words.into_iter()), Some("limits"));
        assert_eq!(nearest("overrage", words.into_iter()), Some("overage"));
        assert_eq!(nearest("walelt", words.into_iter()), Some("wallet"));
        assert_eq!(nearest("price", words.into_iter()), None);
    }

    #[test]
    fn keys_that_are_not_bare_are_quoted() {
        assert_eq!(
            join_all(&["plans", "a.b", "prices"]),
            "plans.\"a.b\".prices"
        );
    }
}
