//! Files and functions stay short.

use super::source::Source;

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;

/// What is too long and may not grow: path, function (none for the whole file), lines. An entry that is no
/// longer needed is a finding.
pub const LONGER: &[(&str, &str, usize)] = &[(
    "src/domain/window/tests.rs",
    "windows_step_from_the_anchor",
    93,
)];

/// Finds files and functions that have grown too long, and entries of `longer` that are not needed.
pub fn check(path: &str, source: &Source, longer: &[(&str, &str, usize)]) -> Vec<String> {
    let longer: Vec<_> = longer.iter().filter(|entry| entry.0 == path).collect();
    let mut lengths = vec![(1, "", source.shipped_lines(), FILE_LINES)];
    for (at, token) in source.tokens.iter().enumerate() {
        // `fn` before a bracket is a type.
        if token.text == "fn" && source.word(at + 1) != "(" {
            let last = source.tokens[source.item_end(at)].line;
            lengths.push((
                token.line,
                source.word(at + 1),
                last - token.line + 1,
                FUNCTION_LINES,
            ));
        }
    }
    let mut found = Vec::new();
    for (line, name, lines, most) in &lengths {
        let known = longer
            .iter()
            .find(|entry| entry.1 == *name)
            .map_or(0, |entry| entry.2);
        if lines > most && *lines > known {
            let most = known.max(*most);
            found.push(format!(
                "{path}:{line}: {name} has {lines} lines, at most {most}: it is two things"
            ));
        }
    }
    for (_, name, _) in longer {
        if !lengths
            .iter()
            .any(|(_, other, lines, most)| name == other && lines > most)
        {
            found.push(format!(
                "{path}: {name} is short enough: take it out of LONGER"
            ));
        }
    }
    found
}

#[test]
fn a_long_file_or_function_is_found() {
    let count = |text: &str, longer: &[(&str, &str, usize)]| {
        check("src/a.rs", &Source::read(text), longer).len()
    };
    let long = "fn f() {\n".to_owned() + &"g();\n".repeat(69) + "}\n";
    assert_eq!(count(&long, &[]), 1);
    assert_eq!(count(&long.replacen("g();\n", "", 1), &[]), 0);
    assert_eq!(count(&long, &[("src/a.rs", "f", 71)]), 0);
    let file = "use a;\n".repeat(401);
    assert_eq!(count(&file, &[]), 1);
    assert_eq!(count(&file, &[("src/a.rs", "", 401)]), 0);
    assert_eq!(count(&file, &[("src/a.rs", "", 400)]), 1);
    assert_eq!(count("use a;\n", &[("src/a.rs", "", 401)]), 1);
    let tested = "use a;\n".repeat(400) + "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\n";
    assert_eq!(count(&tested, &[]), 0);
}
