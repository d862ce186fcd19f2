//! docs/cli.md, written from the definition of the command line.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use super::Cli;
use crate::git::settings::KEYS;

const HEAD: &str = "\
# The command line

This page is generated from the program's own help; `lob VERB --help` says the same.

## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | called wrongly |
| 3 | done, but something is missing or damaged |
| 130 | interrupted |

## Output

Data goes to stdout, talk to stderr. With `--json` stdout carries one JSON object a line; its field
`event` names what it is. Fields are added over time and never change their meaning: ignore what you
do not know. Sizes are bytes, times seconds. A path that is not UTF-8 comes with a second field whose
name ends in `_bytes`, its exact bytes in hexadecimal digits. Every verb may print these:

| event | fields |
|---|---|
| `progress` | `task`, `bytes`, `total_bytes` (or null), `lobs`, `total_lobs` (or null), `seconds`, `done` |
| `warning` | `message` |
| `error` | `kind`, `code` (the exit code), `message`, `causes`, `hints` |

`NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE` are honoured. `LOB_PROGRESS` is `off`, `bar` or `lines`.
";

const SETTINGS: &str = "
## Settings

Settings are git's: `git config lob.smudge cached`, with `--global` for all repositories. Some may
also stand in a committed file `.lobconfig`, in the same syntax, and hold for everybody who clones the
repository; git's own configuration wins over it. `lob env` shows what holds and where it comes from.

| setting | meaning | default | in .lobconfig |
|---|---|---|---|
";

fn page() -> String {
    let mut lob = Cli::command();
    lob.build();
    let mut page = HEAD.to_owned();
    section(&mut page, &lob, 2);
    let globals: Vec<_> = lob.get_arguments().map(Arg::get_id).collect();
    for verb in lob.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let own = |arg: &&Arg| !globals.contains(&arg.get_id());
        let own: Vec<_> = verb.get_arguments().filter(own).collect();
        head(&mut page, verb, 2);
        arguments(&mut page, &own);
        examples(&mut page, verb);
        beneath(&mut page, verb, &globals);
    }
    settings(&mut page);
    page
}

/// The verbs of a verb, and theirs.
fn beneath(page: &mut String, verb: &Command, globals: &[&clap::Id]) {
    for verb in verb.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let own = |arg: &&Arg| !globals.contains(&arg.get_id());
        let own: Vec<_> = verb.get_arguments().filter(own).collect();
        if verb.get_subcommands().next().is_none() {
            head(page, verb, 3);
            arguments(page, &own);
        }
        beneath(page, verb, globals);
    }
}

fn settings(page: &mut String) {
    page.push_str(SETTINGS);
    for key in KEYS {
        let default = match key.default {
            "" => "not set".to_owned(),
            default => default.to_owned(),
        };
        let tracked = if key.tracked { "yes" } else { "no" };
        let (name, doc) = (key.name, key.doc);
        writeln!(page, "| `{name}` | {doc} | {default} | {tracked} |").expect("a String takes all");
    }
}

fn section(page: &mut String, verb: &Command, level: usize) {
    head(page, verb, level);
    arguments(page, &verb.get_arguments().collect::<Vec<_>>());
    examples(page, verb);
}

fn head(page: &mut String, verb: &Command, level: usize) {
    let name = verb.get_bin_name().unwrap_or(verb.get_name());
    let usage = verb.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let about = verb.get_long_about().or(verb.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let marks = "#".repeat(level);
    write!(page, "\n{marks} {name}\n\n```\n{usage}\n```\n\n{about}\n").expect("a String takes all");
}

fn arguments(page: &mut String, arguments: &[&Arg]) {
    let shown: Vec<_> = arguments.iter().filter(|arg| !arg.is_hide_set()).collect();
    if shown.iter().any(|arg| !is_help(arg)) {
        page.push('\n');
    }
    for arg in shown.into_iter().filter(|arg| !is_help(arg)) {
        let help = arg.get_long_help().or(arg.get_help());
        let help = help.map(ToString::to_string).unwrap_or_default();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        writeln!(page, "- `{arg}`: {help}").expect("a String takes all");
    }
}

fn is_help(arg: &Arg) -> bool {
    arg.get_id() == "help" || arg.get_id() == "version"
}

fn examples(page: &mut String, verb: &Command) {
    let Some(after) = verb.get_after_help() else {
        return;
    };
    let after = after.to_string();
    let (title, examples) = after.split_once('\n').unwrap_or(("", &after));
    write!(page, "\n{title}\n\n```\n").expect("a String takes all");
    for line in examples.lines() {
        writeln!(page, "{}", line.strip_prefix("  ").unwrap_or(line)).expect("a String takes all");
    }
    page.push_str("```\n");
}

#[test]
fn the_page_says_what_the_help_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let page = page();
    if std::env::var_os("LOB_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("docs/cli.md can be written");
    }
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        old == page,
        "docs/cli.md is stale: run LOB_UPDATE_DOCS=1 cargo test -p lob --lib reference"
    );
}
