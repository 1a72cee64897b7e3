//! Reads our own sources and holds them to the rules of the house: floors, sizes, words, nothing forgotten.
//!
//! Each check is a function of a path and a text, and has a test that shows it a violation.

mod floors;
mod sizes;
mod source;
mod tree;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use source::Source;

/// Reads every file of ours with this ending below some folders, by its path from the root.
fn files(folders: &[&str], ending: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut found = BTreeMap::new();
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.expect("a folder of ours can be read"),
        };
        for entry in entries {
            let path = entry.expect("a folder of ours can be read").path();
            if path.is_dir() {
                open.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == ending)
            {
                let name = path
                    .strip_prefix(root)
                    .expect("it was found below the root");
                let name = name.to_str().expect("our names are ASCII").to_owned();
                found.insert(
                    name,
                    fs::read_to_string(&path).expect("our sources are UTF-8"),
                );
            }
        }
    }
    found
}

fn sources() -> BTreeMap<String, Source> {
    let texts = files(&["src", "tests", "benches", "examples"], "rs");
    assert!(
        texts.contains_key("src/lib.rs"),
        "our own sources are not where they are looked for"
    );
    texts
        .into_iter()
        .map(|(path, text)| (path, Source::read(&text)))
        .collect()
}

fn libraries() -> BTreeSet<String> {
    let manifest: toml::Table = include_str!("../../Cargo.toml")
        .parse()
        .expect("cargo has read it");
    let dependencies = manifest["dependencies"].as_table().expect("it is a table");
    dependencies
        .keys()
        .map(|name| name.replace('-', "_"))
        .collect()
}

fn none(found: &[String]) {
    assert!(
        found.is_empty(),
        "{} found:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn imports_point_down() {
    let libraries = libraries();
    let found = sources()
        .iter()
        .flat_map(|(path, source)| floors::check(path, source, &libraries))
        .collect::<Vec<_>>();
    none(&found);
}

#[test]
fn files_and_functions_are_short() {
    let sources = sources();
    let gone = sizes::LONGER
        .iter()
        .filter(|(path, _, _)| !sources.contains_key(*path));
    let mut found: Vec<_> = gone
        .map(|(path, _, _)| format!("{path}: in LONGER, but there is no such file"))
        .collect();
    found.extend(
        sources
            .iter()
            .flat_map(|(path, source)| sizes::check(path, source, sizes::LONGER)),
    );
    none(&found);
}

#[test]
fn no_banned_word_or_empty_name_is_used() {
    let sources = sources();
    let reached = tree::reached(&sources);
    let mut found = Vec::new();
    for (path, source) in &sources {
        let test_file = reached
            .get(path)
            .copied()
            .unwrap_or(!path.starts_with("src/"));
        found.extend(words::words(path, source, test_file));
        found.extend(words::names(path, source));
    }
    none(&found);
}

#[test]
fn every_file_is_compiled() {
    none(&tree::unreached(&sources()));
}

#[test]
fn the_protocol_declares_its_reasons() {
    let protos = files(&["proto/bursar"], "proto");
    let proto = protos
        .get("proto/bursar/v1/error_reason.proto")
        .expect("the protocol declares its reasons");
    assert!(
        tree::reasons(proto).contains(&"EVENT_ID_REUSED"),
        "{:?}",
        tree::reasons(proto)
    );
    // That each is explained is for the test of the documents; here each is answered.
    let speaks = |path: &str| path == "src/grpc/status.rs" || path.starts_with("src/grpc/status/");
    let texts: Vec<String> = files(&["src/grpc"], "rs")
        .into_iter()
        .filter(|(path, _)| speaks(path))
        .map(|(_, text)| text)
        .collect();
    assert!(texts.len() > 1, "status.rs, and what is below it");
    none(&tree::unspoken(proto, &texts));
}
