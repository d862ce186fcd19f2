//! R7: random work on three repositories and two remotes, by real git and the real program, held
//! against plain copies of all that was ever stored.
//!
//! After every step that was not killed all files are what was stored under their pointers; at the
//! end each remote gives everything that was pushed to it to a stranger.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::{Tier, report};
use crate::support::{Repo, World, noise, pointer, run};

const REPOS: usize = 3;
const REMOTES: [&str; 2] = ["origin", "backup"];
const FILES: usize = 6;

/// What somebody does in one of the repositories.
#[derive(Debug, Clone)]
enum Deed {
    /// Writes files, of these kinds and numbers, and commits them.
    Edit(Vec<(u8, u16)>),
    /// Gives a file another name.
    Rename(usize, usize),
    /// Sends the branch to a remote.
    Push(usize),
    /// Takes over what another repository has sent to a remote.
    Take(usize, usize),
    /// Goes back so many commits and comes again.
    Visit(usize),
    /// Gives back space.
    Prune,
    /// Damages a byte of a pack for a while.
    Damage(usize, usize),
    /// Is killed at this call to the system of a push, and pushes again.
    KilledPush(usize, usize, usize),
    /// Is killed while files are added, and adds them again.
    KilledAdd(u16, usize, usize),
}

const CALLS: [&str; 5] = ["write", "fsync", "rename", "flock", "mkdir"];

fn deed() -> impl Strategy<Value = Deed> {
    let remote = 0..REMOTES.len();
    let call = 0..CALLS.len();
    prop_oneof![
        5 => prop::collection::vec((0..5u8, any::<u16>()), 1..4).prop_map(Deed::Edit),
        1 => (0..FILES, 0..FILES).prop_map(|(a, b)| Deed::Rename(a, b)),
        3 => remote.clone().prop_map(Deed::Push),
        3 => (remote.clone(), 0..REPOS).prop_map(|(remote, of)| Deed::Take(remote, of)),
        2 => (1..5usize).prop_map(Deed::Visit),
        2 => Just(Deed::Prune),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(pack, at)| Deed::Damage(pack, at)),
        1 => (remote, call.clone(), 1..9usize).prop_map(|(r, c, n)| Deed::KilledPush(r, c, n)),
        1 => (any::<u16>(), call, 1..7usize).prop_map(|(s, c, n)| Deed::KilledAdd(s, c, n)),
    ]
}

/// The plain copies, by the pointers that git has of them.
type Copies = HashMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Default)]
struct Counts {
    steps: u64,
    kills: u64,
    prunes: u64,
    /// Pushes that first had to get something from the other remote.
    relays: u64,
    damages: u64,
    compared: u64,
}

struct Model<'c> {
    world: World,
    repos: Vec<Repo>,
    copies: Copies,
    days: u64,
    counts: &'c mut Counts,
}

fn file(n: usize) -> String {
    match n % 3 {
        0 => format!("dir/{n}.bin"),
        _ => format!("{n}.bin"),
    }
}

