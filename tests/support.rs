//! Real git and the real programs in a world of their own: a temporary home, an own global
//! configuration and nothing of the machine's.

#![allow(dead_code, reason = "the tests that need a part of it come and go")]

pub mod link;
pub mod proxy;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

const CONFIG: &str = "\
[user]
    name = A Tester
    email = tester@lob.test
[init]
    defaultBranch = main
[advice]
    detachedHead = false
[gc]
    auto = 0
";
const FILTER: &str = "\
[filter \"lob\"]
    process = lob filter-process
    clean = lob clean -- %f
    smudge = lob smudge -- %f
    required = true
";

/// A home in which repositories live. Removed with its last repository.
#[derive(Clone)]
pub struct World {
    dir: Arc<tempfile::TempDir>,
}

impl World {
    /// An empty home, whose global configuration sets the filter as `lob install` does.
    pub fn new() -> World {
        World::with_config(&[CONFIG, FILTER].concat())
    }

    /// An empty home where git knows nothing of lob.
    pub fn without_filter() -> World {
        World::with_config(CONFIG)
    }

    /// A home whose global configuration sets the filter, in memory where the machine has a place for
    /// that: for many short trials.
    pub fn in_memory() -> World {
        let shared = Path::new("/dev/shm");
        let place = match shared.is_dir() {
            true => shared.to_path_buf(),
            false => std::env::temp_dir(),
        };
        let dir = tempfile::tempdir_in(place).unwrap();
        World::at(dir, &[CONFIG, FILTER].concat())
    }

    fn with_config(config: &str) -> World {
        World::at(tempfile::tempdir().unwrap(), config)
    }

    fn at(dir: tempfile::TempDir, config: &str) -> World {
        fs::write(dir.path().join(".gitconfig"), config).unwrap();
        World { dir: Arc::new(dir) }
    }

    /// The directory that holds all of it.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A program that knows this world only, started in its directory.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("GIT_") || text.starts_with("LOB_") || text.starts_with("XDG_") {
                command.env_remove(&name);
            }
        }
        let programs = Path::new(env!("CARGO_BIN_EXE_lob")).parent().unwrap();
        let old = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(programs.to_path_buf()).chain(std::env::split_paths(&old));
        command
            .current_dir(self.path())
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", self.path())
            .env("GIT_CONFIG_GLOBAL", self.path().join(".gitconfig"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_EDITOR", "true")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Runs a program that must succeed; gives its stdout.
    #[track_caller]
    pub fn ok(&self, command: &mut Command) -> String {
        run(command, b"").ok()
    }

    /// A new repository.
    pub fn init(&self, name: &str) -> Repo {
        let path = self.path().join(name);
        self.ok(self.command("git").args(["init", "-q"]).arg(&path));
        self.repo(name)
    }

    /// A new bare repository.
    pub fn init_bare(&self, name: &str) -> Repo {
        let path = self.path().join(name);
        self.ok(self
            .command("git")
            .args(["init", "-q", "--bare"])
            .arg(&path));
        self.repo(name)
    }

    /// A bare repository `origin.git`, and a repository `work` that is set up for lob and has it as
    /// its remote.
    pub fn pair(&self) -> (Repo, Repo) {
        let (origin, work) = (self.init_bare("origin.git"), self.init("work"));
        work.lob(&["init"]);
        let url = origin.path.to_str().unwrap();
        work.git(&["remote", "add", "origin", url]);
        (origin, work)
    }

    /// A clone of `from`, with its work tree populated.
    #[track_caller]
    pub fn clone_of(&self, from: &Repo, name: &str) -> Repo {
        let path = self.path().join(name);
        self.ok(self
            .command("git")
            .args(["clone", "-q"])
            .arg(&from.path)
            .arg(&path));
        self.repo(name)
    }

    /// The repository that is already there under this name.
    pub fn repo(&self, name: &str) -> Repo {
        Repo {
            path: self.path().join(name),
            world: self.clone(),
        }
    }
}

/// One repository, and the programs run in it.
pub struct Repo {
    path: PathBuf,
    world: World,
}

impl Repo {
    /// Its directory: the top of the work tree, or the bare repository.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The home it lives in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// A program, to be started here.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.world.command(program);
        command.current_dir(&self.path);
        command
    }

    /// Runs git, which must succeed; gives its stdout.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        self.try_git(args).ok()
    }

    /// Runs git, however it ends.
    pub fn try_git(&self, args: &[&str]) -> Run {
        run(self.command("git").args(args), b"")
    }

    /// Runs lob, which must succeed; gives its stdout.
    #[track_caller]
    pub fn lob(&self, args: &[&str]) -> String {
        self.try_lob(args).ok()
    }

    /// Runs lob, however it ends.
    pub fn try_lob(&self, args: &[&str]) -> Run {
        run(self.command("lob").args(args), b"")
    }

    /// Writes a file of the work tree and the directories that it needs.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The bytes of a file of the work tree.
    #[track_caller]
    pub fn read(&self, path: &str) -> Vec<u8> {
        let path = self.path.join(path);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Appends to .gitattributes so that these patterns are kept by lob.
    pub fn track(&self, patterns: &[&str]) {
        let mut lines = fs::read(self.path.join(".gitattributes")).unwrap_or_default();
        for pattern in patterns {
            lines.extend(format!("{pattern} filter=lob diff=lob merge=lob -text\n").bytes());
        }
        self.write(".gitattributes", lines);
    }

    /// Commits all that is in the work tree.
    #[track_caller]
    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    /// What git stores for a path in a commit or in the index (`:path`).
    #[track_caller]
    pub fn stored(&self, object: &str) -> Vec<u8> {
        let run = self.try_git(&["cat-file", "blob", object]);
        assert!(run.success, "{run:?}");
        run.stdout
    }

    /// Fails unless `git status` finds the work tree as the index and HEAD have it.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert_eq!(
            self.git(&["status", "--porcelain"]),
            "",
            "the work tree is clean"
        );
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct Run {
    /// Whether its exit code was 0.
    pub success: bool,
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// What it printed as data.
    pub stdout: Vec<u8>,
    /// What it said.
    pub stderr: String,
}

