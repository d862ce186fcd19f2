//! `.gitattributes`: lob reads a line as git itself does, which is asked; what is tracked is a lob to
//! git, and nothing that lob did not write changes.

use std::fs;
use std::path::Path;

use lob::git::Git;
use lob::git::attributes::{Attributes, FILE, is_lob, literal};

use super::input::Input;
use super::scratch;

/// Files that git is asked about.
const NAMES: [&[u8]; 9] = [
    b"a",
    b"b c",
    b"#d",
    b"\"e\"",
    b"!f",
    b"caf\xc3\xa9",
    b"g\\h",
    b"[i]",
    b"\x01\t",
];
const WORDS: [&[u8]; 22] = [
    b"filter=lob",
    b"filter=lob",
    b"filter=lfs",
    b"filter",
    b"-filter",
    b"!filter",
    b"filter=",
    b"-filter=lob",
    b"diff=lob",
    b"merge=lob",
    b"-text",
    b"-delta",
    b"binary",
    b"text=auto",
    b"=x",
    b"a!b",
    b"--x",
    b"[attr]m",
    b"x.y-1_z",
    b"lockable",
    b"\x0c",
    b"e\xc3\xa9",
];
const BLANKS: [&[u8]; 8] = [b" ", b" ", b"\t", b"  ", b"\r", b"\x0b", b"\x0c", b"\0"];
const ENDS: [&[u8]; 6] = [b"\n", b"\n", b"\r\n", b"\r\r\n", b" \n", b""];

/// Reads each line alone, then edits the file of all.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let dir = scratch::dir();
    repository(dir.path());
    let mut text = Vec::new();
    if input.byte().is_multiple_of(8) {
        text.extend(b"\xef\xbb\xbf");
    }
    for _ in 0..input.below(7) {
        line(&mut input, &mut text);
    }
    let mut questions = Questions::default();
    for (at, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        alone(dir.path(), at, line, &mut questions);
    }
    let tracked = edit(dir.path(), &text, &mut input);
    questions.ask(dir.path(), tracked);
}

/// The least that git takes for a repository.
fn repository(dir: &Path) {
    for inside in [".git", ".git/objects", ".git/refs"] {
        fs::create_dir(dir.join(inside)).expect("nothing is there");
    }
    fs::write(dir.join(".git/HEAD"), "ref: refs/heads/main\n").expect("nothing fails");
}

/// A line: mostly such as people and programs write.
fn line(input: &mut Input<'_>, text: &mut Vec<u8>) {
    match input.byte() % 16 {
        0 => text.extend(input.some(40)),
        1 => text.extend(b"#"),
        2 => text.extend(b" "),
        _ => {}
    }
    let name = input.pick(&NAMES);
    match input.byte() % 8 {
        0 => text.extend(input.some(8)),
        1 | 2 => text.extend([b"\"", name, b"\""].concat()),
        3 => text.extend(format!("\"\\{:03o}\"", name[0]).bytes()),
        _ => text.extend(name),
    }
    for _ in 0..input.below(6) {
        text.extend(input.pick(&BLANKS));
        text.extend(input.pick(&WORDS));
    }
    if input.byte() == 0xff {
        text.extend(b" x".repeat(input.below(1300)));
    }
    text.extend(input.pick(&ENDS));
}

/// What git is to be asked, and what lob takes for the answer.
#[derive(Default)]
struct Questions(Vec<(Vec<u8>, bool, String)>);

impl Questions {
    fn ask(&mut self, dir: &Path, more: Questions) {
        self.0.extend(more.0);
        if self.0.is_empty() {
            return;
        }
        let git = Git::elsewhere(dir).expect("git is installed");
        let git = git
            .with_env("GIT_DIR", dir.join(".git"))
            .with_env("GIT_WORK_TREE", dir)
            .with_env("GIT_CONFIG_NOSYSTEM", "1")
            .with_env("GIT_ATTR_NOSYSTEM", "1")
            .with_env("HOME", dir)
            .without_env("XDG_CONFIG_HOME");
        let paths = self.0.iter().map(|(path, ..)| path.as_slice());
        let answers = is_lob(&git, paths).expect("git answers");
        for ((path, expected, why), answer) in self.0.iter().zip(answers) {
            assert_eq!(answer, *expected, "{}: {why}", path.escape_ascii());
        }
    }
}

/// Whether a pattern matches a file of exactly its name, and no other.
fn is_plain(pattern: &[u8]) -> bool {
    !pattern.is_empty()
        && pattern != b"."
        && pattern != b".."
        && !pattern.iter().any(|byte| b"*?[\\/\0".contains(byte))
}

/// One line, in a directory of its own.
fn alone(dir: &Path, at: usize, line: &[u8], questions: &mut Questions) {
    let inside = dir.join(format!("line{at}"));
    fs::create_dir(&inside).expect("nothing is there");
    fs::write(inside.join(FILE), line).expect("nothing fails");
    let read = Attributes::open(&inside).expect("it is there");
    let patterns = read.patterns();
    assert!(patterns.len() <= 1);
    let pattern = patterns.first();
    if pattern.is_some_and(|pattern| !is_plain(pattern)) {
        return;
    }
    let names = NAMES.iter().map(|name| name.to_vec());
    for name in names.chain(pattern.cloned()) {
        let path = [format!("line{at}/").as_bytes(), &name].concat();
        let why = format!("the line is {:?}", line.escape_ascii().to_string());
        questions.0.push((path, pattern == Some(&name), why));
    }
}

/// Tracks and untracks in a file that says all that.
fn edit(dir: &Path, text: &[u8], input: &mut Input<'_>) -> Questions {
    let inside = dir.join("edited");
    fs::create_dir(&inside).expect("nothing is there");
    fs::write(inside.join(FILE), text).expect("nothing fails");
    let mut questions = Questions::default();
    let mut ask = |name: &[u8], expected, why: &str| {
        let path = [b"edited/", name].concat();
        questions.0.push((path, expected, why.to_owned()));
    };
    let (name, raw) = (input.pick(&NAMES), input.some(12));
    let pattern = match input.byte() % 4 {
        0 => raw.to_vec(),
        _ => literal(name),
    };
    let mut file = Attributes::open(&inside).expect("it is there");
    let patterns = file.patterns();
    match input.byte() % 3 {
        0 => {
            let changed = file.untrack(&pattern);
            assert!(!file.patterns().contains(&pattern), "it was untracked");
            assert_eq!(changed, patterns.contains(&pattern));
            assert!(!file.untrack(&pattern), "a second time");
        }
        _ => match file.track(&pattern) {
            Ok(changed) => {
                assert!(file.patterns().contains(&pattern), "it was tracked");
                assert_eq!(file.track(&pattern).ok(), Some(false), "a second time");
                file.save().expect("nothing fails");
                let after = fs::read(file.path()).expect("it was written");
                assert!(after.starts_with(text), "what was there has changed");
                let is_new = !patterns.contains(&pattern);
                if changed && is_new && pattern == literal(name) {
                    ask(name, true, "it was tracked");
                }
            }
            // Then nothing changed.
            Err(_) => assert_eq!(file.patterns(), patterns),
        },
    }
    file.save().expect("nothing fails");
    let again = Attributes::open(&inside).expect("it can be read");
    assert_eq!(again.patterns(), file.patterns());
    if again.patterns().is_empty() {
        NAMES
            .iter()
            .for_each(|name| ask(name, false, "nothing is tracked"));
    }
    questions
}