impl<'c> Model<'c> {
    fn new(counts: &'c mut Counts) -> Model<'c> {
        let world = World::new();
        let bare = REMOTES.map(|name| world.init_bare(&format!("{name}.git")));
        let repos: Vec<_> = (0..REPOS)
            .map(|n| world.init(&format!("repo{n}")))
            .collect();
        for (n, repo) in repos.iter().enumerate() {
            repo.lob(&["init"]);
            repo.git(&["checkout", "-q", "-b", &format!("branch{n}")]);
            for (name, bare) in REMOTES.iter().zip(&bare) {
                repo.git(&["remote", "add", name, bare.path().to_str().unwrap()]);
            }
            repo.track(&["*.bin"]);
        }
        let mut model = Model {
            world,
            repos,
            copies: Copies::new(),
            days: 0,
            counts,
        };
        for n in 0..REPOS {
            model.edit(n, &[(0, n as u16)]);
        }
        model
    }

    /// Runs git in repository `n`, some days after the last commit: what prune keeps depends on it.
    fn commit(&mut self, n: usize) {
        self.days += 2;
        let date = format!("{} +0000", 1_700_000_000 + self.days * 86_400);
        let mut git = self.repos[n].command("git");
        git.args(["commit", "-q", "--allow-empty", "-m", "A step"]);
        git.env("GIT_COMMITTER_DATE", &date)
            .env("GIT_AUTHOR_DATE", &date);
        run(&mut git, b"").ok();
    }

    /// Writes a file of the work tree, and keeps a copy.
    fn write(&mut self, n: usize, kind: u8, seed: u16) {
        let name = file(usize::from(seed) % FILES);
        let old = fs::read(self.repos[n].path().join(&name)).unwrap_or_default();
        let seed = u64::from(seed);
        let content = match kind {
            0 => noise(seed, 1 + (seed as usize * 37) % 200_000),
            1 => format!("text {seed}\n")
                .repeat(1 + seed as usize % 3000)
                .into_bytes(),
            2 => [noise(seed, 300_000), old].concat(),
            3 => {
                let mut edited = if old.is_empty() {
                    noise(1, 250_000)
                } else {
                    old
                };
                let at = seed as usize % edited.len();
                edited.splice(at..at, *b"an edit");
                edited
            }
            // What another repository may have as well.
            _ => noise(seed % 4, 150_000),
        };
        self.repos[n].write(&name, &content);
        self.copies.insert(pointer(&content).into_bytes(), content);
    }

    fn edit(&mut self, n: usize, files: &[(u8, u16)]) {
        for &(kind, seed) in files {
            self.write(n, kind, seed);
        }
        self.repos[n].git(&["add", "-A"]);
        self.commit(n);
    }

    /// What a prune dropped here because one remote holds it, a push to the other cannot send, and says
    /// how to get it.
    fn push(&mut self, n: usize, remote: usize) {
        let (repo, branch) = (&self.repos[n], format!("branch{n}"));
        let push = ["push", "-q", REMOTES[remote], &branch];
        let pushed = repo.try_git(&push);
        if pushed.success {
            return;
        }
        let complete = ["sync", "--mode", "complete", "--pull"];
        assert!(
            pushed
                .stderr
                .contains(&format!("lob {} REMOTE", complete.join(" "))),
            "{pushed:?}"
        );
        assert!(self.counts.prunes > 0, "{pushed:?}");
        let other = REMOTES[1 - remote];
        repo.lob(&[&complete[..], &[other]].concat());
        repo.git(&push);
        self.counts.relays += 1;
    }

    /// Every file of the work tree is what its pointer stands for.
    fn check(&mut self, repo: &Repo) {
        let listed = repo.git(&["ls-files", "-z", "*.bin"]);
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let stored = repo.stored(&format!(":{path}"));
            let copy = &self.copies[&stored];
            assert!(
                repo.read(path) == *copy,
                "{path} in {}",
                repo.path().display()
            );
            self.counts.compared += 1;
        }
        repo.assert_clean();
    }

    fn take(&mut self, n: usize, remote: usize, of: usize) {
        let repo = &self.repos[n];
        repo.git(&["fetch", "-q", REMOTES[remote]]);
        let theirs = format!("{}/branch{of}", REMOTES[remote]);
        if repo
            .try_git(&["rev-parse", "-q", "--verify", &theirs])
            .success
        {
            repo.git(&["checkout", "-q", &theirs, "--", "."]);
            self.commit(n);
        }
    }

    fn visit(&mut self, n: usize, back: usize) {
        let before = format!("HEAD~{back}");
        let repo = self.world.repo(&format!("repo{n}"));
        if repo
            .try_git(&["rev-parse", "-q", "--verify", &before])
            .success
        {
            repo.git(&["checkout", "-q", &before]);
            self.check(&repo);
            repo.git(&["checkout", "-q", &format!("branch{n}")]);
        }
    }

    /// Damages a byte of a pack: an examination tells, no read gives anything wrong, and when the
    /// pack is as it was, all is.
    fn damage(&mut self, n: usize, pack: usize, at: usize) {
        let repo = &self.repos[n];
        let dir = repo.path().join(".git/lob/packs");
        let Ok(entries) = fs::read_dir(&dir) else {
            return;
        };
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut packs: Vec<PathBuf> = paths
            .filter(|path| path.extension() == Some("pack".as_ref()))
            .collect();
        packs.sort();
        let Some(path) = packs.get(pack % packs.len().max(1)) else {
            return;
        };
        let good = fs::read(path).unwrap();
        let mut bytes = good.clone();
        bytes[at % good.len()] ^= 1;
        // Another file in its place: a mapped one must not change.
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
        repo.try_lob(&["fsck", "--deep"]).fails(3);
        for (stored, copy) in &self.copies {
            let read = run(repo.command("lob").arg("smudge"), stored);
            let is_right = read.stdout == *copy || read.stdout == *stored;
            assert!(is_right || !read.success, "P3: {}", read.stderr);
        }
        fs::remove_file(path).unwrap();
        fs::write(path, good).unwrap();
        self.counts.damages += 1;
    }

    /// A command line that is killed at the `at`th call of this kind, and where its trace goes.
    fn trap(&self, n: usize, call: usize, at: usize) -> (String, PathBuf) {
        let trace = self.repos[n].path().join(".git/trace");
        let call = CALLS[call];
        let words = format!(
            "strace -f -o '{}' -e trace={call} -e inject={call}:signal=KILL:when={at} lob",
            trace.display()
        );
        (words, trace)
    }

