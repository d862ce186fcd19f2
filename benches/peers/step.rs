//! One measured step: programs run one after the other.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::{Explain, Failure};
use crate::memory::Watch;
use crate::tree;

/// How much of what a failed program said is shown.
const SAID: usize = 2000;

/// What a step cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Step {
    /// By the clock on the wall.
    pub wall: Duration,
    /// The same until all that was written is on the disk.
    pub synced: Duration,
    /// Of the processor, all processes together, if the system tells.
    pub cpu: Option<Duration>,
    /// The most memory that one process of the tool had, if any was seen.
    pub peak: Option<u64>,
}

impl Step {
    /// Both, one after the other.
    pub fn then(self, next: Step) -> Step {
        Step {
            wall: self.wall + next.wall,
            synced: self.synced + next.synced,
            cpu: self.cpu.zip(next.cpu).map(|(one, two)| one + two),
            peak: self.peak.max(next.peak),
        }
    }
}

/// Runs programs that must succeed, one after the other, as one step. `programs` are the names of
/// those whose memory counts; what they say goes to files in `notes`.
pub fn measure(
    commands: &mut [Command],
    programs: &'static [&'static str],
    notes: &Path,
) -> Result<Step, Failure> {
    tree::settle();
    let spent = spent();
    let mut total = Step {
        cpu: Some(Duration::ZERO),
        ..Step::default()
    };
    for command in commands {
        let start = Instant::now();
        let mut child = redirect(command, notes)?
            .spawn()
            .because(format_args!("cannot run {}", line(command)))?;
        let watch = Watch::start(child.id(), programs);
        let status = child.wait();
        let wall = start.elapsed();
        let peak = watch.peak();
        let status = status.because(format_args!("cannot wait for {}", line(command)))?;
        check(command, status, notes)?;
        total = total.then(Step {
            wall,
            synced: wall,
            cpu: Some(Duration::ZERO),
            peak,
        });
    }
    let cpu = self::spent()
        .zip(spent)
        .map(|(after, before)| after - before);
    let start = Instant::now();
    tree::settle();
    Ok(Step {
        synced: total.synced + start.elapsed(),
        cpu,
        ..total
    })
}

/// Runs a program that must succeed, and gives its stdout.
pub fn output(command: &mut Command, notes: &Path) -> Result<String, Failure> {
    let status = redirect(command, notes)?
        .status()
        .because(format_args!("cannot run {}", line(command)))?;
    check(command, status, notes)?;
    let out = fs::read(notes.join("stdout")).because("cannot read what a program printed")?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Files instead of pipes: no program ever waits for a reader.
fn redirect<'c>(command: &'c mut Command, notes: &Path) -> Result<&'c mut Command, Failure> {
    let create =
        |name: &str| File::create(notes.join(name)).because("cannot keep what a program says");
    Ok(command.stdout(create("stdout")?).stderr(create("stderr")?))
}

fn check(command: &Command, status: std::process::ExitStatus, notes: &Path) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    let said = ["stdout", "stderr"].map(|name| fs::read(notes.join(name)).unwrap_or_default());
    let said = said.concat();
    let end = said
        .get(said.len().saturating_sub(SAID)..)
        .unwrap_or_default();
    Err(Failure::Program {
        command: line(command),
        status,
        said: String::from_utf8_lossy(end).into_owned(),
    })
}

/// The command line without its environment.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    let dir = command.get_current_dir().unwrap_or(Path::new("."));
    format!("{} (in {})", words.join(" "), dir.display())
}

/// The time of the processor that ended children of this process had, so far.
fn spent() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields
        .split_whitespace()
        .skip(13)
        .take(2)
        .map(str::parse::<u64>);
    let ticks = ticks.next()?.ok()? + ticks.next()?.ok()?;
    Some(Duration::from_secs_f64(ticks as f64 / ticks_per_second()?))
}

fn ticks_per_second() -> Option<f64> {
    #[cfg(target_os = "linux")]
    return Some(rustix::param::clock_ticks_per_second() as f64);
    #[cfg(not(target_os = "linux"))]
    return None;
}
