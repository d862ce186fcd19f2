//! All rules about lobs in a work tree, wherever they stand.

use std::path::{Path, PathBuf};

use super::FILE;
use super::line::Line;
use crate::git::error::Result;
use crate::git::path::path_buf;
use crate::git::repo::Repo;
use crate::git::rewrite;

/// One line of attributes that says something about `filter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The file that holds it: relative to the top of the work tree, or absolute outside of it.
    pub file: PathBuf,
    /// The number of the line, from 1.
    pub line: usize,
    /// The pattern, relative to the directory of the file.
    pub pattern: Vec<u8>,
    /// Whether it makes lobs; otherwise it sets another filter, or takes one away.
    pub is_lob: bool,
}

/// The rules of all `.gitattributes` files, tracked or not, and of `info/attributes`, in the order
/// in which later ones win over earlier ones. A file that can't be read says nothing.
pub fn list(repo: &Repo) -> Result<Vec<Rule>> {
    let mut rules = Vec::new();
    if let Some(top) = repo.work_tree() {
        let words = [
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
        ];
        let glob = format!(":(top,glob)**/{FILE}");
        let answer = repo
            .git()
            .output(words.into_iter().chain([glob.as_str()]))?;
        let mut files: Vec<_> = answer
            .split(|&byte| byte == 0)
            .filter(|f| !f.is_empty())
            .collect();
        // The deeper file wins; a path that is unmerged is listed once for each stage.
        files.sort_by_key(|file| (file.iter().filter(|&&byte| byte == b'/').count(), *file));
        files.dedup();
        for file in files.into_iter().map(path_buf) {
            read(&top.join(&file), &file, &mut rules);
        }
    }
    let info = repo.common_dir().join("info/attributes");
    read(&info, &info, &mut rules);
    Ok(rules)
}

fn read(path: &Path, name: &Path, rules: &mut Vec<Rule>) {
    let text = rewrite::read(path).unwrap_or_default();
    for (at, line) in Line::all(&text).iter().enumerate() {
        if let Some(pattern) = line.pattern().filter(|_| line.names("filter")) {
            rules.push(Rule {
                file: name.to_path_buf(),
                line: at + 1,
                pattern: pattern.to_vec(),
                is_lob: line.has("filter=lob"),
            });
        }
    }
}
