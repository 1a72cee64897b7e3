//! Nothing is forgotten: every file is compiled, every reason of the protocol is spoken or documented.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;

/// Follows the `mod` declarations from the roots; says of each file reached whether it is compiled only for tests.
pub fn reached(sources: &BTreeMap<String, Source>) -> BTreeMap<String, bool> {
    let roots = ["src/lib.rs", "src/main.rs", "tests/it/main.rs"];
    let mut reached = BTreeMap::new();
    let mut open: Vec<_> = roots
        .iter()
        .map(|root| ((*root).to_owned(), root.starts_with("tests/")))
        .collect();
    while let Some((path, test)) = open.pop() {
        let Some(source) = sources.get(&path) else {
            continue;
        };
        // What ships somewhere ships, also when a test declares it as well.
        if reached
            .get(&path)
            .is_some_and(|known: &bool| !known || test)
        {
            continue;
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let folder = match name {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            _ => path.trim_end_matches(".rs").to_owned(),
        };
        for (at, token) in source.tokens.iter().enumerate() {
            if token.text == "mod" && source.word(at + 2) == ";" {
                let child = format!("{folder}/{}", source.word(at + 1));
                let test = test || token.test;
                open.extend([
                    (format!("{child}.rs"), test),
                    (format!("{child}/mod.rs"), test),
                ]);
            }
        }
        reached.insert(path, test);
    }
    reached
}

/// Finds files that no `mod` declaration leads to.
pub fn unreached(sources: &BTreeMap<String, Source>) -> Vec<String> {
    let reached = reached(sources);
    let inside = |path: &str| path.starts_with("src/") || path.starts_with("tests/it/");
    let dead = sources
        .keys()
        .filter(|path| inside(path) && !reached.contains_key(*path));
    dead.map(|path| format!("{path}: no `mod` leads here"))
        .collect()
}

/// The reasons that the protocol declares.
pub fn reasons(proto: &str) -> Vec<&str> {
    let values = proto
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ERROR_REASON_")?.split_once(" = "));
    values
        .map(|(name, _)| name)
        .filter(|name| *name != "UNSPECIFIED")
        .collect()
}

/// Finds reasons that none of the texts names, be it as `EVENT_TOO_OLD` or as `EventTooOld`.
pub fn unspoken(proto: &str, texts: &[String]) -> Vec<String> {
    let spoken: BTreeSet<_> = texts
        .iter()
        .flat_map(|text| text.split(|char: char| !char.is_alphanumeric() && char != '_'))
        .map(|word| {
            word.trim_start_matches("ERROR_REASON_")
                .replace('_', "")
                .to_uppercase()
        })
        .collect();
    let silent = reasons(proto)
        .into_iter()
        .filter(|reason| !spoken.contains(&reason.replace('_', "")));
    silent
        .map(|reason| format!("{reason}: nothing in src/grpc/status.rs or below it answers so"))
        .collect()
}

#[test]
fn a_file_that_nothing_declares_is_found() {
    let read = |files: &[(&str, &str)]| {
        let read = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), Source::read(text)));
        read.collect::<BTreeMap<_, _>>()
    };
    let tree = read(&[
        ("src/lib.rs", "pub mod a;\n#[cfg(test)]\nmod b;"),
        ("src/a/mod.rs", "mod c; // mod d;"),
        ("src/a/c.rs", "mod e;"),
        ("src/a/c/e.rs", ""),
        ("src/a/d.rs", ""),
        ("src/b.rs", ""),
    ]);
    assert_eq!(unreached(&tree), ["src/a/d.rs: no `mod` leads here"]);
    assert_eq!(
        (reached(&tree)["src/b.rs"], reached(&tree)["src/a/c/e.rs"]),
        (true, false)
    );
}

#[test]
fn a_reason_that_nobody_names_is_found() {
    let proto = "  ERROR_REASON_UNSPECIFIED = 0;\n  // ERROR_REASON_X\n  ERROR_REASON_FIELD_INVALID = 1;\n  ERROR_REASON_DRAINING = 2;\n  ERROR_REASON_INTERNAL = 3;\n";
    let texts = [
        "ErrorReason::FieldInvalid =>".to_owned(),
        "| `DRAINING` | | DRAINING_INTERNAL".to_owned(),
    ];
    let found = unspoken(proto, &texts);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("INTERNAL:"));
}
