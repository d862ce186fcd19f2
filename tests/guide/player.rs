//! Plays the steps of a chapter in a world of its own.

use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::support::{World, noise};

use super::page::{Chapter, Step};
use super::pattern::diff;

/// The directories that a page names as if they were the machine's.
const PLACES: [&str; 3] = ["/home/ann", "/srv", "/mnt"];

/// Files of `/mnt/camera`, with their sizes.
const FILES: [(&str, usize); 4] = [
    ("opening.mov", 6_000_000),
    ("storm.mov", 9_000_000),
    ("poster.psd", 2_500_000),
    ("theme.wav", 1_200_000),
];

/// Runs commands as one session of a shell would, in one world.
pub struct Player {
    world: World,
    root: PathBuf,
    cwd: PathBuf,
    /// The exit code of the last command.
    code: i32,
}

impl Player {
    /// A new world with its places.
    pub fn new() -> Player {
        let world = World::without_filter();
        // Programs print the path without symbolic links, as macOS has on the way to its temporary
        // directories.
        let root = fs::canonicalize(world.path()).unwrap();
        for place in PLACES.iter().chain(&["/mnt/camera"]) {
            fs::create_dir_all(under(&root, place)).unwrap();
        }
        for (seed, (name, len)) in (0..).zip(FILES) {
            fs::write(under(&root, "/mnt/camera").join(name), noise(seed, len)).unwrap();
        }
        let home = under(&root, PLACES[0]);
        fs::rename(root.join(".gitconfig"), home.join(".gitconfig")).unwrap();
        Player {
            world,
            root,
            cwd: home,
            code: 0,
        }
    }

    /// Plays the steps; gives what differs from the page, or nothing.
    pub fn play(&mut self, setup: &[Step], chapter: &Chapter) -> String {
        let mut report = String::new();
        let steps: Vec<_> = setup.iter().chain(&chapter.steps).collect();
        for (at, step) in steps.iter().enumerate() {
            let next = steps.get(at + 1).map(|next| next.script.as_str());
            let (about, lines) = match &step.shown {
                Some(shown) => (
                    format!("$ {}", step.script),
                    self.command(step, shown, next),
                ),
                None => ("setup".to_owned(), self.setup(step)),
            };
            if lines.is_empty() {
                continue;
            }
            writeln!(report, "{}, line {}: {about}", chapter.title, step.line).unwrap();
            for line in lines {
                writeln!(report, "{line}").unwrap();
            }
        }
        report
    }

    fn command(&mut self, step: &Step, shown: &[String], next: Option<&str>) -> Vec<String> {
        let printed = self.run(&step.script, "");
        let mut lines = diff(&trimmed(shown), &trimmed(&printed));
        let heads = ["lob: error:", "error:", "fatal:"];
        let is_error = |line: &String| heads.iter().any(|head| line.starts_with(head));
        let may_fail = shown.iter().any(is_error) || next == Some("echo $?");
        if self.code != 0 && !may_fail {
            lines.push(format!("! ended with {}", self.code));
        }
        lines
    }

    fn setup(&mut self, step: &Step) -> Vec<String> {
        let mut printed = self.run(&step.script, "set -e\n");
        if self.code == 0 {
            return Vec::new();
        }
        printed.push(format!("! ended with {}", self.code));
        self.code = 0;
        printed
    }

    /// Runs a script where the last one ended; gives what it printed.
    fn run(&mut self, script: &str, prelude: &str) -> Vec<String> {
        let said = self.root.join("said");
        let place = self.root.join("place");
        let out = File::create(&said).unwrap();
        let script = format!(
            "(exit {})\n{prelude}{}\ncode=$?\npwd > \"$PLACE\"\nexit $code\n",
            self.code,
            self.inward(script)
        );
        let home = under(&self.root, PLACES[0]);
        let status = self
            .world
            .command("sh")
            .args(["-c", &script])
            .current_dir(&self.cwd)
            .env("HOME", &home)
            .env("GIT_CONFIG_GLOBAL", home.join(".gitconfig"))
            .env("PLACE", &place)
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .status()
            .unwrap();
        self.code = status.code().unwrap_or(-1);
        if let Ok(place) = fs::read_to_string(&place) {
            self.cwd = PathBuf::from(place.trim_end_matches('\n'));
        }
        let printed = fs::read(said).unwrap();
        let printed = self.outward(&String::from_utf8_lossy(&printed));
        // Git draws its progress over one line; what stays is what it ends with.
        let last = |line: &str| line.rsplit('\r').next().unwrap_or_default().to_owned();
        printed.lines().map(last).collect()
    }

    /// The page's paths as the world's.
    fn inward(&self, script: &str) -> String {
        let mut script = script.to_owned();
        for place in PLACES {
            let real = under(&self.root, place);
            script = script.replace(place, real.to_str().unwrap());
        }
        script
    }

    /// The world's paths as the page's.
    fn outward(&self, printed: &str) -> String {
        printed.replace(self.root.to_str().unwrap(), "")
    }
}

fn under(root: &Path, place: &str) -> PathBuf {
    root.join(place.trim_start_matches('/'))
}

fn trimmed(lines: &[String]) -> Vec<String> {
    let end = lines.iter().rposition(|line| !line.trim().is_empty());
    let lines = lines[..end.map_or(0, |end| end + 1)].iter();
    lines.map(|line| line.trim_end().to_owned()).collect()
}
