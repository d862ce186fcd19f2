//! Repositories in every state that a command may find, prepared once and put back before each trial.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lob_store::disk::OsDisk;
use lob_store::fsck::{Depth, Finding, Gravity, Object, Remedy, examine};
use lob_store::{LobId, Store};

use crate::support::{Repo, World, pointer, run};

use super::Tier;
use super::task::{TASKS, Task};
use super::version::Version::{self, Edited, Gone, New, Next, Old, Side};

/// What the stores hold before a trial.
const HELD: [(&str, &[Version]); 7] = [
    ("origin.git", &[Old, Next, Side, Gone]),
    ("work", &[Old, Next, Side, New, Gone]),
    ("clone", &[Old]),
    ("thin", &[]),
    ("full", &[Next]),
    ("hurt", &[Next]),
    ("new", &[]),
];

/// Lob's lock beside git's own. Like those in a store its file stays, and the kernel has the lock.
const CHECKOUT_LOCK: &str = "lob-checkout.lock";

/// The repositories: `work` has more than it pushed to `origin.git`; `clone` is behind and has git's
/// objects only of what is new; in `thin` and `full` all files are pointers, whose content only the
/// latter has. The store of `hurt` lacks a table, and has damage in its pack. In `new` nobody has run
/// `lob init` yet.
pub struct Scene {
    world: World,
    kept: PathBuf,
}

impl Scene {
    /// Prepares all.
    pub fn new() -> Scene {
        let world = World::in_memory();
        // Copies have other inodes and ctimes: git must not take every file for changed.
        let config = world.path().join(".gitconfig");
        let set = "[core]\ncheckStat = minimal\ntrustctime = false\n[init]\ntemplateDir =\n[lob]\nreserve = 0\n";
        let all = [fs::read(&config).unwrap(), set.into()].concat();
        fs::write(config, all).unwrap();
        fs::create_dir(world.path().join("live")).unwrap();
        let scene = Scene {
            kept: world.path().join("kept"),
            world,
        };
        scene.prepare();
        copy(&scene.live(), &scene.kept);
        scene
    }

    fn prepare(&self) {
        let origin = self.world.init_bare("live/origin.git");
        let work = self.world.init("live/work");
        work.lob(&["init"]);
        let url = origin.path().to_str().unwrap();
        work.git(&["remote", "add", "origin", url]);
        work.track(&["*.bin"]);
        commit(&work, Old, 100);
        push(&work, "main");
        let clone = self.world.clone_of(&origin, "live/clone");
        clone.lob(&["init"]);
        work.git(&["checkout", "-q", "-b", "side"]);
        commit(&work, Side, 3);
        push(&work, "side");
        work.git(&["checkout", "-q", "-b", "gone", "main"]);
        commit(&work, Gone, 3);
        push(&work, "gone");
        work.git(&["checkout", "-q", "main"]);
        push(&work, ":gone");
        work.git(&["branch", "-q", "-D", "gone"]);
        work.git(&["reflog", "expire", "--expire=all", "--all"]);
        commit(&work, Next, 20);
        push(&work, "main");
        clone.git(&["fetch", "-q"]);
        for name in ["thin", "full", "hurt"] {
            let mut git = self.world.command("git");
            git.args(["clone", "-q", url]).arg(self.live().join(name));
            run(git.env("LOB_SKIP_SMUDGE", "1"), b"").ok();
            self.repo(name).lob(&["init"]);
        }
        for name in ["full", "hurt"] {
            self.repo(name).lob(&["fetch"]);
        }
        hurt(&self.store("hurt").join("packs"));
        let new = self.world.init("live/new");
        new.write(
            ".gitattributes",
            "*.bin filter=lob diff=lob merge=lob -text\n",
        );
        new.commit("Nothing yet");
        commit(&work, New, 1);
        write(&work, Edited);
        for (path, _) in Edited.files() {
            date(&work.path().join(path), 30);
        }
        self.expect_differences();
        for (name, _) in HELD.iter().filter(|(name, _)| *name != "origin.git") {
            // Git trusts what it saw in an earlier second than that of its index.
            date(&self.repo(name).path().join(".git/index"), 60);
        }
    }

    /// What was pushed was in part the difference from the version before; and so are pushes and
    /// fetches of trials. What was added was not: a repack has something to do.
    fn expect_differences(&self) {
        let depth = |name, version: Version| version.depth(&self.opened(name));
        let pushed = [Old, Next, Side].map(|version| depth("origin.git", version) > 0);
        assert_eq!(pushed, [false, true, true]);
        let added = [Old, Next, Side, New].map(|version| depth("work", version));
        assert_eq!(added, [0; 4]);
    }

    /// Where the repositories are.
    pub fn live(&self) -> PathBuf {
        self.world.path().join("live")
    }

    /// The home of all.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// One of the repositories.
    pub fn repo(&self, name: &str) -> Repo {
        self.world.repo(&format!("live/{name}"))
    }

    /// The directory of its store.
    pub fn store(&self, name: &str) -> PathBuf {
        let bare = name.ends_with(".git");
        let dir = self.live().join(name);
        dir.join(if bare { "lob" } else { ".git/lob" })
    }

