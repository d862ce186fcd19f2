//! The same over real connections: HTTP, TLS, and ssh with a real server of it.

#[cfg(unix)]
mod care;
#[cfg(unix)]
mod daily;
mod differences;
mod far;
#[cfg(unix)]
pub mod ssh;
mod tokens;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lob::git::Git;
use lob::remote::http::ssh::{Program, Ssh};
use lob::remote::http::{HttpPlace, Means, Network, Patience};
use lob::wire::Exchange;

use crate::support::World;

/// What a server's access log says of the requests of one verb.
fn logged(log: &Path, verb: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &serde_json::Value| line["what"] == verb)
        .collect()
}

/// A `lob serve` that listens; it is told to stop with the test.
pub struct Serving {
    child: Child,
    pub address: SocketAddr,
}

impl Serving {
    /// Serves what is below `root`, with more options.
    pub fn start(world: &World, root: &Path, options: &[&str]) -> Serving {
        let mut command = world.command("lob");
        command.args(["--json", "serve", "--listen", "127.0.0.1:0", "--root"]);
        command.arg(root).args(options);
        Serving::run(&mut command)
    }

    /// Runs a command that prints where it serves.
    pub fn run(command: &mut Command) -> Serving {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            let mut said = String::new();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut said)
                .unwrap();
            panic!("it does not serve: {line}{said}")
        });
        assert_eq!(event["event"], "serving");
        let address = event["address"].as_str().unwrap().parse().unwrap();
        Serving { child, address }
    }

    pub fn url(&self, repository: &str) -> String {
        format!("http://{}/{repository}", self.address)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has used, in KiB.
    #[cfg(target_os = "linux")]
    pub fn peak(&self) -> u64 {
        peak(self.id()).unwrap()
    }

    /// Asks it to end, and waits until it has.
    #[cfg(unix)]
    pub fn stop(mut self) -> Option<i32> {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The most memory that a process has used, in KiB; `None` where it has ended.
#[cfg(target_os = "linux")]
pub fn peak(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Limits with which a test that lets a limit pass is over soon.
pub fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(10),
        first_byte: Duration::from_secs(10),
        stall: Duration::from_secs(10),
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(10),
        budget: Duration::from_secs(20),
    }
}

pub fn means(world: &World, patience: Patience) -> Means {
    let git = Git::elsewhere(world.path()).unwrap();
    Means {
        git: git.with_env("HOME", world.path()),
        patience,
        own: Default::default(),
        roots: None,
        proxy: None,
        ssh: Ssh {
            program: Program::Ssh("ssh".into()),
            may_ask: false,
        },
    }
}

pub fn over_http(url: &str, means: Means) -> Arc<dyn Exchange> {
    let place = HttpPlace::parse(url).unwrap();
    Arc::new(Network::over_http(&place, means).unwrap())
}

/// A certificate for this machine, and its key.
pub fn certificate(dir: &Path) -> [PathBuf; 2] {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let files = ["cert.pem", "key.pem"].map(|name| dir.join(name));
    std::fs::write(&files[0], made.cert.pem()).unwrap();
    std::fs::write(&files[1], made.signing_key.serialize_pem()).unwrap();
    files
}
