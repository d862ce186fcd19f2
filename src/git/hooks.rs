//! The hooks that lob sets in a repository, beside those of others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{GitError, Result};
use super::path::path_buf;
use super::repo::Repo;
use super::rewrite;

/// Raised whenever a script changes.
const VERSION: u32 = 1;
const MARKER: &[u8] = b"# lob hook, version ";
/// What a hook of others is called after it was replaced.
const SAVED: &str = ".before-lob";

/// A hook that lob needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// Pushes the lobs before git pushes the commits that need them.
    PrePush,
    /// Puts files in the place of pointers after a checkout.
    PostCheckout,
    /// The same after a merge or a pull.
    PostMerge,
}

impl Hook {
    /// All of them.
    pub const ALL: [Hook; 3] = [Hook::PrePush, Hook::PostCheckout, Hook::PostMerge];

    /// Git's name for it, and the name of its file.
    pub const fn name(self) -> &'static str {
        match self {
            Hook::PrePush => "pre-push",
            Hook::PostCheckout => "post-checkout",
            Hook::PostMerge => "post-merge",
        }
    }

    /// The line that does the same in a hook of others.
    pub fn line(self) -> String {
        match self {
            // Without lob on PATH this fails too: objects before refs.
            Hook::PrePush => "lob hook pre-push \"$@\" || exit".into(),
            Hook::PostCheckout | Hook::PostMerge => format!("lob hook {} \"$@\"", self.name()),
        }
    }

    /// The whole script. Where lob is missing a push stops, as its lobs would be missing on the
    /// other side, and the others only say so: git has done its work already.
    fn script(self) -> String {
        let name = self.name();
        let (loss, code) = match self {
            Hook::PrePush => ("nothing was pushed", 2),
            Hook::PostCheckout | Hook::PostMerge => ("some files may still be pointers", 0),
        };
        let marker = String::from_utf8_lossy(MARKER);
        format!(
            "#!/bin/sh\n\
            {marker}{VERSION}: 'lob init' renews it and 'lob uninstall' removes it\n\
            command -v lob >/dev/null 2>&1 || {{\n\
            \x20   echo >&2 \"lob is not on PATH: {loss}. Install lob, or remove this hook: $0\"\n\
            \x20   exit {code}\n\
            }}\n\
            exec lob hook {name} \"$@\"\n"
        )
    }
}

/// What is in the place of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Missing,
    /// Lob's script.
    Ours,
    /// Lob's script as an older lob wrote it, or one that git can't run.
    OursOlder,
    /// Somebody else's hook that calls lob.
    Calls,
    /// Somebody else's hook.
    Foreign,
}

impl State {
    /// Whether git calls lob at this hook.
    pub fn works(self) -> bool {
        matches!(self, State::Ours | State::Calls)
    }
}

/// Where git looks for the hooks of a repository.
#[derive(Debug, Clone)]
pub struct Hooks {
    dir: PathBuf,
    shared: bool,
}

impl Hooks {
    /// Asks git, which minds `core.hooksPath`; one process.
    pub fn of(repo: &Repo) -> Result<Hooks> {
        // An older git prints a path that is relative to its own directory.
        let path = repo.git().line(["rev-parse", "--git-path", "hooks"])?;
        let dir = repo.git().dir().join(path_buf(&path));
        let real = dir.canonicalize().unwrap_or_else(|_| dir.clone());
        let within = |place: &Path| {
            let place = place.canonicalize().unwrap_or_else(|_| place.to_path_buf());
            real.starts_with(place)
        };
        let shared = !within(repo.common_dir()) && !repo.work_tree().is_some_and(within);
        Ok(Hooks { dir, shared })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is in the place of a hook.
    pub fn state(&self, hook: Hook) -> Result<State> {
        let path = self.path(hook);
        if let Err(error) = path.symlink_metadata() {
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(State::Missing),
                _ => Err(GitError::at(&path)(error)),
            };
        }
        let Ok(text) = rewrite::read(&path.canonicalize().unwrap_or_else(|_| path.clone())) else {
            return Ok(State::Foreign);
        };
        let state = classify(hook, &text);
        let runs = is_executable(&path);
        Ok(match state {
            State::Ours if !runs => State::OursOlder,
            // Git skips a hook that it can't run.
            State::Calls if !runs => State::Foreign,
            state => state,
        })
    }

