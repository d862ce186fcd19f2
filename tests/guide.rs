//! The transcripts of docs/guide.md and README.md, run as a reader would run them.
//!
//! A page is a row of chapters (`## `). Each has a world of its own, in which its steps are run in
//! order and share directories and files:
//!
//! - In a block that is fenced as `console`, a line `$ ...` is a command, which `sh` runs; lines `> `
//!   right below continue it. The lines up to the next command are what it prints, on stdout and
//!   stderr together.
//! - A comment `<!-- setup`, with a script in the lines up to `-->`, is run unseen and must succeed.
//!   One that stands before the first chapter is run at the start of each.
//!
//! A command must succeed, unless its text shows an error (a line that begins with `lob: error:`,
//! `error:` or `fatal:`) or the next command is `echo $?`.
//!
//! In the text below a command
//!
//! - `...` stands for any text in a line, and for any number of lines where it is alone in one;
//! - a hexadecimal number of 7 or more digits, with a letter among them, stands for any of its length;
//! - a time in seconds (`0.84 s`) and a rate (`12.3 MB/s`) stand for any time and any rate.
//!
//! The directories `/home/ann` (the home), `/srv` and `/mnt` are those of the world, and
//! `/mnt/camera` has large files to play with. Nothing else of the machine is shown or touched.

mod page;
mod pattern;
mod player;

use std::path::Path;
use std::thread;

use page::Page;
use player::Player;

/// Reads a page of the project.
fn page(name: &str) -> Page {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    Page::parse(&std::fs::read_to_string(path).unwrap())
}

/// Plays all chapters of a page, each in a world of its own, and fails with all that differs.
fn play(name: &str) -> usize {
    let page = page(name);
    let reports: Vec<String> = thread::scope(|scope| {
        let chapters = page.chapters.iter();
        let players: Vec<_> = chapters
            .map(|chapter| {
                let shared = &page.setup;
                scope.spawn(move || Player::new().play(shared, chapter))
            })
            .collect();
        let ended = players.into_iter().map(|player| player.join().unwrap());
        ended.filter(|report| !report.is_empty()).collect()
    });
    assert!(reports.is_empty(), "{name}\n{}", reports.join("\n"));
    page.commands()
}

#[test]
fn the_guide_does_what_it_says() {
    assert!(play("docs/guide.md") > 20, "the guide has its transcripts");
}

#[test]
fn the_readme_does_what_it_says() {
    play("README.md");
}

#[test]
fn the_guide_shows_nothing_that_is_not_run() {
    let other = page("docs/guide.md").other_blocks;
    assert_eq!(
        other,
        ["sh"],
        "but how to build it, which the build server runs"
    );
}

/// What a page of this text reports.
fn report(text: &str) -> String {
    let page = Page::parse(text);
    let chapter = page.chapters.first().unwrap();
    Player::new().play(&page.setup, chapter)
}

#[test]
fn what_differs_is_told_with_its_place() {
    let text = "## A\n\n```console\n$ echo b; echo c >&2\nb\nd\n$ pwd\n/home/ann\n```\n";
    assert_eq!(
        report(text),
        "A, line 4: $ echo b; echo c >&2\n  b\n- d\n+ c\n"
    );
    assert_eq!(report(&text.replace("\nd\n", "\n...\n")), "");
}

#[test]
fn a_command_that_fails_unannounced_is_told() {
    let failed = report("## A\n```console\n$ false\n```\n");
    assert!(failed.contains("ended with 1"), "{failed}");
    assert_eq!(report("## A\n```console\n$ false\n$ echo $?\n1\n```\n"), "");
    assert_eq!(
        report("## A\n```console\n$ echo 'error: x' && false\nerror: x\n```\n"),
        ""
    );
}

#[test]
fn steps_share_the_world_and_setup_is_unseen() {
    let text = "<!-- setup\necho 1 > ~/first\n-->\n## A\n<!-- setup\nmkdir /srv/x\necho 2 > /srv/x/n\n-->\n\
                ```console\n$ cd /srv/x\n$ cat n ~/first\n2\n1\n$ pwd \\\n>   -P\n/srv/x\n```\n";
    assert_eq!(report(text), "");
    let failed = report("## A\n<!-- setup\nfalse\ntrue\n-->\n```console\n$ true\n```\n");
    assert!(failed.starts_with("A, line 2: setup"), "{failed}");
}
