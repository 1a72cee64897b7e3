//! The documents say what the code does: tables are compared with what they are about.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use bursar::cli;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a folder, by its path from the root.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut open = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder of ours can be read");
            open.extend(entries.map(|entry| entry.expect("it can be read").path()));
        } else {
            let below = path.strip_prefix(root()).expect("it was found below");
            found.push(below.to_owned());
        }
    }
    found
}

/// The text between a heading and the next one.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text
        .split_once(&format!("{heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading}"));
    rest.split("\n## ").next().unwrap_or(rest)
}

/// The rows of the table below a heading, without its head.
fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let table = section(text, heading).lines();
    let table = table.skip_while(|line| !line.starts_with('|'));
    let table = table.take_while(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| {
        let line = line.trim_matches('|');
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    table.map(cells).collect()
}

/// What stands between backticks.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_configuration_table_is_that_of_serve() {
    let mut command = cli::command();
    command.build();
    let serve = command.find_subcommand("serve").expect("it serves");
    let shown = serve
        .get_arguments()
        // What is hidden is another name of what is shown.
        .filter(|argument| argument.get_id() != "help" && !argument.is_hide_set());
    let expected: Vec<Vec<String>> = shown
        .map(|argument| {
            let defaults = argument.get_default_values().iter();
            let defaults = defaults.map(|value| format!("`{}`", value.to_string_lossy()));
            let takes_value = argument.get_action().takes_values();
            let env = argument.get_env().expect("each has a variable");
            vec![
                format!("`--{}`", argument.get_long().expect("each has a name")),
                format!("`{}`", env.to_string_lossy()),
                defaults.filter(|_| takes_value).collect(),
                argument
                    .get_help()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            ]
        })
        .collect();
    let table: Vec<String> = expected
        .iter()
        .map(|row| format!("| {} |", row.join(" | ").replace("|  |", "| |")))
        .collect();
    assert_eq!(
        rows(&read("README.md"), "## Configuration"),
        expected,
        "README.md should have:\n{}",
        table.join("\n")
    );
}

#[test]
fn every_error_reason_is_explained() {
    let proto = read("proto/bursar/v1/error_reason.proto");
    let mut expected = Vec::new();
    let mut comment = String::new();
    for line in proto.lines().map(str::trim) {
        if let Some(more) = line.strip_prefix("//") {
            comment.push_str(more);
        } else {
            if let Some((name, _)) = line
                .strip_prefix("ERROR_REASON_")
                .and_then(|value| value.split_once(" ="))
                .filter(|(name, _)| *name != "UNSPECIFIED")
            {
                expected.push((name.to_owned(), code(&comment)[0].to_owned()));
            }
            comment.clear();
        }
    }
    assert!(expected.len() > 40, "{expected:?}");
    let table = rows(&read("docs/clients.md"), "## Errors");
    let explained: Vec<_> = table
        .iter()
        .map(|row| {
            assert!(row[2..].iter().all(|cell| !cell.is_empty()), "{row:?}");
            (code(&row[0])[0].to_owned(), code(&row[1])[0].to_owned())
        })
        .collect();
    assert_eq!(explained, expected);
}

/// The methods of each service.
fn methods() -> BTreeMap<String, BTreeSet<String>> {
    let mut methods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files("proto/bursar/v1") {
        let mut service = String::new();
        for line in read(file).lines() {
            if let Some(rest) = line.strip_prefix("service ") {
                service = format!("bursar.v1.{}", rest.trim_end_matches(" {"));
                methods.insert(service.clone(), BTreeSet::new());
            }
            if let Some((name, _)) = line
                .strip_prefix("  rpc ")
                .and_then(|rest| rest.split_once('('))
            {
                let of = methods.get_mut(&service).expect("it is in a service");
                of.insert(name.to_owned());
            }
        }
    }
    methods
}

#[test]
fn the_service_config_names_what_there_is() {
    let config: serde_json::Value =
        serde_json::from_str(&read("examples/service_config.json")).expect("it is JSON");
    let methods = methods();
    let mut covered = BTreeSet::new();
    for entry in config["methodConfig"].as_array().expect("it is a list") {
        for name in entry["name"].as_array().expect("it is a list") {
            let service = name["service"].as_str().expect("it is a name");
            let of = methods.get(service);
            let of = of.unwrap_or_else(|| panic!("there is no {service}"));
            match name["method"].as_str() {
                Some(method) => assert!(of.contains(method), "{service} has no {method}"),
                None => assert!(covered.insert(service.to_owned()), "{service} twice"),
            }
        }
    }
    assert_eq!(covered, methods.into_keys().collect());
}