    /// Sets all hooks, and says which of them changed. Refuses, before it changes any, where a hook
    /// of somebody else would have to go, unless `force`: then that one is kept under a name that
    /// ends in `.before-lob`. Refuses in any case where the directory is not this repository's alone.
    pub fn install(&self, force: bool) -> Result<Vec<Hook>> {
        let mut wanted = Vec::new();
        for hook in Hook::ALL {
            let state = self.state(hook)?;
            match state {
                State::Ours | State::Calls => continue,
                State::Foreign if !force && !self.shared => return Err(self.foreign(hook)),
                State::Missing | State::OursOlder | State::Foreign => wanted.push((hook, state)),
            }
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(place) = self.not_ours() {
            let hooks = wanted.iter().map(|&(hook, _)| hook).collect();
            return Err(self.elsewhere(place, hooks));
        }
        let foreign = wanted.iter().filter(|(_, state)| *state == State::Foreign);
        for (hook, _) in foreign.clone() {
            let saved = self.saved(*hook);
            if saved.symlink_metadata().is_ok() {
                return Err(GitError::Saved(saved));
            }
        }
        fs::create_dir_all(&self.dir).map_err(GitError::at(&self.dir))?;
        for &(hook, _) in foreign {
            let path = self.path(hook);
            fs::rename(&path, self.saved(hook)).map_err(GitError::at(&path))?;
        }
        for &(hook, _) in &wanted {
            rewrite::write(&self.path(hook), hook.script().as_bytes(), true)?;
        }
        Ok(wanted.into_iter().map(|(hook, _)| hook).collect())
    }

    /// Removes lob's scripts and no others, brings back what they replaced, and says which changed.
    pub fn uninstall(&self) -> Result<Vec<Hook>> {
        let mut removed = Vec::new();
        for hook in Hook::ALL {
            if !matches!(self.state(hook)?, State::Ours | State::OursOlder) {
                continue;
            }
            let (path, saved) = (self.path(hook), self.saved(hook));
            let gone = match saved.symlink_metadata() {
                Ok(_) => fs::rename(&saved, &path),
                Err(_) => fs::remove_file(&path),
            };
            gone.map_err(GitError::at(&path))?;
            removed.push(hook);
        }
        Ok(removed)
    }

    fn path(&self, hook: Hook) -> PathBuf {
        self.dir.join(hook.name())
    }

    fn saved(&self, hook: Hook) -> PathBuf {
        self.dir.join(format!("{}{SAVED}", hook.name()))
    }

    /// Why nothing may be written to the directory.
    fn not_ours(&self) -> Option<&'static str> {
        let is_husky = self.dir.ends_with(".husky/_");
        let is_file = self.dir.exists() && !self.dir.is_dir();
        match () {
            () if is_file => Some("which is no directory: hooks are switched off"),
            () if self.shared => Some("which is not this repository's alone"),
            () if is_husky => Some("which husky writes anew at will"),
            () => None,
        }
    }

    fn foreign(&self, hook: Hook) -> GitError {
        GitError::ForeignHook {
            path: self.path(hook),
            line: hook.line(),
        }
    }

    fn elsewhere(&self, why: &'static str, hooks: Vec<Hook>) -> GitError {
        let lines: Vec<_> = hooks
            .into_iter()
            .map(|hook| (hook.name(), hook.line()))
            .collect();
        GitError::HooksElsewhere {
            dir: self.dir.clone(),
            why,
            lines,
        }
    }
}

fn classify(hook: Hook, text: &[u8]) -> State {
    if text == hook.script().as_bytes() {
        return State::Ours;
    }
    let mut lines = text.split(|&byte| byte == b'\n');
    let version = lines.nth(1).and_then(|line| line.strip_prefix(MARKER));
    let digits = version.and_then(|rest| rest.split(|byte| !byte.is_ascii_digit()).next());
    let version = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
    match version {
        Some(version) if version < VERSION => return State::OursOlder,
        // A later lob wrote it and knows better.
        Some(version) if version > VERSION => return State::Ours,
        // Lob's own, and somebody added to it: now it is theirs.
        _ => {}
    }
    let call = format!("lob hook {}", hook.name());
    let calls = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        line.contains(&call) && !line.trim_start().starts_with('#')
    };
    match text.split(|&byte| byte == b'\n').any(calls) {
        true => State::Calls,
        false => State::Foreign,
    }
}

fn is_executable(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = path.metadata().map(|meta| meta.permissions().mode());
        mode.is_ok_and(|mode| mode & 0o100 != 0)
    }
    #[cfg(not(unix))]
    {
        path.exists()
    }
}

#[cfg(test)]
mod tests;
