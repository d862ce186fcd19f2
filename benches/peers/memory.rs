//! The peak memory of programs, from /proc.
//!
//! The kernel keeps the high-water mark of every process (`VmHWM`), so a look every few
//! milliseconds misses only what a process grew by after the last look at it, and processes that
//! lived shorter than that. Pages of mapped files count while they are mapped in.

use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(10);

/// Watches a process and its descendants until it is asked for the peak.
pub struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Option<u64>>,
}

impl Watch {
    /// Begins to watch those of these programs that `root` is or starts.
    pub fn start(root: u32, programs: &'static [&'static str]) -> Watch {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut peak = None;
            loop {
                peak = peak.max(look(root, programs));
                if stopped.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                    return peak;
                }
            }
        });
        Watch { stop, thread }
    }

    /// The largest number of bytes that one of the processes had in memory; none if none was seen.
    pub fn peak(self) -> Option<u64> {
        drop(self.stop);
        self.thread.join().ok().flatten()
    }
}

/// The largest high-water mark among the programs at this moment.
fn look(root: u32, programs: &[&str]) -> Option<u64> {
    let mut peak = None;
    let mut open = vec![root];
    while let Some(process) = open.pop() {
        if let Ok(status) = fs::read_to_string(format!("/proc/{process}/status")) {
            peak = peak.max(high_water(&status, programs));
        }
        open.extend(children(process));
    }
    peak
}

/// The high-water mark in bytes, if the process runs one of the programs.
fn high_water(status: &str, programs: &[&str]) -> Option<u64> {
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)
    };
    programs.contains(&field("Name:")?).then_some(())?;
    let kib: u64 = field("VmHWM:")?.parse().ok()?;
    Some(kib * 1024)
}

/// The processes that any thread of this one started.
fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            let ids = list.split_whitespace().map(str::parse);
            ids.flatten().collect::<Vec<_>>()
        })
        .collect()
}