    /// Its store, which is there.
    fn opened(&self, name: &str) -> Store {
        Store::open(Arc::new(OsDisk), &self.store(name)).unwrap()
    }

    /// Where the repositories are kept as they were prepared.
    pub fn kept(&self) -> &Path {
        &self.kept
    }

    /// Takes over the repositories from a directory, which they leave.
    pub fn take(&self, from: &Path) {
        fs::remove_dir_all(self.live()).unwrap();
        fs::rename(from, self.live()).unwrap();
    }

    /// Puts back the repositories that a task uses.
    pub fn restore(&self, task: &Task) {
        for name in task.uses() {
            let live = self.live().join(name);
            if live.exists() {
                fs::remove_dir_all(&live).unwrap();
            }
            copy(&self.kept.join(name), &live);
        }
    }

    /// P1-P4: every store is whole, whatever happened.
    pub fn is_sound(&self, task: &Task) -> Result<(), String> {
        match task.is_hurt {
            // It was not, and is when the task was done.
            true => Ok(()),
            false => self.findings(task, &is_bad),
        }
    }

    /// P1-P4, and P8: nothing is left behind that takes space for ever.
    pub fn is_sound_and_tidy(&self, task: &Task) -> Result<(), String> {
        let left = |finding: &Finding| {
            // What a repair sets aside is not for lob to delete.
            let aside =
                matches!(&finding.object, Object::File(path) if path.starts_with("damaged"));
            finding.gravity == Gravity::Leftover && finding.remedy != Remedy::Prune && !aside
        };
        self.findings(task, &|finding| is_bad(finding) || left(finding))?;
        for name in task.uses() {
            each_file(&self.live().join(name), &mut |path| {
                let file = path.file_name().unwrap().to_str().unwrap();
                match file.starts_with(".lob-") {
                    true => Err(format!("{} is left", path.display())),
                    false => Ok(()),
                }
            })?;
        }
        Ok(())
    }

    /// No examination finds in any store what `counts`.
    pub fn findings(&self, task: &Task, counts: &dyn Fn(&Finding) -> bool) -> Result<(), String> {
        for name in task.uses() {
            let dir = self.store(name);
            // Where somebody began to make one there is nothing yet that could be damaged.
            let begun = !dir.join("state/format").exists() && !task.makes.is_empty();
            if !dir.exists() || begun {
                continue;
            }
            let mut found = Vec::new();
            let each = &mut |finding: Finding| {
                if counts(&finding) {
                    found.push(finding.to_string());
                }
            };
            match examine(Arc::new(OsDisk), &dir, Depth::Deep, &(), each) {
                Ok(_) if found.is_empty() => {}
                Ok(_) => return Err(format!("the store of {name}: {}", found.join("; "))),
                Err(error) => return Err(format!("the store of {name}: {error}")),
            }
        }
        Ok(())
    }

    /// P5: no lock is left that would be in somebody's way. The locks of stores are the kernel's; their
    /// files stay. That of git's index is taken away by another process, in its own time.
    pub fn is_unlocked(&self, task: &Task) -> Result<(), String> {
        const TRIES: u32 = 1000;
        let mut found = self.is_unlocked_now(task);
        for _ in 0..TRIES {
            if found.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
            // Not once more when all was well: who is being started elsewhere here may hold on to the
            // locks that were taken to look.
            found = self.is_unlocked_now(task);
        }
        found
    }

    fn is_unlocked_now(&self, task: &Task) -> Result<(), String> {
        for name in task.uses() {
            let store = self.store(name);
            each_file(&self.live().join(name), &mut |path| {
                let is_lock = path.extension().is_some_and(|kind| kind == "lock");
                let is_kernels = path.starts_with(&store) || path.ends_with(CHECKOUT_LOCK);
                let is_free = !is_lock
                    || is_kernels && fs::File::open(path).is_ok_and(|file| file.try_lock().is_ok());
                match is_free {
                    true => Ok(()),
                    false => Err(format!("stale lock {}", path.display())),
                }
            })?;
        }
        Ok(())
    }

