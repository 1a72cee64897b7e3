//! Who may import whom: a module uses lower floors only, and few modules name the large libraries.

use std::collections::BTreeSet;

use super::source::Source;

/// Each module of the crate and its floor; imports point down.
const FLOORS: &[(&str, u8)] = &[
    ("domain", 0),
    ("clock", 1),
    ("storage", 1),
    ("failpoint", 1),
    ("engine", 2),
    ("stripe", 3),
    ("grpc", 3),
    ("http", 3),
    ("config", 3),
    ("server", 4),
    ("cli", 5),
    ("main", 5),
];

/// The only imports within one floor.
const LEVEL: &[(&str, &str)] = &[
    // The commit path of a store is where the named stops are.
    ("storage", "failpoint"),
    ("main", "cli"),
    // What comes in over HTTP from Stripe is Stripe's to check.
    ("http", "stripe"),
];

/// Libraries that only some modules may name; the places are prefixes of a path below `src/`.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("tonic", &["grpc", "server", "cli"]),
    ("prost", &["grpc", "server", "cli"]),
    ("rusqlite", &["storage/sqlite"]),
    ("sqlx", &["storage/postgres"]),
    ("axum", &["http"]),
    ("governor", &["engine", "grpc", "stripe"]),
];

/// What the domain may name beside itself.
const DOMAIN: &[&str] = &[
    "std",
    "thiserror",
    "serde",
    "jiff",
    "num_rational",
    "num_traits",
    "smol_str",
    "sha2",
];

/// Finds imports that point up or sideways, and libraries named where they may not be.
///
/// `libraries` are the crate's dependencies as they are written in code.
pub fn check(path: &str, source: &Source, libraries: &BTreeSet<String>) -> Vec<String> {
    let Some(place) = path.strip_prefix("src/").filter(|place| *place != "lib.rs") else {
        return Vec::new();
    };
    let module = place.split(['/', '.']).next().unwrap_or_default();
    let Some(floor) = floor(module) else {
        return vec![format!(
            "{path}: module {module} has no floor; give it one in tests/it/tidy/floors.rs"
        )];
    };
    let mut found = Vec::new();
    for import in imports(source) {
        let (line, words) = (import.line, &import.words);
        let root = words[0].as_str();
        if let Some(target) = target(place, words).filter(|target| *target != module) {
            let down = self::floor(target).is_some_and(|other| other < floor);
            if !down && !LEVEL.contains(&(module, target)) {
                found.push(format!(
                    "{path}:{line}: {module} may not use {target}: imports point to a lower floor"
                ));
            }
        }
        let known = libraries.contains(root) && !import.test;
        if known && !may_name(place, module, root) {
            found.push(format!("{path}:{line}: {root} may not be named here"));
        }
        let code = words.iter().rposition(|word| word == "Code");
        let code = code.is_some_and(|at| at + 1 < words.len() || root == "tonic");
        if code && place != "grpc/status.rs" {
            found.push(format!(
                "{path}:{line}: tonic::Code is named only in src/grpc/status.rs"
            ));
        }
    }
    found
}

fn floor(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, floor)| *floor)
}

/// The module of this crate that a path leads to, if it starts at the crate's root.
fn target<'a>(place: &str, words: &'a [String]) -> Option<&'a str> {
    let supers = words.iter().take_while(|word| *word == "super").count();
    let next = match words[0].as_str() {
        "crate" | "bursar" => words.get(1)?,
        "super" if supers >= depth(place) => words.get(supers)?,
        _ => return None,
    };
    // A name that is no module of ours is an item of the crate's root, or of a module in this file.
    let module = next.as_str();
    (floor(module).is_some() || words[0] != "super").then_some(module)
}

/// How many modules deep a file is.
fn depth(place: &str) -> usize {
    place.trim_end_matches("/mod.rs").split('/').count()
}

fn may_name(place: &str, module: &str, library: &str) -> bool {
    if module == "domain" {
        return DOMAIN.contains(&library)
            || (["toml", "toml_edit"].contains(&library) && place.starts_with("domain/catalog"));
    }
    LIBRARIES
        .iter()
        .filter(|(name, _)| library == *name || library.starts_with(&format!("{name}_")))
        .all(|(_, places)| {
            places
                .iter()
                .any(|allowed| place == *allowed || within(place, allowed))
        })
}

fn within(place: &str, allowed: &str) -> bool {
    place
        .strip_prefix(allowed)
        .is_some_and(|rest| rest.starts_with(['/', '.', '_']))
}

struct Import {
    words: Vec<String>,
    line: usize,
    test: bool,
}

