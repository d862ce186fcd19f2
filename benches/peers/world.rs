//! Where one tool goes through one workload: a home of its own, a work tree, a remote, a clone.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Explain, Failure};
use crate::step;

const CONFIG: &str = "\
[user]
    name = A Measurer
    email = measurer@lob.test
[init]
    defaultBranch = main
[advice]
    detachedHead = false
[gc]
    auto = 0
[maintenance]
    auto = false
[protocol \"file\"]
    allow = always
";

/// Settings of the user that must not reach what is measured.
const FOREIGN: [&str; 5] = ["GIT_", "LOB_", "XDG_", "RESTIC_", "BORG_"];

/// A directory with everything in it.
pub struct World {
    root: PathBuf,
    remote: PathBuf,
}

impl World {
    /// Makes the directory and the parts that are there from the beginning. The remote is the
    /// tool's to make, and is not always on the same disk.
    pub fn new(root: &Path, remote: &Path) -> Result<World, Failure> {
        let world = World {
            root: root.to_path_buf(),
            remote: remote.to_path_buf(),
        };
        for dir in ["home", "tree", "clone", "notes", "tmp"] {
            let dir = root.join(dir);
            fs::create_dir_all(&dir).because(format_args!("cannot make {}", dir.display()))?;
        }
        fs::write(world.home().join(".gitconfig"), CONFIG).because("cannot write .gitconfig")?;
        Ok(world)
    }

    /// The home directory.
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// The work tree.
    pub fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    /// The repository or store that it is pushed to.
    pub fn remote(&self) -> PathBuf {
        self.remote.clone()
    }

    /// An empty directory for what comes back from the remote.
    pub fn clone(&self) -> PathBuf {
        self.root.join("clone")
    }

    /// Where the programs' talk goes.
    pub fn notes(&self) -> PathBuf {
        self.root.join("notes")
    }

    /// A program that knows this world only.
    pub fn command(&self, dir: &Path, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if FOREIGN.iter().any(|start| text.starts_with(start)) {
                command.env_remove(&name);
            }
        }
        command
            .args(args)
            .current_dir(dir)
            .env("PATH", search_path())
            .env("HOME", self.home())
            .env("TMPDIR", self.root.join("tmp"))
            .env("GIT_CONFIG_GLOBAL", self.home().join(".gitconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("RESTIC_PASSWORD", "measured")
            .env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes")
            .env("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Runs a program that must succeed and is not measured; gives its stdout.
    pub fn run(&self, dir: &Path, program: &str, args: &[&str]) -> Result<String, Failure> {
        step::output(&mut self.command(dir, program, args), &self.notes())
    }
}

/// The programs of this machine, after the lob that was built with this benchmark.
fn search_path() -> std::ffi::OsString {
    let lob = Path::new(env!("CARGO_BIN_EXE_lob"));
    let own = lob.parent().map(Path::to_path_buf);
    let old = std::env::var_os("PATH").unwrap_or_default();
    let all = own.into_iter().chain(std::env::split_paths(&old));
    std::env::join_paths(all).unwrap_or(old)
}

/// A path as an argument: the places that are measured have names in UTF-8.
pub fn text(path: &Path) -> String {
    let path: &OsStr = path.as_ref();
    path.to_string_lossy().into_owned()
}
