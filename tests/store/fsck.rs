//! What an examination finds, and what it does not.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use lob_store::disk::{Disk, OsDisk, SimDisk};
use lob_store::fsck::{self, Depth, Examined, Fault, Finding, Gravity, Object, Remedy};
use lob_store::{ChunkId, Error, LobId, Progress, Result, Store};

use super::moving::Moving;
use super::runs;
use super::spare;
use super::watched::Watched;
use super::witness::{ROOT, Witness, disk};
use super::{noise, open};

fn examine(disk: Arc<dyn Disk>, root: &Path, depth: Depth) -> Result<(Vec<Finding>, Examined)> {
    let mut findings = Vec::new();
    let examined = fsck::examine(disk, root, depth, &(), &mut |finding| {
        findings.push(finding)
    })?;
    Ok((findings, examined))
}

#[track_caller]
fn found(dir: &Path) -> Vec<Finding> {
    let examined = examine(Arc::new(OsDisk), dir, Depth::Deep);
    examined.expect("examines").0
}

#[track_caller]
fn assert_found(dir: &Path, object: Object, fault: Fault, gravity: Gravity, remedy: Remedy) {
    let finding = Finding {
        object,
        fault,
        gravity,
        remedy,
    };
    assert_eq!(found(dir), [finding]);
}

/// A store of `count` packs with a lob in each.
fn store(dir: &Path, count: u64) {
    for n in 0..count {
        let store = open(dir);
        let mut writer = store.writer().expect("a writer");
        let content = noise(n, 3000);
        writer.add(&mut content.as_slice(), &()).expect("adds");
        writer.finish().expect("publishes");
    }
}

/// The files with this extension in a directory, in order.
fn files(dir: &Path, name: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join(name)).expect("lists");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().unwrap_or_default() == extension)
        .collect();
    files.sort();
    files
}

/// Two writers at once, as many packs as make the index merge twice, and what there is of locks.
fn work(disk: Arc<dyn Disk>) {
    let open = || Store::open_or_create(disk.clone(), Path::new(ROOT)).expect("opens");
    let (first, second) = (open(), open());
    let (mut one, mut two) = (
        first.writer().expect("writes"),
        second.writer().expect("writes"),
    );
    one.set_pack_soft(400);
    for n in 0..22 {
        one.add(&mut noise(n, 300).as_slice(), &()).expect("adds");
        two.add(&mut noise(n / 2, 100).as_slice(), &())
            .expect("adds");
        two.publish().expect("publishes");
    }
    one.sync().expect("syncs");
    one.finish().expect("publishes");
    two.finish().expect("publishes");
}

#[test]
fn p5_what_others_are_at_is_no_finding() {
    let sim = disk();
    let times = Arc::new(AtomicU64::new(0));
    let watched = Watched::new(sim.clone(), {
        let (sim, times) = (sim.clone(), times.clone());
        move |next| match examine(Arc::new(sim.clone()), Path::new(ROOT), Depth::Quick) {
            Ok((found, _)) => {
                assert_eq!(found, [], "before: {next}");
                times.fetch_add(1, Ordering::Relaxed);
            }
            Err(Error::NotAStore(_)) => assert_eq!(times.load(Ordering::Relaxed), 0, "{next}"),
            Err(error) => panic!("before {next}: {error}"),
        }
    });
    let watched: Arc<dyn Disk> = Arc::new(watched);
    work(watched.clone());
    let store = Store::open(watched, Path::new(ROOT)).expect("opens");
    let young = UNIX_EPOCH + Duration::from_secs(1);
    let mut prune = store.prune(young).expect("begins").expect("the only one");
    prune.set_step(1);
    for n in (0..22).step_by(5) {
        let id = LobId::of(&noise(n, 300));
        assert!(prune.keep(&id).expect("keeps"));
    }
    let plan = prune.plan().expect("plans");
    plan.run(&()).expect("prunes");
    assert!(times.load(Ordering::Relaxed) > 300, "{times:?}");
    let (found, examined) = examine(Arc::new(sim), Path::new(ROOT), Depth::Deep).expect("examines");
    assert_eq!((found, examined.lobs), (Vec::new(), 5));
}