    fn note_kill(&mut self, trace: &PathBuf) {
        let trace = fs::read_to_string(trace).unwrap_or_default();
        self.counts.kills += u64::from(trace.contains("killed by SIGKILL"));
    }

    fn step(&mut self, n: usize, deed: &Deed) {
        match *deed {
            Deed::Edit(ref files) => self.edit(n, files),
            Deed::Rename(from, to) => {
                let repo = &self.repos[n];
                if from != to && repo.path().join(file(from)).exists() {
                    let to = repo.path().join(file(to));
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    repo.git(&["mv", "-f", &file(from), to.to_str().unwrap()]);
                    self.commit(n);
                }
            }
            Deed::Push(remote) => self.push(n, remote),
            Deed::Take(remote, of) => self.take(n, remote, of),
            Deed::Visit(back) => self.visit(n, back),
            Deed::Prune => {
                self.repos[n].lob(&["prune", "--grace", "0", "--verify-remote", "*"]);
                self.counts.prunes += 1;
            }
            Deed::Damage(pack, at) => self.damage(n, pack, at),
            Deed::KilledPush(remote, call, at) => {
                let (words, trace) = self.trap(n, call, at);
                let words = format!("{words} push {}", REMOTES[remote]);
                run(self.repos[n].command("sh").args(["-c", &words]), b"");
                self.note_kill(&trace);
                self.push(n, remote);
            }
            Deed::KilledAdd(seed, call, at) => {
                self.write(n, 2, seed);
                let (words, trace) = self.trap(n, call, at);
                let filter = format!("filter.lob.process={words} filter-process");
                self.repos[n].try_git(&["-c", &filter, "add", "-A"]);
                self.note_kill(&trace);
                // The lock of git's index is git's own, and stays when its filter dies.
                let _ = fs::remove_file(self.repos[n].path().join(".git/index.lock"));
                self.repos[n].git(&["add", "-A"]);
                self.commit(n);
            }
        }
        self.counts.steps += 1;
        let repo = self.world.repo(&format!("repo{n}"));
        self.check(&repo);
    }

    /// Sends everything everywhere; then a stranger gets it from each remote.
    fn end(mut self) {
        for n in 0..REPOS {
            self.repos[n].lob(&["fsck", "--deep"]);
            for remote in 0..REMOTES.len() {
                self.push(n, remote);
            }
        }
        for name in REMOTES {
            let bare = self.world.repo(&format!("{name}.git"));
            let clone = self.world.path().join(format!("of-{name}"));
            let words = ["clone", "-q", "-b", "branch0"];
            let mut git = self.world.command("git");
            self.world.ok(git.args(words).arg(bare.path()).arg(&clone));
            let clone = self.world.repo(&format!("of-{name}"));
            for n in 0..REPOS {
                clone.git(&["checkout", "-q", &format!("origin/branch{n}")]);
                self.check(&clone);
            }
        }
    }
}

#[test]
fn p2_p3_p6_p7_three_repositories_and_two_remotes() {
    let tier = Tier::asked();
    let (cases, steps) = tier.pick((4, 12), (30, 40));
    let mut counts = Counts::default();
    for case in 0..cases {
        let seed = *blake3::hash(format!("model {case}").as_bytes()).as_bytes();
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let config = Config {
            cases: 1,
            failure_persistence: None,
            max_shrink_iters: 8,
            ..Config::default()
        };
        let deeds = prop::collection::vec((0..REPOS, deed()), steps);
        let cell = std::cell::RefCell::new(&mut counts);
        let done = TestRunner::new_with_rng(config, rng).run(&deeds, |deeds| {
            let mut counts = cell.borrow_mut();
            let mut model = Model::new(&mut counts);
            for (n, deed) in &deeds {
                model.step(*n, deed);
            }
            model.end();
            Ok(())
        });
        match done {
            Ok(()) => {}
            Err(TestError::Fail(why, deeds)) => panic!("case {case}: {why}\n{deeds:#?}"),
            Err(error) => panic!("case {case}: {error}"),
        }
    }
    let Counts {
        steps,
        kills,
        prunes,
        relays,
        damages,
        compared,
    } = counts;
    report(
        "model",
        &[
            ("cases", cases),
            ("steps", steps),
            ("kills", kills),
            ("prunes", prunes),
            ("pushes by way of the other remote", relays),
            ("damages", damages),
            ("files compared", compared),
        ],
    );
    assert!(
        prunes > 0 && damages > 0 && compared > 10 * cases,
        "too little was tried"
    );
}