#[test]
fn every_metric_is_explained() {
    let mut made = BTreeSet::new();
    for file in files("src") {
        let text = read(&file);
        for call in ["counter!(", "gauge!(", "histogram!("] {
            for rest in text.split(call).skip(1) {
                let name = rest.split('"').nth(1).unwrap_or_default();
                assert!(name.starts_with("bursar_"), "{}: {name}", file.display());
                made.insert(name.to_owned());
            }
        }
    }
    let table = rows(&read("docs/logging.md"), "## Metrics");
    let explained = table.iter().map(|row| {
        let name = code(&row[0])[0];
        name.split('{').next().unwrap_or(name).to_owned()
    });
    assert_eq!(explained.collect::<BTreeSet<_>>(), made);
}

#[test]
fn the_code_map_names_what_there_is() {
    let text = read("ARCHITECTURE.md");
    assert!(text.lines().count() <= 200, "a page, not a book");
    let map = rows(&text, "## Code map");
    let named: BTreeSet<&str> = map.iter().flat_map(|row| code(&row[0])).collect();
    for path in &named {
        assert!(root().join(path).exists(), "there is no {path}");
    }
    // Of the engine the map says that it names some only; all other modules of the first two levels are there.
    for file in files("src") {
        let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
        let folder = parts[..2].join("/");
        let module = parts[..parts.len().min(3)].join("/");
        let whole = [
            "src/engine",
            "src/grpc",
            "src/http",
            "src/server",
            "src/cli",
        ];
        let is_known = named.contains(module.as_str())
            || module.ends_with("/mod.rs") && named.contains(folder.as_str())
            || whole.contains(&folder.as_str()) && named.contains(folder.as_str());
        assert!(is_known, "{module} is not in the code map");
    }
}

#[test]
fn every_make_target_is_shown() {
    let shown = read("README.md");
    let shown = section(&shown, "## Development");
    for line in read("Makefile").lines() {
        let Some((target, text)) = line.split_once(": ## ") else {
            continue;
        };
        let is_shown = |line: &str| {
            let rest = line.strip_prefix("make ");
            let words = rest.and_then(|rest| rest.split_once(' '));
            words.is_some_and(|(name, said)| name == target && said.trim() == text)
        };
        assert!(shown.lines().any(is_shown), "make {target} is not shown");
    }
}

#[test]
fn the_commands_of_the_pages_are_understood() {
    let operations = ["backup", "doctor", "export", "move", "restore"];
    let stripe = ["doctor", "outbox", "serve", "stripe"];
    for (page, expected) in [
        ("docs/operations.md", &operations[..]),
        ("docs/stripe.md", &stripe[..]),
    ] {
        let tried = understood(&read(page));
        let expected: BTreeSet<&str> = expected.iter().copied().collect();
        assert_eq!(
            tried.iter().map(String::as_str).collect::<BTreeSet<_>>(),
            expected
        );
    }
}

/// Has each command in a text parsed; returns which there are.
fn understood(text: &str) -> BTreeSet<String> {
    let blocks = text.split("```sh\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default());
    let mut tried = BTreeSet::new();
    for line in blocks.flat_map(str::lines) {
        // What is between pipes and redirections is a command.
        for command in line.split(['|', '>', '<']) {
            let plain = command.replace('\'', "");
            let words: Vec<&str> = plain.split_whitespace().collect();
            let words = match words.iter().position(|word| !word.contains('=')) {
                Some(first) => &words[first..],
                None => &words[..],
            };
            if words.first() != Some(&"bursar") {
                continue;
            }
            let parsed = cli::command().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
            tried.insert(words[1].to_owned());
        }
    }
    tried
}

#[test]
fn links_lead_somewhere() {
    let mut documents = files("docs");
    documents.extend(["README.md", "ARCHITECTURE.md"].map(PathBuf::from));
    for document in documents {
        let text = read(&document);
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.starts_with("http") {
                continue;
            }
            let from = root().join(&document);
            let path = from.parent().expect("it is in a folder").join(target);
            assert!(path.exists(), "{}: no {target}", document.display());
        }
    }
}