/// Every path of two words or more, and every `use`, with its braces multiplied out.
fn imports(source: &Source) -> Vec<Import> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < source.tokens.len() {
        let used = source.word(at) == "use";
        let start = at + usize::from(used);
        let start = start + usize::from(source.word(start) == "::");
        if used || source.word(start + 1) == "::" && is_word(source.word(start)) {
            at = expand(source, start, &[], used, &mut found).max(at + 1);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path and what its braces hold; returns where it ends.
fn expand(
    source: &Source,
    start: usize,
    before: &[String],
    used: bool,
    found: &mut Vec<Import>,
) -> usize {
    let mut words = before.to_vec();
    let mut at = start;
    loop {
        if source.word(at) == "{" {
            let end = source.close(at);
            let mut inner = at + 1;
            while inner < end {
                inner = expand(source, inner, &words, true, found).max(inner + 1);
                while inner < end && source.word(inner) != "," {
                    inner += 1;
                }
                inner += 1;
            }
            return end + 1;
        }
        if is_word(source.word(at)) || source.word(at) == "*" {
            words.push(source.word(at).to_owned());
            at += 1;
        }
        if source.word(at) != "::" || !(is_word(source.word(at + 1)) || used) {
            break;
        }
        at += 1;
    }
    if let Some(token) = source.tokens.get(start).filter(|_| !words.is_empty()) {
        found.push(Import {
            words,
            line: token.line,
            test: token.test,
        });
    }
    at
}

fn is_word(text: &str) -> bool {
    text.starts_with(|char: char| char.is_alphabetic() || char == '_')
}

#[cfg(test)]
fn findings(path: &str, text: &str) -> usize {
    let libraries = [
        "tonic",
        "tonic_types",
        "tokio",
        "rusqlite",
        "sqlx",
        "serde",
        "toml",
        "axum",
        "prost",
        "governor",
    ];
    check(
        path,
        &Source::read(text),
        &libraries.map(String::from).into(),
    )
    .len()
}

#[test]
fn an_import_that_points_up_is_found() {
    assert_eq!(
        findings(
            "src/domain/plan.rs",
            "use crate::{domain::id::A, storage::{B, C}};"
        ),
        2
    );
    assert_eq!(
        findings("src/clock.rs", "fn f() { crate::storage::open(); }"),
        1
    );
    assert_eq!(findings("src/engine/mod.rs", "use super::grpc::pb;"), 1);
    assert_eq!(
        findings("src/engine/check/mod.rs", "use super::super::server;"),
        1
    );
    assert_eq!(findings("src/server.rs", "use bursar::cli;"), 1);
    assert_eq!(findings("src/http/mod.rs", "use crate::grpc;"), 1);
    assert_eq!(findings("src/surprise.rs", ""), 1);
    assert_eq!(
        findings(
            "src/engine/check.rs",
            "use super::server; use crate::{clock, domain::*};"
        ),
        0
    );
    assert_eq!(
        findings("src/storage/sqlite/write.rs", "use crate::failpoint;"),
        0
    );
    assert_eq!(
        findings(
            "src/main.rs",
            "mod cli; use bursar::{server, engine}; use crate::cli::Args;"
        ),
        0
    );
}

#[test]
fn a_library_in_the_wrong_place_is_found() {
    assert_eq!(
        findings(
            "src/domain/id.rs",
            "use tokio::sync::Mutex; #[tokio::test] fn f() {}"
        ),
        2
    );
    assert_eq!(
        findings("src/domain/plan.rs", "fn f() { toml::from_str(text) }"),
        1
    );
    assert_eq!(
        findings(
            "src/domain/catalog/file.rs",
            "fn f() { toml::from_str(text) }"
        ),
        0
    );
    assert_eq!(
        findings(
            "src/engine/mod.rs",
            "use {tonic_types::Status, prost::Message};"
        ),
        2
    );
    assert_eq!(findings("src/storage/memory.rs", "use ::rusqlite as r;"), 1);
    assert_eq!(
        findings("src/storage/sqlite/read.rs", "use rusqlite::Row;"),
        0
    );
    assert_eq!(findings("src/storage/sqlite/read.rs", "use sqlx::Row;"), 1);
    assert_eq!(
        findings("src/storage/postgres/scan.rs", "use sqlx::Row;"),
        0
    );
    assert_eq!(
        findings("src/server.rs", "fn f() -> axum::Router { governor::x() }"),
        2
    );
    assert_eq!(
        findings(
            "src/grpc/check.rs",
            "use tonic::{Code as C, Status}; fn f() { Code::Internal }"
        ),
        2
    );
    assert_eq!(findings("src/grpc/status.rs", "use tonic::Code;"), 0);
}