impl Run {
    /// Its stdout as text; fails unless it succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        let stdout = String::from_utf8_lossy(&self.stdout).into_owned();
        assert!(
            self.success,
            "exit {:?}\nstdout: {stdout}\nstderr: {}",
            self.code, self.stderr
        );
        stdout
    }

    /// What it said; fails unless it succeeded.
    #[track_caller]
    pub fn ok_stderr(self) -> String {
        self.fails(0)
    }

    /// What it said; fails unless it ended with this code.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.stderr
    }
}

/// Runs a program with `input` as its stdin.
pub fn run(command: &mut Command, input: &[u8]) -> Run {
    let stdin = if input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // A program that stops reading before the end is judged by its exit code.
        scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(input)));
        child.wait_with_output().unwrap()
    });
    Run {
        success: output.status.success(),
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a script where it may mount what it likes, unseen by everybody else. `None`, and said aloud,
/// on machines that do not let it.
pub fn mounting(repo: &Repo, script: &str) -> Option<Run> {
    static ALLOWED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let unshare = |command: &mut Command, script: &str| {
        let words = ["-Urm", "sh", "-ec", script];
        run(command.args(words), b"")
    };
    let allowed = *ALLOWED.get_or_init(|| {
        let here = repo.path().to_str().unwrap();
        let probe = format!("mount -t tmpfs none '{here}' && mount -o remount,size=1m '{here}'");
        let has_it = run(Command::new("sh").args(["-c", "command -v unshare"]), b"").success;
        has_it && unshare(&mut repo.command("unshare"), &probe).success
    });
    if !allowed {
        skip("no mounts for users on this machine");
        return None;
    }
    Some(unshare(&mut repo.command("unshare"), script))
}

/// Says aloud that a test does not run here.
pub fn skip(why: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not by the macro, whose words only a failure shows.
    let told = format!("SKIPPED {name}: {why}\n");
    std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes()).unwrap();
}

/// What git stores for a file of this content.
pub fn pointer(content: &[u8]) -> String {
    let (id, size) = (lob_store::LobId::of(content), content.len());
    format!("version git-lob/2\noid blake3:{id}\nsize {size}\n")
}

/// Changes a bit in the middle of each pack of a store.
pub fn damage_packs(store: &Path) {
    for entry in fs::read_dir(store.join("packs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "pack") {
            let mut bytes = fs::read(&path).unwrap();
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes).unwrap();
        }
    }
}

/// `len` bytes that do not compress and are the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

#[test]
fn git_alone_works_in_the_world() {
    let world = World::without_filter();
    let repo = world.init("repo");
    repo.write("dir/a b.bin", noise(1, 100));
    repo.commit("First");
    let clone = world.clone_of(&repo, "clone");
    assert_eq!(clone.read("dir/a b.bin"), repo.stored("HEAD:dir/a b.bin"));
    clone.assert_clean();
    let stderr = clone.try_git(&["show", "no-such"]).fails(128);
    assert!(stderr.contains("no-such"), "{stderr}");
    assert!(
        world
            .ok(world.command("lob").arg("--version"))
            .starts_with("lob ")
    );
}
