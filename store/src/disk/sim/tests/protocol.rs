//! Tests: what the simulation says of the protocol that everything rests on.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::disk::{Crash, Disk, Ops, SimDisk, Spoiled, publish, publish_all};

const CONTENT: &[u8] = b"sixteen bytes ok";
const MOST: usize = 10_000;

/// A disk with two durable directories.
fn disk() -> SimDisk {
    let disk = SimDisk::new();
    for dir in ["/stage", "/packs"] {
        disk.create_dir(Path::new(dir)).unwrap();
    }
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn put(disk: &dyn Disk, name: &str, content: &[u8]) -> io::Result<()> {
    let from = Path::new("/stage").join(name);
    let file = disk.create(&from)?;
    let (first, second) = content.split_at(content.len() / 2);
    file.append(first)?;
    file.append(second)?;
    publish(disk, &*file, &from, &Path::new("/packs").join(name))
}

#[derive(Debug, Default)]
struct Verdict {
    states: usize,
    /// The name is there, the content is not.
    torn: usize,
    /// The name is not there though it was published.
    missing: usize,
}

/// Judges all that a crash may leave at any point of a run that published `a` when it was through.
fn judge(disk: &SimDisk) -> Verdict {
    let mut verdict = Verdict::default();
    for at in 0..=disk.changes() {
        for crash in disk.crash_states(at, MOST) {
            verdict.states += 1;
            match crash.disk.map(Path::new("/packs/a")) {
                Ok(content) => verdict.torn += usize::from(&content[..] != CONTENT),
                Err(_) => verdict.missing += usize::from(at == disk.changes()),
            }
        }
    }
    verdict
}

#[test]
fn published_names_are_whole_and_stay() {
    let disk = disk();
    put(&disk, "a", CONTENT).unwrap();
    let verdict = judge(&disk);
    assert!(verdict.states >= 30, "{verdict:?}");
    assert_eq!((verdict.torn, verdict.missing), (0, 0), "{verdict:?}");
    assert_eq!(disk.injected(), 0);
}

#[test]
fn no_sync_of_the_protocol_can_be_left_out() {
    for (how, sync, torn, missing) in [
        (Spoiled::Left, 0, true, false),
        (Spoiled::Left, 1, false, true),
        (Spoiled::Late, 0, true, false),
        (Spoiled::Late, 1, false, true),
    ] {
        let disk = disk();
        let mut syncs = 0..;
        disk.spoil_syncs(how, move |_| syncs.next() == Some(sync));
        put(&disk, "a", CONTENT).unwrap();
        assert_eq!(disk.injected(), 1);
        let verdict = judge(&disk);
        assert!(verdict.states > 0);
        assert_eq!(verdict.torn > 0, torn, "{verdict:?}");
        assert_eq!(verdict.missing > 0, missing, "{verdict:?}");
    }
}

#[test]
fn a_sync_tells_which_names_it_makes_durable() {
    let disk = disk();
    put(&disk, "a", CONTENT).unwrap();
    let told = |disk: &SimDisk| {
        let sync = disk.syncs().pop().unwrap();
        let names = sync.names.into_iter();
        let names = names.map(|change| (change.name, change.came, change.moved, change.here));
        (sync.counts, names.collect::<Vec<_>>())
    };
    assert_eq!(told(&disk), (true, vec![("a".into(), true, false, true)]));
    disk.sync_dir(Path::new("/packs")).unwrap();
    assert_eq!(told(&disk), (false, vec![]));
    disk.remove(Path::new("/packs/a")).unwrap();
    let killed = disk.killed(disk.changes());
    killed.sync_dir(Path::new("/packs")).unwrap();
    assert_eq!(
        told(&killed),
        (true, vec![("a".into(), false, false, false)])
    );
    // The file came to the stage and left it for another directory.
    killed.sync_dir(Path::new("/stage")).unwrap();
    let stage = vec![
        ("a".into(), true, false, false),
        ("a".into(), false, true, false),
    ];
    assert_eq!(told(&killed), (true, stage));
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one() {
    let disk = disk();
    put(&disk, "a", b"old").unwrap();
    let before = disk.changes();
    put(&disk, "a", CONTENT).unwrap();
    let (mut old, mut new) = (0, 0);
    for at in before..=disk.changes() {
        for crash in disk.crash_states(at, MOST) {
            match &crash.disk.map(Path::new("/packs/a")).unwrap()[..] {
                b"old" => old += 1,
                CONTENT => new += 1,
                other => panic!("{crash}: {other:?}"),
            }
        }
    }
    assert!(old > 0 && new > 0, "{old} {new}");
}

#[test]
fn a_moved_file_is_never_without_a_name() {
    let disk = disk();
    let (from, to) = (Path::new("/stage/a"), Path::new("/packs/a"));
    let file = disk.create(from).unwrap();
    file.append(CONTENT).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new("/stage")).unwrap();
    let before = disk.changes();
    publish_all(&disk, &[(from, to)]).unwrap();
    // Syncing the old directory alone must bring the new name with it.
    disk.sync_dir(Path::new("/stage")).unwrap();
    let mut seen = HashSet::new();
    for at in before..=disk.changes() {
        for crash in disk.crash_states(at, MOST) {
            let names = [from, to].map(|path| crash.disk.len(path).unwrap().is_some());
            assert_ne!(names, [false, false], "{crash}");
            seen.insert(names);
        }
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_later_sync_does_not_bring_old_names_back() {
    let disk = disk();
    let path = Path::new("/packs/a");
    disk.create(path).unwrap().append(b"1").unwrap();
    disk.fail_at(disk.changes(), ErrorKind::Other);
    disk.sync_dir(Path::new("/packs")).unwrap_err();
    disk.remove(path).unwrap();
    disk.sync_dir(Path::new("/packs")).unwrap();
    let crashes = disk.crash_states(disk.changes(), MOST);
    assert!(!crashes.is_empty());
    for crash in crashes {
        assert_eq!(crash.disk.len(path).unwrap(), None, "{crash}");
    }
}

#[test]
fn a_failed_sync_is_final() {
    let disk = disk();
    let path = Path::new("/stage/a");
    let file = disk.create(path).unwrap();
    disk.sync_dir(Path::new("/stage")).unwrap();
    file.append(CONTENT).unwrap();
    disk.fail_at(disk.changes(), ErrorKind::Other);
    file.sync().unwrap_err();
    // Reads say all is well, and so does the next sync.
    file.sync().unwrap();
    assert_eq!(&disk.map(path).unwrap()[..], CONTENT);
    for crash in disk.crash_states(disk.changes(), MOST) {
        assert_ne!(&crash.disk.map(path).unwrap()[..], CONTENT);
    }
    assert_eq!(disk.injected(), 1);
}

#[test]
fn every_change_can_fail_and_a_retry_gets_through() {
    let whole = disk();
    put(&whole, "a", CONTENT).unwrap();
    let start = disk().changes();
    for at in start..whole.changes() {
        let disk = disk();
        disk.fail_at(at, ErrorKind::StorageFull);
        let error = put(&disk, "a", CONTENT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(disk.injected(), 1);
        put(&disk, "b", CONTENT).unwrap();
        assert_eq!(disk.injected(), 1);
        assert_eq!(&disk.map(Path::new("/packs/b")).unwrap()[..], CONTENT);

        let disk = self::disk();
        disk.fail_from(at, ErrorKind::StorageFull);
        put(&disk, "a", CONTENT).unwrap_err();
        put(&disk, "b", CONTENT).unwrap_err();
        assert_eq!(disk.injected(), 2);
    }
}

#[test]
fn a_failed_append_leaves_a_part() {
    let disk = disk();
    let file = disk.create(Path::new("/stage/a")).unwrap();
    disk.fail_at(disk.changes(), ErrorKind::Other);
    file.append(CONTENT).unwrap_err();
    assert_eq!(file.len().unwrap(), CONTENT.len() as u64 / 2);
}

#[test]
fn reads_can_fail() {
    let disk = disk();
    put(&disk, "a", CONTENT).unwrap();
    disk.fail_read_at(1, ErrorKind::Other);
    let file = disk.open(Path::new("/packs/a")).unwrap();
    let mut buf = [0; 2];
    file.read_at(0, &mut buf).unwrap_err();
    file.read_at(0, &mut buf).unwrap();
    assert_eq!(disk.injected(), 1);
}

#[test]
fn a_full_disk_takes_what_fits() {
    let disk = disk();
    disk.set_capacity(Some(20));
    put(&disk, "a", CONTENT).unwrap();
    let space = || disk.free_space(Path::new("/")).unwrap();
    assert_eq!(space(), Some(4));
    let error = put(&disk, "b", CONTENT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(disk.injected(), 1);
    assert_eq!(space(), Some(0));
    assert_eq!(disk.len(Path::new("/stage/b")).unwrap(), Some(4));
    disk.remove(Path::new("/stage/b")).unwrap();
    assert_eq!(space(), Some(4));
    disk.set_capacity(None);
    put(&disk, "b", CONTENT).unwrap();
    assert_eq!(space(), None);
}

#[test]
fn locks_exclude_and_end_with_their_value_or_their_process() {
    let disk = disk();
    let path = Path::new("/stage/lock");
    let lock = disk.lock(path, false).unwrap().unwrap();
    assert!(disk.clone().lock(path, false).unwrap().is_none());
    assert!(
        disk.killed(disk.changes())
            .lock(path, true)
            .unwrap()
            .is_some()
    );
    for crash in disk.crash_states(disk.changes(), MOST) {
        assert!(crash.disk.lock(path, true).unwrap().is_some());
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| disk.lock(path, true).unwrap().is_some());
        drop(lock);
        assert!(waiting.join().unwrap());
    });
    assert!(disk.lock(path, false).unwrap().is_some());
}

#[test]
fn a_killed_process_leaves_its_unsynced_bytes() {
    let disk = disk();
    disk.create(Path::new("/stage/a"))
        .unwrap()
        .append(CONTENT)
        .unwrap();
    let next = disk.killed(disk.changes());
    assert_eq!(&next.map(Path::new("/stage/a")).unwrap()[..], CONTENT);
    // They are as unsynced as they were.
    let mut lost = 0;
    for crash in next.crash_states(0, MOST) {
        lost += usize::from(crash.disk.map(Path::new("/stage/a")).is_err());
    }
    assert!(lost > 0);
    let before = disk.killed(disk.changes() - 1);
    assert_eq!(before.len(Path::new("/stage/a")).unwrap(), Some(0));
}

#[test]
fn operations_are_counted() {
    let disk = disk();
    disk.reset_ops();
    put(&disk, "a", CONTENT).unwrap();
    let expected = Ops {
        creates: 1,
        appends: 2,
        appended_bytes: CONTENT.len() as u64,
        syncs: 1,
        renames: 1,
        dir_syncs: 1,
        ..Ops::default()
    };
    assert_eq!(disk.ops(), expected);
    assert_eq!(disk.log().len(), disk.changes());
    assert_eq!(
        disk.log()[disk.changes() - 2],
        "rename /stage/a -> /packs/a"
    );
}

#[test]
fn many_pending_changes_are_sampled_and_the_sample_is_stable() {
    let disk = disk();
    for i in 0..20 {
        let path = format!("/stage/{i}");
        disk.create(Path::new(&path))
            .unwrap()
            .append(CONTENT)
            .unwrap();
    }
    let states = |most| {
        let crashes = disk.crash_states(disk.changes(), most);
        crashes.iter().map(Crash::to_string).collect::<Vec<_>>()
    };
    let few = states(500);
    assert_eq!(few.len(), 500);
    assert_eq!(few, states(500));
    assert!(states(MOST).len() > 5_000);
    assert!(few[0].contains("[00000000000000000000]"), "{}", few[0]);
    assert!(
        few.iter()
            .any(|text| text.contains("[11111111111111111111]"))
    );
}
