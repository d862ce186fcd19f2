//! The rules of the house, held by a test each.

mod documents;
mod imports;
mod source;

use std::fmt::Write;

use source::{files, rust, sources};

const FILE_LINES_MAX: usize = 500;
const MEDIAN_FILE_LINES: usize = 200;
const FUNCTION_LINES_MAX: usize = 70;
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "types", "manager", "misc",
];

/// Fails with all that was found, one a line.
fn hold(rule: &str, found: &[String]) {
    let mut all = String::new();
    for one in found {
        writeln!(all, "  {one}").unwrap();
    }
    assert!(found.is_empty(), "{rule}:\n{all}");
}

#[test]
fn each_layer_keeps_to_its_own_means() {
    // What only some files may say. Written in two parts, or this file would break its own rule.
    let rules: &[(&str, &str, &[&str])] = &[
        ("src/", concat!("Command::new(\"", "git\")"), &["src/git"]),
        ("src/", concat!(" print", "ln!("), &[]),
        (
            "src/",
            concat!(" eprint", "ln!("),
            &["src/ui", "src/cli.rs"],
        ),
        ("src/", concat!("uns", "afe "), &[]),
        (
            "store/src/",
            concat!("uns", "afe "),
            &["store/src/disk/map.rs"],
        ),
        ("store/src/", "fs::", &["store/src/disk"]),
        ("store/src/", "std::env", &[]),
        ("store/src/", "std::net", &[]),
        ("store/src/", "std::process", &[]),
        ("store/src/", "println!(", &[]),
    ];
    let mut found = Vec::new();
    for source in rust().iter().filter(|source| source.is_shipped()) {
        for (at, line) in source.code() {
            for (tree, words, except) in rules {
                let applies = source.path.starts_with(tree)
                    && !except.iter().any(|place| source.path.starts_with(place));
                if applies && line.contains(words) {
                    found.push(format!("{}:{at}: {words}", source.path));
                }
            }
        }
    }
    hold("each layer keeps to its own means", &found);
}

#[test]
fn files_are_short() {
    let mut found = Vec::new();
    let mut lengths = Vec::new();
    for source in rust() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            found.push(format!("{}: {lines} lines", source.path));
        }
        if source.is_shipped() {
            lengths.push(lines);
        }
    }
    hold("no file is over 500 lines", &found);
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(
        median < MEDIAN_FILE_LINES,
        "the median file has {median} lines"
    );
}

/// The functions of a formatted file as (line, name, lines).
fn functions(text: &str) -> Vec<(usize, String, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let Some((before, rest)) = code.split_once("fn ") else {
            continue;
        };
        let words = [
            "pub",
            "const",
            "async",
            "extern",
            "\"C\"",
            concat!("uns", "afe"),
        ];
        if !before
            .split_whitespace()
            .all(|word| words.contains(&word) || word.starts_with("pub("))
        {
            continue;
        }
        let name = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let close = format!("{indent}}}");
        let ends = |line: &&str| {
            **line == close || line.ends_with(';') && !line.starts_with(&format!("{indent} "))
        };
        if line.ends_with('}') || line.ends_with(';') {
            found.push((at + 1, name, 1));
        } else if let Some(length) = lines[at + 1..].iter().position(ends) {
            found.push((at + 1, name, length + 2));
        }
    }
    found
}

#[test]
fn functions_are_short() {
    let mut found = Vec::new();
    for source in rust() {
        for (at, name, lines) in functions(&source.text) {
            if lines > FUNCTION_LINES_MAX {
                found.push(format!("{}:{at}: {name} has {lines} lines", source.path));
            }
        }
    }
    hold("no function is over 70 lines", &found);
}

#[test]
fn the_measure_of_functions_is_right() {
    let text = "fn a() {}\nimpl X {\n    pub(super) const fn b(\n        x: u8,\n    ) -> u8 {\n        x\n    }\n}\ntrait T {\n    fn c(\n        &self,\n    );\n}\nlet x = y.fn_;\n";
    let expected = [(1, "a", 1), (3, "b", 5), (10, "c", 3)];
    let expected: Vec<_> = expected
        .map(|(at, name, lines)| (at, name.to_owned(), lines))
        .into();
    assert_eq!(functions(text), expected);
}

#[test]
fn source_is_ascii() {
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !source.path.ends_with(".md"))
    {
        for (at, line) in source.text.lines().enumerate() {
            if let Some(c) = line.chars().find(|c| !(' '..='~').contains(c)) {
                found.push(format!(
                    "{}:{}: {}",
                    source.path,
                    at + 1,
                    c.escape_unicode()
                ));
            }
        }
    }
    hold("source is ASCII, without tabs", &found);
}

#[test]
fn nothing_is_left_to_do() {
    let words = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("db", "g!("),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("#[", "ignore"),
    ];
    let mut found = Vec::new();
    for source in sources() {
        for (at, line) in source.text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(*word)) {
                found.push(format!("{}:{}: {word}", source.path, at + 1));
            }
        }
    }
    hold("nothing is left to do", &found);
}

#[test]
fn only_tests_unwrap() {
    let mut found = Vec::new();
    for source in rust().iter().filter(|source| source.is_shipped()) {
        let lines = source.code().filter(|(_, line)| line.contains(".unwrap()"));
        found.extend(lines.map(|(at, _)| format!("{}:{at}", source.path)));
    }
    hold("only tests unwrap", &found);
}

#[test]
fn modules_have_names_that_say_something() {
    let mut found = Vec::new();
    for source in rust() {
        let parts = source.path.trim_end_matches(".rs").split('/');
        if parts.into_iter().any(|part| EMPTY_NAMES.contains(&part)) {
            found.push(source.path);
        }
    }
    hold("modules have names that say something", &found);
}

#[test]
fn no_file_is_large() {
    let large = files()
        .into_iter()
        .filter(|(_, _, len)| *len > FILE_BYTES_MAX);
    let found: Vec<_> = large
        .map(|(name, _, len)| format!("{name}: {len} bytes"))
        .collect();
    hold("no file is over 1 MiB", &found);
}
