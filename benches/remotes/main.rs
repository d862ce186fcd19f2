//! What remotes behind a service take, each next to what it is compared with, in turn in one run.
//!
//! `cargo bench --bench remotes -- [OPTIONS] [ROWS]`; rows are `big`, `many`, `link`, `known`, `differ` and
//! `lfs`, all but the last where none is named. Options: `--runs N` (5), `--scale X` (1), `--dir DIR` (the
//! temporary directory), `--lfs URL` (a server of git-lfs that runs, for `lfs`). docs/benchmarks.md says
//! what they mean.

#![forbid(unsafe_code)]

mod lab;
#[path = "../../tests/support/link.rs"]
mod link;
mod million;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use lab::{Lab, Timed, Work};
use link::Link;

/// The link of row `link`: 100 Mbit/s, and 50 ms each way.
const SLOW: Link = Link {
    delay: Duration::from_millis(50),
    rate: 100_000_000 / 8,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Options {
    rows: Vec<String>,
    runs: usize,
    scale: f64,
    dir: PathBuf,
    lfs: Option<String>,
}

impl Options {
    fn read() -> Result<Options, Failure> {
        let mut options = Options {
            rows: Vec::new(),
            runs: 5,
            scale: 1.0,
            dir: std::env::temp_dir(),
            lfs: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                // Cargo says it to every benchmark.
                "--bench" => {}
                "--runs" => options.runs = value()?.parse()?,
                "--scale" => options.scale = value()?.parse()?,
                "--dir" => options.dir = value()?.into(),
                "--lfs" => options.lfs = Some(value()?),
                row if !row.starts_with('-') => options.rows.push(row.into()),
                other => return Err(format!("there is no option {other}").into()),
            }
        }
        if options.rows.is_empty() {
            let all = ["big", "many", "link", "known", "differ"];
            options.rows = all.map(String::from).to_vec();
        }
        Ok(options)
    }
}

fn main() -> Result<(), Failure> {
    let options = Options::read()?;
    for row in &options.rows {
        let lab = Lab::new(&options.dir)?;
        match row.as_str() {
            "big" | "many" => against_a_directory(&lab, &options, row)?,
            "link" => over_a_link(&lab, &options)?,
            "known" => million::known(&lab, options.scale)?,
            "differ" => million::differ(&lab, options.scale, options.runs)?,
            "lfs" => against_git_lfs(&lab, &options)?,
            other => return Err(format!("there is no row {other}").into()),
        }
    }
    Ok(())
}

fn work(lab: &Lab, options: &Options, row: &str) -> Result<Work, Failure> {
    let scaled = |n: u64| ((n as f64 * options.scale) as u64).max(1);
    match row {
        "big" => lab.work(&[("big.bin".into(), scaled(1 << 30))]),
        _ => {
            let files = (0..scaled(5000)).map(|n| (format!("many/{n}.bin"), 20 << 10));
            lab.work(&files.collect::<Vec<_>>())
        }
    }
}

/// Push and clone through HTTP on this machine, and with a directory.
fn against_a_directory(lab: &Lab, options: &Options, row: &str) -> Result<(), Failure> {
    let work = work(lab, options, row)?;
    let served = lab.serve()?;
    let (mut push, mut clone) = (Pair::default(), Pair::default());
    for run in 0..options.runs {
        let dir = lab.path(&format!("dir{run}"));
        let dir = dir.to_str().ok_or("not a path of text")?;
        let url = format!("http://{}/{row}{run}", served.address);
        let store = served.store(&format!("{row}{run}"));
        let mut places = [(dir, PathBuf::from(dir), false), (&url, store, true)];
        // Each is first as often as the other, and finds as much memory in use.
        places.rotate_left(run % 2);
        for (place, store, is_served) in places {
            push.of(is_served).push(lab.push(&work, place)?);
            clone.of(is_served).push(lab.clone_of(&work, place)?);
            lab.forget(&[store])?;
        }
    }
    push.print(&format!("{row}: push"), "directory", "HTTP");
    clone.print(&format!("{row}: clone"), "directory", "HTTP");
    Ok(())
}

/// Push and clone of many over a slow link, next to the time that their bytes alone need.
fn over_a_link(lab: &Lab, options: &Options) -> Result<(), Failure> {
    let work = work(lab, options, "many")?;
    let served = lab.serve()?;
    let ends = SLOW.to(served.address)?;
    let alone = work.bytes as f64 / SLOW.rate as f64;
    for run in 0..options.runs.min(3) {
        let url = format!("http://{}/link{run}", ends.address);
        let before = ends.moved();
        let push = lab.push(&work, &url)?;
        let between = ends.moved();
        let clone = lab.clone_of(&work, &url)?;
        let after = ends.moved();
        for (what, took, [from, to]) in [
            ("push", push, [before, between]),
            ("clone", clone, [between, after]),
        ] {
            let took = took.as_secs_f64();
            println!(
                "link: {what} {took:.2} s, {:.2} of the {alone:.2} s of its bytes; {} bytes up, {} down",
                took / alone,
                to[0] - from[0],
                to[1] - from[1],
            );
        }
        lab.forget(&[served.store(&format!("link{run}"))])?;
    }
    Ok(())
}

/// Push and clone of many by lob and by git-lfs, each to its server on this machine.
fn against_git_lfs(lab: &Lab, options: &Options) -> Result<(), Failure> {
    let endpoint = options.lfs.as_ref().ok_or("row lfs needs --lfs URL")?;
    let work = work(lab, options, "many")?;
    let served = lab.serve()?;
    let (mut push, mut clone) = (Pair::default(), Pair::default());
    for run in 0..options.runs {
        // Content of its own each time: a server of git-lfs has what it was sent before.
        let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let theirs = lab.lfs_work(&work, seed.as_micros() as u64)?;
        push.of(true).push(lab.lfs_push(&theirs, endpoint)?);
        clone.of(true).push(lab.lfs_clone(&theirs, endpoint)?);
        let url = format!("http://{}/lfs{run}", served.address);
        push.of(false).push(lab.push(&work, &url)?);
        clone.of(false).push(lab.clone_of(&work, &url)?);
        lab.forget(&[theirs, served.store(&format!("lfs{run}"))])?;
    }
    push.print("many: push", "lob", "git-lfs");
    clone.print("many: clone", "lob", "git-lfs");
    Ok(())
}

/// Two that are compared, by the clock on the wall.
#[derive(Default)]
struct Pair([Vec<Duration>; 2]);

impl Pair {
    fn of(&mut self, second: bool) -> &mut Vec<Duration> {
        &mut self.0[usize::from(second)]
    }

    fn print(mut self, what: &str, one: &str, two: &str) {
        let [first, second] = &mut self.0;
        let (first, second) = (Timed::of(first), Timed::of(second));
        println!(
            "{what}: {one} {first}, {two} {second}; {:.2} of it (best {:.2})",
            second.median / first.median,
            second.best / first.best,
        );
    }
}