/// The locks of those who work are not in what is replayed: what they leave looks left behind.
#[test]
fn p5_what_others_do_meanwhile_is_no_finding() {
    let own = |disk: &SimDisk, _: &mut Witness| {
        work(Arc::new(disk.clone()));
        Ok(())
    };
    for (name, run) in runs::ALL.iter().copied().chain([("own", own as runs::Run)]) {
        let sim = disk();
        run(&sim, &mut Witness::new()).expect("works");
        let log = sim.log();
        let mut log = log.iter();
        let made = log.position(|change| change.ends_with("-> /repo/lob/state/format"));
        let moving = Moving::new(&sim, made.expect("it was made") + 1);
        for at in 0..moving.len() {
            for pace in [(1, 40), (1, 10), (1, 3), (1, 1), (3, 1), (10, 1)] {
                for depth in [Depth::Quick, Depth::Deep] {
                    let moving = Arc::new(moving.from(at, pace));
                    let (found, _) = examine(moving, Path::new(ROOT), depth).expect("examines");
                    let left = |finding: &&Finding| finding.gravity == Gravity::Leftover;
                    let left = found
                        .iter()
                        .filter(left)
                        .filter(|f| f.remedy != Remedy::Adopt);
                    assert_eq!(left.count(), found.len(), "{name} {pace:?} {at}: {found:?}");
                }
            }
        }
    }
}

/// That a file may not be read now, whichever, does not mean that anything is lost.
#[test]
fn what_cannot_be_read_is_not_taken_for_lost() {
    let sim = disk();
    work(Arc::new(sim.clone()));
    let mut findings = 0;
    for read in 0.. {
        let disk = sim.killed(sim.changes());
        disk.fail_read_at(read, ErrorKind::PermissionDenied);
        let examined = examine(Arc::new(disk.clone()), Path::new(ROOT), Depth::Deep);
        if disk.injected() == 0 {
            break;
        }
        let found = match examined {
            Ok((found, _)) => found,
            Err(error) => {
                assert!(error.to_string().contains("state/format"), "{error}");
                continue;
            }
        };
        findings += found.len();
        let is_lost = |f: &&Finding| f.gravity == Gravity::Loss;
        assert_eq!(found.iter().find(is_lost), None, "read {read}");
    }
    assert!(findings > 50, "{findings}");
}

/// P1: after a crash there are leftovers at most, and the next one to open the store clears them.
#[test]
fn p1_a_crash_leaves_no_damage() {
    let mut states = 0;
    let mut judge = |disk: &SimDisk, what: &str| {
        let examined = examine(Arc::new(disk.clone()), Path::new(ROOT), Depth::Deep);
        let (found, _) = match examined {
            Err(Error::NotAStore(_)) => return,
            examined => examined.unwrap_or_else(|e| panic!("{what}: {e}")),
        };
        states += 1;
        let worse = found.iter().filter(|f| f.gravity < Gravity::Leftover);
        assert_eq!(worse.count(), 0, "{what}: {found:?}");
        let _ = Witness::new()
            .open(disk)
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        let (found, _) = examine(Arc::new(disk.clone()), Path::new(ROOT), Depth::Quick)
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        let is_left = |f: &Finding| f.remedy == Remedy::Open || f.gravity < Gravity::Leftover;
        assert!(!found.iter().any(is_left), "{what}: {found:?}");
    };
    for (name, run) in runs::ALL {
        let disk = disk();
        let start = disk.changes();
        run(&disk, &mut Witness::new()).expect("nothing fails");
        for at in start..=disk.changes() {
            judge(&disk.killed(at), &format!("{name}: killed after {at}"));
            for crash in disk.crash_states(at, 4) {
                judge(&crash.disk, &format!("{name}: {crash}"));
            }
        }
    }
    assert!(states > 2000, "only {states} states");
}

#[test]
fn a_damaged_chunk_is_lost_only_if_no_other_pack_has_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let packs = spare::store(dir.path());
    assert_eq!(found(dir.path()), []);
    let [_, small] = spare::contents();
    let chunk = ChunkId::of(&small);
    for (n, path) in packs.iter().enumerate() {
        let mut bytes = fs::read(path).expect("reads");
        let at = spare::find(&bytes, &small[..100]);
        bytes[at] ^= 1;
        fs::write(path, bytes).expect("writes");
        let found = found(dir.path());
        let of_chunk = |f: &&Finding| matches!(f.object, Object::Chunk(id, _) if id == chunk);
        let chunks: Vec<_> = found.iter().filter(of_chunk).collect();
        assert_eq!(chunks.len(), n + 1, "{found:?}");
        for finding in chunks {
            let expected = match n {
                0 => (Gravity::Damage, Remedy::Rewrite),
                _ => (Gravity::Loss, Remedy::Fetch),
            };
            assert_eq!((finding.gravity, finding.remedy), expected);
        }
        let lobs = found
            .iter()
            .filter(|f| f.object == Object::Lob(LobId::of(&small)));
        assert_eq!(lobs.count(), n, "{found:?}");
    }
}

