//! The database file and the disk that it is on.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Finding;
use crate::cli::print::grouped;
use crate::clock::Stopwatch;
use crate::storage::sqlite::{Diagnosis, diagnose};

/// How often the disk is asked to flush, at most, and for how long.
const FLUSHES: usize = 100;
const FLUSHING_MAX: Duration = Duration::from_secs(3);
/// Bytes written before each flush: a page of the database.
const PAGE: [u8; 4096] = [0x5a; 4096];
/// Slower than this, and commits are slow; faster, and nothing can have reached a disk.
const FLUSH_SLOW: Duration = Duration::from_millis(10);
const FLUSH_UNLIKELY: Duration = Duration::from_micros(20);

const MIB: u64 = 1024 * 1024;
/// Less free space than this, or than this share of the disk, is worth a warning.
const FREE_LOW_BYTES: u64 = 1024 * MIB;
const FREE_LOW_PERCENT: u64 = 5;
/// Less free space than this, and a server stops recording soon.
const FREE_NONE_BYTES: u64 = 64 * MIB;
/// A write-ahead log larger than this is not being written back.
const WAL_LARGE_BYTES: u64 = 1024 * MIB;

/// Looks at a database file, and at the folder that it is in or would be in; returns what money it deals in as well.
pub fn examine(database: &Path) -> (Vec<Finding>, String) {
    let folder = match database.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    };
    if !folder.is_dir() {
        let text = format!("the folder {} does not exist", folder.display());
        let advice = format!("make it: mkdir -p {}", folder.display());
        return (vec![Finding::fail("database", text, advice)], String::new());
    }
    let (file, money) = examine_database(database);
    let findings = vec![
        file,
        flush_finding(&time_flushes(&folder), &folder),
        examine_space(&folder),
    ];
    (findings, money)
}

fn examine_database(path: &Path) -> (Finding, String) {
    let name = path.display();
    if !path.exists() {
        let finding = Finding::ok("database", format!("{name} is made at the first start"));
        return (finding, String::new());
    }
    match diagnose(path) {
        Ok(diagnosis) => (database_finding(path, &diagnosis), diagnosis.money),
        Err(error) => {
            let finding = Finding::fail(
                "database",
                format!("{name} cannot be read: {error}"),
                "check the path and who may read it; if it is damaged, restore a backup",
            );
            (finding, String::new())
        }
    }
}

fn database_finding(path: &Path, found: &Diagnosis) -> Finding {
    let name = path.display();
    if !found.faults.is_empty() {
        return Finding::fail(
            "database",
            format!("{name} is damaged: {}", found.faults.join("; ")),
            "stop the server, keep the file, restore a backup, and distrust the disk",
        );
    }
    if found.schema_version > found.schema_known {
        return Finding::fail(
            "database",
            format!(
                "{name} was made by a newer bursar: schema {}, this one knows {}",
                found.schema_version, found.schema_known
            ),
            "run the newer binary",
        );
    }
    if found.wal_bytes > WAL_LARGE_BYTES {
        return Finding::warn(
            "database",
            format!(
                "the write-ahead log has grown to {}",
                megabytes(found.wal_bytes)
            ),
            "a reader keeps it from being written back: end long reads, such as copies of the file",
        );
    }
    if found.journal_mode != "wal" && found.epoch > 0 {
        return Finding::warn(
            "database",
            format!("journal mode is {}, not wal", found.journal_mode),
            "the next start sets it; see that no other program opens the file",
        );
    }
    let mut text = format!(
        "{name}: sound, {} and {} of log, schema {}, written by {} starts, SQLite {}",
        megabytes(found.file_bytes),
        megabytes(found.wal_bytes),
        found.schema_version,
        grouped(found.epoch.into()),
        found.sqlite_version
    );
    if found.schema_version < found.schema_known {
        text.push_str("; the next start brings the schema up to date");
    }
    Finding::ok("database", text)
}

/// Measures writes of one page with a flush after each.
fn time_flushes(folder: &Path) -> io::Result<Vec<Duration>> {
    let path = folder.join(format!(".bursar-doctor-{}", std::process::id()));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    let timed = flush_often(&file);
    std::fs::remove_file(&path)?;
    timed
}

