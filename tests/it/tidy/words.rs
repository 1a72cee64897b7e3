//! Words that must not stand in code, and names that say nothing.

use super::source::Source;

/// Words that say nothing about what a file or a type is for.
const EMPTY_NAMES: &[&str] = &["util", "helper", "manager", "common"];

/// Where a banned word is banned.
#[derive(Clone, Copy)]
enum Where {
    Everywhere,
    OutsideTests,
    OutsideClock,
    ExactFloors,
}

/// What must not stand in code, what to write instead, and where.
const BANNED: &[(&[&str], &str, Where)] = &[
    (
        &["SystemTime", "::", "now"],
        "take `now` as an argument, or use src/clock.rs",
        Where::OutsideClock,
    ),
    (
        &["Instant", "::", "now"],
        "use `clock::Stopwatch`",
        Where::OutsideClock,
    ),
    (
        &["Utc", "::", "now"],
        "take `now` as an argument, or use src/clock.rs",
        Where::OutsideClock,
    ),
    (
        &["f32"],
        "use integers: quantities, thousandths, micro-units",
        Where::ExactFloors,
    ),
    (
        &["f64"],
        "use integers: quantities, thousandths, micro-units",
        Where::ExactFloors,
    ),
    (
        &[".", "unwrap", "(", ")"],
        "use `?`, or `expect` with why it cannot fail",
        Where::OutsideTests,
    ),
    (
        &["todo", "!"],
        "write it, or leave it out",
        Where::Everywhere,
    ),
    (
        &["unimplemented", "!"],
        "write it, or leave it out",
        Where::Everywhere,
    ),
    (&["dbg", "!"], "use `tracing`", Where::Everywhere),
    (
        &["#", "[", "allow", "("],
        "use `#[expect(…, reason = …)]`",
        Where::Everywhere,
    ),
    (
        &["#", "!", "[", "allow", "("],
        "use `#![expect(…, reason = …)]`",
        Where::Everywhere,
    ),
];

/// Marks of unfinished work, in comments.
const UNFINISHED: &[&str] = &["FIXME", "XXX"];

/// Finds words that are banned at this place.
pub fn words(path: &str, source: &Source, test_file: bool) -> Vec<String> {
    let mut found = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        for (banned, instead, place) in BANNED {
            let applies = match place {
                Where::Everywhere => true,
                Where::OutsideTests => !test_file && !token.test,
                Where::OutsideClock => path != "src/clock.rs",
                Where::ExactFloors => ["src/domain", "src/storage", "src/engine"]
                    .iter()
                    .any(|floor| path.starts_with(floor)),
            };
            // The last clause is a suffix: 1.0_f64.
            let stands = source.stands(at, banned)
                || banned.len() == 1
                    && token.text.starts_with(|first: char| first.is_ascii_digit())
                    && token.text.ends_with(banned[0]);
            if applies && stands {
                found.push(format!(
                    "{path}:{}: `{}` is banned here: {instead}",
                    token.line,
                    banned.concat()
                ));
            }
        }
    }
    for (line, comment) in &source.comments {
        let mut spoken = comment.split(|char: char| !char.is_alphanumeric());
        if let Some(word) = spoken.find(|word| UNFINISHED.contains(word)) {
            found.push(format!(
                "{path}:{line}: {word}: finish it, or say in prose what is missing and why"
            ));
        }
    }
    found
}

/// Finds files and types with a name that says nothing.
pub fn names(path: &str, source: &Source) -> Vec<String> {
    let empty = |name: &str| {
        EMPTY_NAMES
            .iter()
            .find(|word| name.to_lowercase().contains(**word))
    };
    let mut found = Vec::new();
    if let Some(word) = empty(path) {
        found.push(format!(
            "{path}: a name with `{word}` says nothing; name what it is for"
        ));
    }
    for (at, token) in source.tokens.iter().enumerate() {
        let declares =
            ["struct", "enum", "union", "trait", "type", "mod"].contains(&token.text.as_str());
        if let Some(word) = empty(source.word(at + 1)).filter(|_| declares) {
            let (line, name) = (token.line, source.word(at + 1));
            found.push(format!(
                "{path}:{line}: {name}: a name with `{word}` says nothing; name what it is for"
            ));
        }
    }
    found
}

#[test]
fn a_banned_word_is_found() {
    let count =
        |path: &str, text: &str| words(path, &Source::read(text), path.starts_with("tests/")).len();
    for now in [
        "SystemTime::now()",
        "std::time::Instant::now()",
        "Utc::now()",
    ] {
        assert_eq!(
            count("src/engine/a.rs", &format!("fn f() {{ {now}; }}")),
            1,
            "{now}"
        );
        assert_eq!(
            count("src/clock.rs", &format!("fn f() {{ {now}; }}")),
            0,
            "{now}"
        );
    }
    assert_eq!(
        count("src/domain/a.rs", "fn f(x: f32) -> f64 { 1.0_f64 }"),
        3
    );
    assert_eq!(count("src/cli/a.rs", "fn f(x: f32) -> f64 { 1.0_f64 }"), 0);
    assert_eq!(
        count(
            "src/cli/a.rs",
            "fn f() { a\n.unwrap(); } #[cfg(test)] mod t { fn f() { a.unwrap(); } }"
        ),
        1
    );
    assert_eq!(
        count("tests/it/a.rs", "fn f() { a.unwrap(); a.unwrap_or(1); }"),
        0
    );
    assert_eq!(
        count(
            "tests/it/a.rs",
            "#![allow(x)] #[allow(x)] fn f() { todo!(); unimplemented!(); dbg!(1); }"
        ),
        5
    );
    for mark in UNFINISHED {
        assert_eq!(
            count("tests/it/a.rs", &format!("/* {mark}: later */ // ({mark})")),
            2
        );
    }
    assert_eq!(
        count(
            "src/domain/a.rs",
            r#"fn f() { "todo!() f64"; } // the type f64"#
        ),
        0
    );
}

#[test]
fn an_empty_name_is_found() {
    let count = |path: &str, text: &str| names(path, &Source::read(text)).len();
    assert_eq!(count("src/engine/string_utils.rs", ""), 1);
    assert_eq!(
        count(
            "src/a.rs",
            "struct PlanManager; mod helpers {} type CommonPlan = Plan;"
        ),
        3
    );
    assert_eq!(
        count("src/a.rs", "struct Plan; fn f() { manager.help(common) }"),
        0
    );
}