#[test]
fn a_damaged_manifest_is_lost_only_if_no_other_pack_has_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let packs = spare::store(dir.path());
    let lob = LobId::of(&spare::contents()[0]);
    for (n, path) in packs.iter().enumerate() {
        let mut bytes = fs::read(path).expect("reads");
        let at = spare::find(&bytes, lob.as_bytes());
        bytes[at] ^= 1;
        fs::write(path, bytes).expect("writes");
        let found = found(dir.path());
        let of_lob = found.iter().filter(|f| f.object == Object::Lob(lob));
        let said: Vec<_> = of_lob.map(|f| (f.gravity, f.remedy)).collect();
        let mut expected = vec![(Gravity::Damage, Remedy::Rewrite); n + 1];
        expected.extend((n == 1).then_some((Gravity::Loss, Remedy::Fetch)));
        assert_eq!(said, expected, "{found:?}");
    }
}

fn file(name: &str) -> Object {
    Object::File(name.into())
}

/// Puts a file of this name into the store in `root`, and looks whether that is all that is found.
#[track_caller]
fn assert_left(root: &Path, name: &str, object: Object, remedy: Remedy) {
    let pack = files(root, "packs", "pack").swap_remove(0);
    fs::copy(&pack, root.join(name)).expect("copies");
    assert_found(root, object, Fault::Unused, Gravity::Leftover, remedy);
    fs::remove_file(root.join(name)).expect("removes");
}

#[test]
fn leftovers_and_unknown_names_are_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path();
    store(root, 1);
    let lock = "stage/00000000000000aa.lock";
    for name in ["state/format.new", "roots/new", "index/new", lock] {
        assert_left(root, name, file(name), Remedy::Delete);
    }
    let other = lob_store::PackId::of(b"another");
    let table = format!("packs/{other}.idx");
    assert_left(root, &table, Object::Table(other), Remedy::Delete);
    let far = "roots/ffffffffffffffff";
    for name in [
        "x",
        "packs/x.tmp",
        "index/x",
        "stage/x",
        "stage/x.lock",
        far,
    ] {
        fs::write(root.join(name), b"x").expect("writes");
        assert_found(
            root,
            file(name),
            Fault::Unknown,
            Gravity::Note,
            Remedy::Owner,
        );
        fs::remove_file(root.join(name)).expect("removes");
    }
    // Those who use a store keep files of theirs there.
    fs::write(root.join("state/x"), b"x").expect("writes");
    assert_eq!(found(root), []);
}

#[test]
fn a_pack_that_no_root_names_is_a_leftover_unless_its_stage_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path();
    store(root, 1);
    let other = lob_store::PackId::of(b"another");
    let name = format!("packs/{other}.pack");
    assert_left(root, &name, Object::Pack(other), Remedy::Adopt);
    let pack = files(root, "packs", "pack").swap_remove(0);
    fs::copy(&pack, root.join(name)).expect("copies");
    let bytes = fs::read(&pack).expect("reads");
    let number = bytes[16..24].try_into().map(u64::from_le_bytes);
    let stage = format!("stage/{:016x}", number.expect("8 bytes"));
    fs::create_dir(root.join(&stage)).expect("makes it");
    let (leftover, remedy) = (Gravity::Leftover, Remedy::Open);
    assert_found(root, file(&stage), Fault::Unused, leftover, remedy);
}

#[test]
fn runs_that_nobody_reads_are_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path();
    store(root, 9);
    let run = files(root, "index", "run").swap_remove(0);
    let bytes = fs::read(&run).expect("reads");
    let other = run.with_file_name("0000000000000000-0000000000000008.run");
    fs::rename(&run, &other).expect("renames");
    let fault = Fault::Damaged("it is not what its name says".into());
    let (damage, rebuild) = (Gravity::Damage, Remedy::Rebuild);
    assert_found(root, Object::Run(0, 8), fault, damage, rebuild);
    fs::rename(&other, &run).expect("renames");
    store(root, 40);
    fs::write(&run, bytes).expect("writes");
    let (leftover, delete) = (Gravity::Leftover, Remedy::Delete);
    assert_found(root, Object::Run(0, 9), Fault::Unused, leftover, delete);
}

/// Every hash in it holds, and it hides all that there is.
#[test]
fn p11_a_run_that_lacks_packs_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path();
    store(root, 9);
    let run = files(root, "index", "run").swap_remove(0);
    let mut bytes = fs::read(&run).expect("reads")[..80].to_vec();
    for at in (12..16).chain(56..72) {
        bytes[at] = 0;
    }
    let hash = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
    bytes.extend(hash(&bytes));
    let empty = [[0; 8].as_slice(), &hash(&[0; 8])].concat();
    fs::write(&run, [bytes, empty.clone(), empty].concat()).expect("writes");
    let found = found(root);
    let of_run = |f: &&Finding| f.object == Object::Run(0, 9) && f.gravity == Gravity::Damage;
    assert_eq!(found.iter().filter(of_run).count(), 1, "{found:?}");
}

