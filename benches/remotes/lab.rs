//! A directory with repositories, a home of their own, and a server.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

const CONFIG: &str = "\
[user]
    name = A Measurer
    email = measurer@lob.test
[init]
    defaultBranch = main
[gc]
    auto = 0
[maintenance]
    auto = false
[filter \"lob\"]
    process = lob filter-process
    clean = lob clean -- %f
    smudge = lob smudge -- %f
    required = true
";

/// How much of what a failed program said is shown.
const SAID: usize = 1000;

/// A home, and what is below it.
pub struct Lab(tempfile::TempDir);

/// A repository with large files in one commit, and a bare one that has the commit and no content.
pub struct Work {
    pub dir: PathBuf,
    bare: PathBuf,
    files: Vec<(String, u64)>,
    /// Bytes of its files.
    pub bytes: u64,
}

/// A `lob serve` that listens, and ends with this.
pub struct Served {
    child: Child,
    pub address: SocketAddr,
    root: PathBuf,
}

/// The shortest and the middle of some times, in seconds.
pub struct Timed {
    pub best: f64,
    pub median: f64,
}

impl Timed {
    pub fn of(times: &mut [Duration]) -> Timed {
        times.sort_unstable();
        let at = |n: usize| times.get(n).map_or(f64::NAN, Duration::as_secs_f64);
        Timed {
            best: at(0),
            median: at(times.len() / 2),
        }
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s (best {:.3})", self.median, self.best)
    }
}

impl Served {
    /// The directory of a store.
    pub fn store(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lab {
    pub fn new(above: &Path) -> Result<Lab, Failure> {
        let dir = tempfile::Builder::new()
            .prefix("lob-remotes-")
            .tempdir_in(above)?;
        fs::create_dir(dir.path().join("home"))?;
        fs::write(dir.path().join("home/.gitconfig"), CONFIG)?;
        Ok(Lab(dir))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A program that knows this home only, and the lob that was built with this.
    pub fn command(&self, dir: &Path, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("GIT_") || text.starts_with("LOB_") {
                command.env_remove(&name);
            }
        }
        let built = Path::new(env!("CARGO_BIN_EXE_lob")).parent();
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", built.unwrap_or(Path::new("/")).display());
        command
            .args(args)
            .current_dir(dir)
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LOB_PROGRESS", "off")
            .stdin(Stdio::null());
        command
    }

    /// Runs what must succeed; returns how long it took.
    pub fn run(&self, dir: &Path, program: &str, args: &[&str]) -> Result<Duration, Failure> {
        let began = Instant::now();
        let done = self.command(dir, program, args).output()?;
        let took = began.elapsed();
        match done.status.success() {
            true => Ok(took),
            false => {
                let said = String::from_utf8_lossy(&done.stderr);
                let said: String = said.chars().take(SAID).collect();
                Err(format!("{program} {}: {said}", args.join(" ")).into())
            }
        }
    }

    /// Files of noise, of these lengths, in a commit.
    pub fn work(&self, files: &[(String, u64)]) -> Result<Work, Failure> {
        let (dir, bare) = (self.path("work"), self.path("bare.git"));
        fs::create_dir(&dir)?;
        let git = |args: &[&str]| self.run(&dir, "git", args);
        git(&["init", "-q"])?;
        self.run(&dir, "lob", &["-q", "init"])?;
        self.run(&dir, "lob", &["-q", "track", "*.bin"])?;
        write_files(&dir, files, 0)?;
        git(&["add", "-A"])?;
        git(&["commit", "-q", "-m", "one"])?;
        let (from, to) = (text(&dir)?, text(&bare)?);
        // The commit alone: what is measured is where its content goes.
        self.run(self.0.path(), "git", &["clone", "-q", "--bare", from, to])?;
        Ok(Work {
            dir,
            bare,
            files: files.to_vec(),
            bytes: files.iter().map(|(_, len)| len).sum(),
        })
    }

    /// Serves a directory in which everybody may add.
    pub fn serve(&self) -> Result<Served, Failure> {
        let root = self.path("served");
        fs::create_dir_all(&root)?;
        let root_text = text(&root)?;
        let listen = ["--listen", "127.0.0.1:0", "--anonymous", "append"];
        let args = [&["--json", "serve", "--root", root_text], &listen[..]].concat();
        let mut command = self.command(&root, "lob", &args);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.as_mut().ok_or("no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let event: serde_json::Value = serde_json::from_str(&line)?;
        let address = event["address"].as_str().ok_or("it does not serve")?;
        Ok(Served {
            child,
            address: address.parse()?,
            root,
        })
    }

    /// A push of all to a store that is not there yet.
    pub fn push(&self, work: &Work, place: &str) -> Result<Duration, Failure> {
        self.settle()?;
        self.run(&work.dir, "lob", &["-q", "push", place])
    }

    /// A clone with its checkout, with the content from that store.
    pub fn clone_of(&self, work: &Work, place: &str) -> Result<Duration, Failure> {
        let clone = self.path("clone");
        let (bare, to, url) = (text(&work.bare)?, text(&clone)?, format!("lob.url={place}"));
        self.settle()?;
        let took = self.run(self.0.path(), "git", &["-c", &url, "clone", "-q", bare, to])?;
        same(&work.dir, &clone, &work.files)?;
        fs::remove_dir_all(&clone)?;
        Ok(took)
    }

    /// A repository of git-lfs with as many files as another.
    pub fn lfs_work(&self, work: &Work, seed: u64) -> Result<PathBuf, Failure> {
        let dir = self.path("lfs");
        fs::create_dir(&dir)?;
        let git = |args: &[&str]| self.run(&dir, "git", args);
        git(&["init", "-q"])?;
        git(&["lfs", "install", "--local"])?;
        git(&["lfs", "track", "*.bin"])?;
        write_files(&dir, &work.files, seed)?;
        git(&["add", "-A"])?;
        git(&["commit", "-q", "-m", "one"])?;
        git(&["init", "-q", "--bare", "lfs.git"])?;
        git(&["remote", "add", "origin", text(&dir.join("lfs.git"))?])?;
        Ok(dir)
    }

    /// A push of its content.
    pub fn lfs_push(&self, dir: &Path, endpoint: &str) -> Result<Duration, Failure> {
        self.settle()?;
        let url = format!("lfs.url={endpoint}");
        self.run(dir, "git", &["-c", &url, "lfs", "push", "--all", "origin"])
    }

    /// A clone with its checkout.
    pub fn lfs_clone(&self, dir: &Path, endpoint: &str) -> Result<Duration, Failure> {
        // Its commits go without its hooks, which would look for the content.
        let commit = ["push", "-q", "--no-verify", "origin", "HEAD"];
        self.run(dir, "git", &commit)?;
        self.settle()?;
        let clone = self.path("clone");
        let url = format!("lfs.url={endpoint}");
        let filters = [
            "-c",
            "filter.lfs.process=git-lfs filter-process",
            "-c",
            "filter.lfs.smudge=git-lfs smudge -- %f",
            "-c",
            "filter.lfs.clean=git-lfs clean -- %f",
            "-c",
            "filter.lfs.required=true",
        ];
        let origin = dir.join("lfs.git");
        let rest = ["-c", &url, "clone", "-q", text(&origin)?, text(&clone)?];
        let took = self.run(self.0.path(), "git", &[&filters, &rest[..]].concat())?;
        let files = fs::read_dir(dir.join("many"))?.count();
        let came = fs::read_dir(clone.join("many"))?.flatten();
        let whole = came.filter(|entry| entry.metadata().is_ok_and(|meta| meta.len() > 1024));
        if whole.count() != files {
            return Err("git-lfs did not bring all files".into());
        }
        fs::remove_dir_all(&clone)?;
        Ok(took)
    }

    /// Removes what was made for one run.
    pub fn forget<P: AsRef<Path>>(&self, dirs: &[P]) -> Result<(), Failure> {
        for dir in dirs {
            fs::remove_dir_all(dir)?;
        }
        Ok(())
    }

    /// Waits until what was written is on the disk.
    fn settle(&self) -> Result<(), Failure> {
        self.run(self.0.path(), "sync", &[]).map(drop)
    }
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| "not a path of text".into())
}

fn write_files(dir: &Path, files: &[(String, u64)], seed: u64) -> Result<(), Failure> {
    for (number, (name, len)) in files.iter().enumerate() {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().ok_or("no directory")?)?;
        let mut noise = blake3::Hasher::new();
        noise.update(&[seed, number as u64].map(u64::to_le_bytes).concat());
        let mut noise = noise.finalize_xof().take(*len);
        std::io::copy(&mut noise, &mut File::create(path)?)?;
    }
    Ok(())
}

/// Fails unless the files of a clone are those of its source.
fn same(one: &Path, other: &Path, files: &[(String, u64)]) -> Result<(), Failure> {
    for (name, _) in files {
        let (mut one, mut other) = (
            BufReader::new(File::open(one.join(name))?),
            BufReader::new(File::open(other.join(name))?),
        );
        loop {
            let (left, right) = (one.fill_buf()?, other.fill_buf()?);
            let len = left.len().min(right.len());
            if left[..len] != right[..len] || (len == 0 && left.len() != right.len()) {
                return Err(format!("{name} came back as another").into());
            }
            if len == 0 {
                break;
            }
            one.consume(len);
            other.consume(len);
        }
    }
    Ok(())
}
