//! Where and of what the figures are.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

/// The machine, the time, and the source that was built.
#[derive(Debug, serde::Serialize)]
pub struct Machine {
    /// The model of the processor.
    pub processor: String,
    /// How many threads it runs at once.
    pub cores: usize,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// The operating system and its version.
    pub system: String,
    /// Seconds since 1970.
    pub time: u64,
    /// The commit of the source, with a `+` if it was changed.
    pub commit: String,
}

impl Machine {
    /// This machine, now.
    pub fn look() -> Machine {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let system = format!("{} {}", std::env::consts::OS, release.trim());
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Machine {
            processor: value("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: memory(),
            system: system.trim().to_owned(),
            time: time.map_or(0, |time| time.as_secs()),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

fn memory() -> Option<u64> {
    let text = value("/proc/meminfo", "MemTotal")?;
    let kib: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// The first value of this name in a file of lines `name: value`.
fn value(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    let (_, value) = line.split_once(':')?;
    Some(value.trim().to_owned())
}

fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(env!("CARGO_MANIFEST_DIR"))
            .args(args)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() {
        commit
    } else {
        commit + "+"
    })
}