/// A hash tells that a list is as it was written, and not that it was written right.
#[test]
fn p11_an_index_that_is_not_what_the_tables_say_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    store(dir.path(), 9);
    let path = files(dir.path(), "index", "run").swap_remove(0);
    let whole = fs::read(&path).expect("reads");
    let chunks = 80 + 32 * 9 + 32;
    let lobs = chunks + 16 * 9 + 8 + 32;
    for start in [chunks, lobs] {
        let end = start + 16 * 9 + 8;
        // All entries, and how many the fan-out says that there are.
        for at in (start..start + 16 * 9).chain([end - 4]) {
            let mut bad = whole.clone();
            bad[at] ^= 1 << (at % 4);
            let hash = blake3::hash(&bad[start..end]);
            bad[end..end + 32].copy_from_slice(hash.as_bytes());
            fs::write(&path, &bad).expect("writes");
            let quick = examine(Arc::new(OsDisk), dir.path(), Depth::Quick);
            let (found, _) = quick.expect("examines");
            assert!(
                matches!(found.as_slice(), [f] if f.object == Object::Run(0, 9)
                    && f.gravity == Gravity::Damage && f.remedy == Remedy::Rebuild),
                "at {at}: {found:?}"
            );
        }
    }
}

#[cfg(unix)]
#[test]
fn what_everybody_may_write_to_is_found() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("store");
    store(&root, 1);
    let pack = files(&root, "packs", "pack").swap_remove(0);
    let name = Path::new("packs").join(pack.file_name().expect("a name"));
    for (path, object) in [
        (&root, Object::Store),
        (&root.join("roots"), Object::File("roots".into())),
        (
            &root.join("state/format"),
            Object::File("state/format".into()),
        ),
        (&pack, Object::File(name)),
    ] {
        let before = fs::metadata(path).expect("is there").permissions();
        let open = before.mode() | 0o002;
        fs::set_permissions(path, fs::Permissions::from_mode(open)).expect("sets");
        assert_found(
            &root,
            object,
            Fault::Exposed,
            Gravity::Note,
            Remedy::Restrict,
        );
        fs::set_permissions(path, before).expect("sets");
    }
    assert_eq!(found(&root), []);
}

#[test]
fn a_sample_is_a_part_of_all() {
    let dir = tempfile::tempdir().expect("a directory");
    store(dir.path(), 40);
    let of = |depth| {
        let (found, examined) = examine(Arc::new(OsDisk), dir.path(), depth).expect("examines");
        assert_eq!((found, examined.packs, examined.lobs), (Vec::new(), 40, 40));
        (examined.whole_packs, examined.whole_lobs)
    };
    assert_eq!(of(Depth::Quick), (0, 0));
    assert_eq!(of(Depth::Deep), (40, 40));
    let sample = |percent, seed| of(Depth::Sample { percent, seed });
    assert_eq!(sample(100, 1), (40, 40));
    assert_eq!(sample(0, 1), (0, 0));
    let mut all = 0;
    for seed in 0..20 {
        let (packs, lobs) = sample(25, seed);
        assert_eq!((packs, lobs), sample(25, seed));
        all += packs + lobs;
    }
    // Packs have random names: a quarter of 1600, give or take.
    assert!((200..600).contains(&all), "{all}");
}

#[test]
fn an_examination_tells_what_it_reads_and_can_be_stopped() {
    #[derive(Default)]
    struct Heard {
        bytes: AtomicU64,
        stop: AtomicBool,
    }
    impl Progress for Heard {
        fn bytes(&self, n: u64) {
            self.bytes.fetch_add(n, Ordering::Relaxed);
        }
        fn cancelled(&self) -> bool {
            self.stop.load(Ordering::Relaxed)
        }
    }
    let dir = tempfile::tempdir().expect("a directory");
    store(dir.path(), 3);
    let heard = Heard::default();
    let run = || {
        let each = &mut |finding| panic!("{finding}");
        fsck::examine(Arc::new(OsDisk), dir.path(), Depth::Deep, &heard, each)
    };
    run().expect("examines");
    let lens = files(dir.path(), "packs", "pack").into_iter();
    let total: u64 = lens
        .map(|path| fs::metadata(path).expect("is there").len())
        .sum();
    // Lobs of one chunk need not be read again.
    assert_eq!(heard.bytes.load(Ordering::Relaxed), total);
    heard.stop.store(true, Ordering::Relaxed);
    assert!(matches!(run(), Err(Error::Interrupted)));
}
