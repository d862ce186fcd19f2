//! The files of the project.

use std::fs;
use std::path::PathBuf;

/// A file of the project that is text.
pub struct Source {
    /// Relative to the top, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl Source {
    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it is part of what is shipped, and not of its tests.
    pub fn is_shipped(&self) -> bool {
        self.is_rust()
            && ["src/", "store/src/"]
                .iter()
                .any(|top| self.path.starts_with(top))
            && !is_test_module(&self.path)
    }

    /// The lines of code with their numbers, without the unit tests at the end and without
    /// comments that have a line of their own.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.test_start();
        let lines = self.text.lines().enumerate().take(end);
        lines
            .map(|(at, line)| (at + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The part of the text that is tests.
    pub fn tests(&self) -> String {
        let start = if self.is_shipped() {
            self.test_start()
        } else {
            0
        };
        self.text
            .lines()
            .skip(start)
            .fold(String::new(), |all, line| all + line + "\n")
    }

    /// The index of the line at which the unit tests begin, or the number of lines.
    fn test_start(&self) -> usize {
        let lines: Vec<_> = self.text.lines().collect();
        let starts = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].ends_with('{');
        lines.windows(2).position(starts).unwrap_or(lines.len())
    }
}

/// Whether a file below `src` is compiled for tests only, by its name.
fn is_test_module(path: &str) -> bool {
    let stem = path
        .trim_end_matches(".rs")
        .rsplit('/')
        .next()
        .unwrap_or_default();
    matches!(stem, "tests" | "fixture") || stem.ends_with("_tests") || path.contains("/tests/")
}

/// The top of the project.
pub fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the project that git would track, with its length.
pub fn files() -> Vec<(String, PathBuf, u64)> {
    let mut files = Vec::new();
    let walk = ignore::WalkBuilder::new(top())
        .hidden(false)
        .require_git(false)
        .build();
    for entry in walk {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(top()).unwrap();
        let name = path
            .to_str()
            .expect("our own file names are UTF-8")
            .replace('\\', "/");
        if entry.file_type().is_some_and(|kind| kind.is_file()) && !name.starts_with(".git/") {
            files.push((
                name,
                entry.path().to_path_buf(),
                entry.metadata().unwrap().len(),
            ));
        }
    }
    files.sort();
    assert!(
        files.iter().any(|(name, ..)| name == "src/lib.rs"),
        "the walk finds the sources"
    );
    files
}

/// Every file that is text.
pub fn sources() -> Vec<Source> {
    let is_text = |name: &str| {
        ["rs", "md", "toml", "sh", "py"]
            .iter()
            .any(|end| name.ends_with(&format!(".{end}")))
            || name == ".ci/run"
    };
    let files = files().into_iter().filter(|(name, ..)| is_text(name));
    files
        .map(|(path, file, _)| Source {
            path,
            text: fs::read_to_string(file).unwrap(),
        })
        .collect()
}

/// Those that are Rust.
pub fn rust() -> Vec<Source> {
    sources().into_iter().filter(Source::is_rust).collect()
}
