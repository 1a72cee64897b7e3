//! A damaged archive is refused, whatever is wrong with it.

use sha2::{Digest as _, Sha256};

use super::super::{ArchiveError, Scope, Source as _, Tally};
use super::{Kind, Place, archive, reader, restore, rich};
use crate::storage::conformance::fixture::create;

/// Reads all of an archive, as a restore does.
async fn read(bytes: &[u8]) -> Result<Tally, ArchiveError> {
    let mut tally = Tally::default();
    reader(bytes)?.send(&Scope::all(), &mut tally).await?;
    Ok(tally)
}

async fn sample() -> Vec<u8> {
    let place = Place::empty(Kind::Sqlite).await;
    rich::fill(&*place.open().await.unwrap()).await;
    archive(&place).await
}

#[tokio::test]
async fn an_archive_that_was_cut_anywhere_is_refused() {
    let whole = sample().await;
    assert!(read(&whole).await.unwrap().rows() > 20);
    for length in (0..whole.len())
        .rev()
        .step_by(61)
        .chain(whole.len() - 200..whole.len())
    {
        let refused = read(&whole[..length]).await;
        assert!(refused.is_err(), "{length} of {} bytes", whole.len());
    }
    // Between two lines nothing looks wrong but that the end is missing.
    let lines: Vec<usize> = (1..whole.len())
        .filter(|at| whole[at - 1] == b'\n')
        .collect();
    for cut in lines {
        let refused = read(&whole[..cut]).await;
        assert!(
            matches!(refused, Err(ArchiveError::Damaged(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn an_archive_of_which_any_bit_was_flipped_is_refused() {
    let whole = sample().await;
    let tail = whole.len() - 300..whole.len();
    for at in (0..whole.len()).step_by(37).chain(0..200).chain(tail) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let refused = read(&bytes).await;
        assert!(refused.is_err(), "byte {at} of {}", whole.len());
    }
}

#[tokio::test]
async fn an_archive_with_lines_taken_out_swapped_or_added_is_refused() {
    let whole = sample().await;
    let text = String::from_utf8(whole).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for at in 1..lines.len() - 1 {
        let mut fewer = lines.clone();
        fewer.remove(at);
        assert!(
            read(fewer.concat().as_bytes()).await.is_err(),
            "without line {at}"
        );
        let mut twice = lines.clone();
        twice.insert(at, lines[at]);
        assert!(
            read(twice.concat().as_bytes()).await.is_err(),
            "line {at} twice"
        );
    }
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    assert!(read(swapped.concat().as_bytes()).await.is_err());
    let followed = format!("{text}{}", lines[1]);
    assert!(read(followed.as_bytes()).await.is_err());
}

#[tokio::test]
async fn what_is_no_archive_is_named_so() {
    for text in ["", "\n", "SQLite format 3\0", "{}\n", "[1]\n"] {
        let refused = reader(text.as_bytes()).err().unwrap();
        assert!(matches!(refused, ArchiveError::Foreign(_)), "{refused}");
    }
    let newer = String::from_utf8(sample().await).unwrap();
    let newer = newer.replacen("\"bursar_archive\":3", "\"bursar_archive\":4,\"more\":1", 1);
    let refused = reader(newer.as_bytes()).err().unwrap().to_string();
    assert!(refused.contains("newer"), "{refused}");
}

/// Returns an archive as it is with another last line, which says the right checksum.
fn resealed(text: &str, tables: &str) -> String {
    let (body, _) = text.trim_end().rsplit_once('\n').unwrap();
    let body = format!("{body}\n");
    let digest = Sha256::digest(&body);
    let checksum: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let checksum = checksum.concat();
    format!("{body}{{\"end\":{{\"tables\":[{tables}],\"checksum\":\"{checksum}\"}}}}\n")
}

#[tokio::test]
async fn an_archive_of_the_first_format_is_read() {
    let place = Place::empty(Kind::Sqlite).await;
    create(&*place.open().await.unwrap(), "acme").await;
    let newest = String::from_utf8(archive(&place).await).unwrap();
    let first = newest.replacen("\"bursar_archive\":3", "\"bursar_archive\":1", 1);
    let end = first.lines().last().unwrap();
    let tables = &end[end.find('[').unwrap() + 1..end.find(']').unwrap()];
    let tables: Vec<String> = tables.split("},").map(|sum| sum.replace('}', "")).collect();
    let known = |sum: &&String| {
        let new = ["wallets", "grants", "holds", "ledger", "draws", "billing"];
        new.iter()
            .all(|table| !sum.contains(&format!("\"{table}\"")))
    };
    let list = |tables: Vec<&String>| {
        let tables: Vec<String> = tables.iter().map(|sum| format!("{sum}}}")).collect();
        tables.join(",")
    };
    let old: Vec<&String> = tables.iter().filter(known).collect();
    assert_eq!((tables.len(), old.len()), (18, 12));
    let to = Place::empty(Kind::Sqlite).await;
    restore(resealed(&first, &list(old.clone())).as_bytes(), &to)
        .await
        .unwrap();
    assert_eq!(to.tally().await, place.tally().await);
    // Nothing that it has rows of may be left out, nor said twice.
    let has_rows = |sum: &&String| sum.contains("\"customers\"");
    let fewer: Vec<&String> = old.iter().copied().filter(|sum| !has_rows(sum)).collect();
    let mut twice = old.clone();
    twice.extend(old.iter().copied().filter(has_rows));
    for tables in [fewer, twice] {
        let text = resealed(&first, &list(tables));
        let refused = read(text.as_bytes()).await;
        assert!(
            matches!(refused, Err(ArchiveError::Damaged(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn nothing_of_a_damaged_archive_becomes_visible() {
    let mut bytes = sample().await;
    let at = bytes.len() - 90;
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let place = Place::empty(kind).await;
        let refused = restore(&bytes, &place).await;
        assert!(
            matches!(refused, Err(ArchiveError::Damaged(_))),
            "{refused:?}"
        );
        // The place is as it was: a server may begin there, or a copy.
        drop(place.open().await.unwrap());
        assert_eq!(place.tally().await.rows(), 0);
    }
}
