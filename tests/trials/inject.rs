//! Real commands under strace, which kills lob or makes the system refuse at a call of our choice.
//!
//! What was injected is read from strace's log, never concluded from what was asked for: strace
//! counts calls for each thread by itself, and many a call that was asked for never comes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::support::{Run, run};

use super::scene::Scene;
use super::task::Task;

/// Calls that change something, or that hold something.
pub const CHANGES: &[&str] = &[
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "ftruncate",
    "fallocate",
    "copy_file_range",
    "utimensat",
    "fchmod",
    "flock",
];

/// Calls that only look.
pub const LOOKS: &[&str] = &[
    "openat",
    "openat2",
    "read",
    "pread64",
    "mmap",
    "munmap",
    "close",
    "statx",
    "newfstatat",
    "getdents64",
    "lseek",
    "clone3",
    "pipe2",
    "fcntl",
];

/// How long a command may take: it hangs, then.
const SECONDS: &str = "60";

/// Runs a program named `lob` as strace says, with all its threads; what it starts itself is let go of.
/// (`--seccomp-bpf` would be faster, but breaks `when=` for all but the first call: strace 6.1.)
const WRAPPER: &str = "\
#!/bin/sh
PATH=$LOB_PATH exec strace -f -b execve -qq -y -s 0 -o \"$LOB_TRACE/$$\" $LOB_STRACE lob \"$@\"
";

/// What strace saw of one command.
#[derive(Debug, Default)]
pub struct Trace {
    /// The log of each lob that was started.
    logs: Vec<String>,
}

impl Trace {
    /// How many processes of lob were killed.
    pub fn kills(&self) -> u64 {
        let killed = |log: &&String| log.contains("+++ killed by SIGKILL +++");
        self.logs.iter().filter(killed).count() as u64
    }

    /// How many errors were injected.
    pub fn errors(&self) -> u64 {
        let injected = |line: &&str| line.ends_with("(INJECTED)");
        self.lines().filter(injected).count() as u64
    }

    /// Whether the system refused to take what lob had to say.
    pub fn is_silenced(&self) -> bool {
        let said = |line: &str| line.contains(" write(2<") && line.ends_with("(INJECTED)");
        self.lines().any(said)
    }

    /// The files that were synced again, by the same process, after the system had refused to.
    pub fn synced_again(&self) -> Vec<String> {
        let mut again = Vec::new();
        for log in &self.logs {
            let mut failed = Vec::new();
            for line in log.lines() {
                if line.contains("O_EXCL") {
                    let made = line
                        .rsplit_once('<')
                        .and_then(|(_, rest)| rest.strip_suffix('>'));
                    failed.retain(|file| Some(*file) != made);
                }
                if !line.contains("sync(") {
                    continue;
                }
                let file = line
                    .split_once('<')
                    .and_then(|(_, rest)| rest.split_once('>'));
                let Some((file, _)) = file else { continue };
                // The names in a directory are written anew by whoever tries again.
                if failed.contains(&file) && !std::path::Path::new(file).is_dir() {
                    again.push(file.to_string());
                }
                if line.ends_with("(INJECTED)") {
                    failed.push(file);
                }
            }
        }
        again
    }

    /// All that was logged.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.logs.iter().flat_map(|log| log.lines())
    }

    /// How often the thread that did so most often made each call.
    pub fn calls(&self) -> BTreeMap<String, u32> {
        let mut counts: BTreeMap<(usize, &str, &str), u32> = BTreeMap::new();
        for (number, log) in self.logs.iter().enumerate() {
            for line in log.lines() {
                let Some((thread, rest)) = line.split_once(' ') else {
                    continue;
                };
                let rest = rest.trim_start();
                if let Some((call, _)) = rest.split_once('(')
                    && !call.contains(' ')
                {
                    *counts.entry((number, thread, call)).or_default() += 1;
                }
            }
        }
        let mut most = BTreeMap::new();
        for ((_, _, call), count) in counts {
            let known: &mut u32 = most.entry(call.to_string()).or_default();
            *known = count.max(*known);
        }
        most
    }
}

/// Whether this machine lets processes be traced.
pub fn is_allowed() -> bool {
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    *ALLOWED.get_or_init(|| {
        let probe = "strace -f -b execve -e inject=getcwd:error=EIO -o /dev/null true";
        run(std::process::Command::new("sh").args(["-c", probe]), b"").success
    })
}

/// Runs a task plainly.
pub fn plainly(scene: &Scene, task: &Task) -> Run {
    run(&mut timed(scene, task), b"")
}

/// Runs a task while strace does to every lob in it what `words`, its arguments, say.
pub fn traced(scene: &Scene, task: &Task, words: &str) -> (Run, Trace) {
    let (wrapper, logs) = places(scene);
    let mut command = timed(scene, task);
    let path = command.get_envs().find(|(name, _)| *name == "PATH");
    let path = path.and_then(|(_, path)| path).unwrap().to_os_string();
    let all = std::iter::once(wrapper).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(all).unwrap());
    command.env("LOB_PATH", path);
    command.env("LOB_TRACE", &logs).env("LOB_STRACE", words);
    let ran = run(&mut command, b"");
    let mut trace = Trace::default();
    for log in fs::read_dir(&logs).unwrap() {
        let path = log.unwrap().path();
        trace.logs.push(fs::read_to_string(&path).unwrap());
        fs::remove_file(path).unwrap();
    }
    (ran, trace)
}

/// How often a task makes each call when nobody kills it: the most that one thread does.
pub fn counts(scene: &Scene, task: &Task) -> BTreeMap<String, u32> {
    scene.restore(task);
    let all = [CHANGES, LOOKS].concat().join(",");
    let (ran, trace) = traced(scene, task, &format!("-e trace={all}"));
    assert!(ran.success, "{}: {ran:?}", task.name);
    let done = scene.is_done(task);
    done.unwrap_or_else(|fault| panic!("{}: {fault}", task.name));
    trace.calls()
}

/// All places where one of these calls is made: the call, and which of them.
pub fn points<'c>(counts: &BTreeMap<String, u32>, calls: &[&'c str]) -> Vec<(&'c str, u32)> {
    let each = calls.iter().flat_map(|&call| {
        let count = counts.get(call).copied().unwrap_or(0);
        (1..=count).map(move |n| (call, n))
    });
    each.collect()
}

/// So many of them, evenly.
pub fn some<P: Clone>(points: &[P], most: usize) -> Vec<P> {
    let count = most.min(points.len());
    let place = |i: usize| (2 * i + 1) * points.len() / (2 * count);
    (0..count).map(|i| points[place(i)].clone()).collect()
}

fn timed(scene: &Scene, task: &Task) -> std::process::Command {
    let mut command = scene.repo(task.repo).command("timeout");
    command.arg(SECONDS).args(task.words);
    command
}

/// The directory of the wrapper, and that of the logs; made where missing.
fn places(scene: &Scene) -> (PathBuf, PathBuf) {
    let wrapper = scene.world().path().join("wrapper");
    let logs = scene.world().path().join("logs");
    if !wrapper.exists() {
        fs::create_dir(&logs).unwrap();
        fs::create_dir(&wrapper).unwrap();
        // By another process: one that is started here meanwhile must not hold it open for writing.
        let script = "cat >wrapper/lob && chmod 755 wrapper/lob";
        run(
            scene.world().command("sh").args(["-c", script]),
            WRAPPER.as_bytes(),
        )
        .ok();
    }
    (wrapper, logs)
}