fn flush_often(mut file: &File) -> io::Result<Vec<Duration>> {
    let (all, mut times) = (Stopwatch::start(), Vec::with_capacity(FLUSHES));
    while times.len() < FLUSHES && all.elapsed() < FLUSHING_MAX {
        file.write_all(&PAGE)?;
        let one = Stopwatch::start();
        file.sync_data()?;
        times.push(one.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

/// Judges flush times, shortest first.
fn flush_finding(times: &io::Result<Vec<Duration>>, folder: &Path) -> Finding {
    let times = match times {
        Ok(times) => times,
        Err(error) => {
            return Finding::fail(
                "disk flush",
                format!("cannot write in {}: {error}", folder.display()),
                "let the server's user write there, or choose another --database",
            );
        }
    };
    let at = |percent: usize| {
        let last = times.len().saturating_sub(1);
        times.get(last * percent / 100).copied().unwrap_or_default()
    };
    let (p50, p99) = (at(50), at(99));
    let text = format!("p50 {p50:.1?}, p99 {p99:.1?} for one page");
    if p50 > FLUSH_SLOW {
        Finding::warn(
            "disk flush",
            format!("{text}: commits will be slow"),
            "each waits for a flush; put the database on a local SSD",
        )
    } else if p50 < FLUSH_UNLIKELY {
        Finding::warn(
            "disk flush",
            format!("{text}: too fast for a disk, so it may not flush"),
            "what is acknowledged may be lost with power: avoid tmpfs and write caches without a battery",
        )
    } else {
        Finding::ok("disk flush", text)
    }
}

fn examine_space(folder: &Path) -> Finding {
    match rustix::fs::statvfs(folder) {
        Ok(stat) => space_finding(
            stat.f_bavail.saturating_mul(stat.f_frsize),
            stat.f_blocks.saturating_mul(stat.f_frsize),
        ),
        Err(error) => Finding::warn(
            "free space",
            format!("cannot be told: {error}"),
            "see `df` for the folder of the database",
        ),
    }
}

fn space_finding(free: u64, total: u64) -> Finding {
    let percent = free.saturating_mul(100) / total.max(1);
    let text = format!("{} free, {percent} % of the disk", megabytes(free));
    let advice = "make room: when it is full, recording is refused until there is some";
    if free < FREE_NONE_BYTES {
        Finding::fail("free space", text, advice)
    } else if free < FREE_LOW_BYTES || percent < FREE_LOW_PERCENT {
        Finding::warn("free space", text, advice)
    } else {
        Finding::ok("free space", text)
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MiB", grouped(bytes.div_ceil(MIB).into()))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn flush_times_are_judged() {
        let judge = |micros| {
            let times = Ok(vec![Duration::from_micros(micros); 3]);
            flush_finding(&times, Path::new(".")).verdict
        };
        assert_eq!(judge(5), Verdict::Warn);
        assert_eq!(judge(800), Verdict::Ok);
        assert_eq!(judge(11_000), Verdict::Warn);
        let denied = Err(io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            flush_finding(&denied, Path::new(".")).verdict,
            Verdict::Fail
        );
    }

    #[test]
    fn little_space_is_judged_by_bytes_and_by_share() {
        let judge = |free, total| space_finding(free * MIB, total * MIB).verdict;
        assert_eq!(judge(50_000, 100_000), Verdict::Ok);
        assert_eq!(judge(4_000, 100_000), Verdict::Warn);
        assert_eq!(judge(1_000, 2_000), Verdict::Warn);
        assert_eq!(judge(10, 100_000), Verdict::Fail);
    }

    #[test]
    fn a_file_that_is_no_database_fails_and_one_that_is_not_there_is_fine() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("a.db");
        assert_eq!(examine_database(&path).0.verdict, Verdict::Ok);
        std::fs::write(&path, [1; 5000]).expect("it can be written");
        assert_eq!(examine_database(&path).0.verdict, Verdict::Fail);
        let nowhere = folder.path().join("none/a.db");
        assert_eq!(examine(&nowhere).0[0].verdict, Verdict::Fail);
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .expect("it is there")
            .collect();
        assert_eq!(left.len(), 1, "nothing is left behind");
    }
}