    /// P2, P3: the stores hold what they held and what the task adds, byte for byte; and the rest is as
    /// the task makes it.
    pub fn is_done(&self, task: &Task) -> Result<(), String> {
        self.holds_all(task, task.adds)?;
        for (name, version) in task.drops {
            let (path, content) = &version.files()[0];
            let store = self.opened(name);
            if store.lob(&LobId::of(content)).unwrap().is_some() {
                return Err(format!("{path} of {version:?} is still there"));
            }
        }
        if task.is_repack {
            let store = self.opened(task.repo);
            let depths = [New, Next, Old].map(|version| version.depth(&store));
            if depths[0] > 0 || depths[1..].iter().any(|depth| !(1..=2).contains(depth)) {
                return Err(format!("versions stand on {depths:?} frames"));
            }
        }
        let repo = self.repo(task.repo);
        for made in task.makes {
            let len = fs::metadata(repo.path().join(made)).map_or(0, |meta| meta.len());
            if len == 0 {
                return Err(format!("{made} is not there"));
            }
        }
        if let Some(version) = task.staged {
            for (path, content) in version.files() {
                let stored = repo.stored(&format!("{}:{path}", task.staged_in));
                same(&stored, pointer(&content).as_bytes(), path)?;
            }
        }
        if let Some(version) = task.checked_out {
            for (path, content) in version.files() {
                same(
                    &fs::read(repo.path().join(path)).unwrap_or_default(),
                    &content,
                    path,
                )?;
            }
            let status = repo.git(&["status", "--porcelain", "-uall"]);
            if !status.is_empty() {
                return Err(format!("not clean: {status}"));
            }
        }
        if task.is_push {
            let head = |name, dir| {
                self.repo(name)
                    .git(&["--git-dir", dir, "rev-parse", "main"])
            };
            if head("work", ".git") != head("origin.git", ".") {
                return Err("the ref was not pushed".into());
            }
        }
        Ok(())
    }

    /// P2, P3: the stores hold what they held, byte for byte.
    pub fn holds_all(&self, task: &Task, and: &[(&str, Version)]) -> Result<(), String> {
        for name in task.uses() {
            let held = HELD.iter().find(|(held, _)| *held == name);
            let held = held.into_iter().flat_map(|(_, versions)| versions.iter());
            let held = held.filter(|version| !task.drops.contains(&(name, **version)));
            let added = and.iter().filter(|(to, _)| *to == name);
            let mut wanted = held.chain(added.map(|(_, version)| version)).peekable();
            if wanted.peek().is_none() {
                continue;
            }
            let store = Store::open(Arc::new(OsDisk), &self.store(name));
            let store = store.map_err(|error| format!("the store of {name}: {error}"))?;
            for version in wanted {
                for (path, content) in version.files() {
                    let mut read = Vec::new();
                    let what = format!("{path} of {version:?} in the store of {name}");
                    store
                        .write_to(&LobId::of(&content), &mut read, &())
                        .map_err(|error| format!("{what}: {error}"))?;
                    same(&read, &content, &what)?;
                }
            }
        }
        Ok(())
    }
}

/// A part of what is to be tried with a task.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// From 0 on.
    pub number: usize,
    /// How many parts there are.
    pub of: usize,
}

impl Share {
    /// Whether trial `n` belongs to it.
    pub fn takes(self, n: usize) -> bool {
        n % self.of == self.number
    }
}

/// Does something with every task, several at a time: they wait more than they work. In the full tier each
/// of them is shared out.
pub fn each_task(tier: Tier, work: &(dyn Fn(&Scene, &Task, Share) + Sync)) {
    let (threads, of) = tier.pick((2, 1), (8, 4));
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let scene = Scene::new();
                loop {
                    let place = next.fetch_add(1, Relaxed);
                    let Some(task) = TASKS.get(place / of) else {
                        return;
                    };
                    let number = place % of;
                    work(&scene, task, Share { number, of });
                }
            });
        }
    });
}

/// Whether something is lost or damaged.
pub fn is_bad(finding: &Finding) -> bool {
    finding.gravity <= Gravity::Damage
}

/// Takes a table away, and changes a byte in the pack.
fn hurt(packs: &Path) {
    let entries = fs::read_dir(packs).unwrap();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|end| end == "idx") {
            fs::remove_file(path).unwrap();
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        fs::remove_file(&path).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn same(found: &[u8], wanted: &[u8], what: &str) -> Result<(), String> {
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{what} has another content, {} bytes", found.len())),
    }
}

fn write(repo: &Repo, version: Version) {
    for (path, content) in version.files() {
        repo.write(path, content);
    }
}

fn commit(repo: &Repo, version: Version, days_ago: u64) {
    write(repo, version);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let date = format!("{} +0000", now.as_secs() - days_ago * 86_400);
    repo.git(&["add", "-A"]);
    let mut git = repo.command("git");
    git.args(["commit", "-q", "-m", "A version"]);
    git.env("GIT_COMMITTER_DATE", &date);
    run(git.env("GIT_AUTHOR_DATE", &date), b"").ok();
}

fn push(repo: &Repo, branch: &str) {
    repo.git(&["push", "-q", "origin", branch]);
}

/// Makes a file count as written so many seconds from now.
fn date(path: &Path, seconds: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    let then = SystemTime::now() + Duration::from_secs(seconds);
    file.set_modified(then).unwrap();
}

/// Copies a directory with all that is in it, and the times of files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy(&old, &new);
            continue;
        }
        fs::copy(&old, &new).unwrap();
        let modified = entry.metadata().unwrap().modified().unwrap();
        // A read-only file is still its owner's.
        let times = fs::FileTimes::new().set_modified(modified);
        fs::File::open(&new).unwrap().set_times(times).unwrap();
    }
}

fn each_file(dir: &Path, each: &mut dyn FnMut(&Path) -> Result<(), String>) -> Result<(), String> {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => each_file(&entry.path(), each)?,
            false => each(&entry.path())?,
        }
    }
    Ok(())
}
