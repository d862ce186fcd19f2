//! Promises that only the whole program can keep.

use std::sync::Arc;

use lob_store::disk::OsDisk;
use lob_store::{ChunkId, Error, Frame, LobId, Store};

use crate::support::{World, noise};

/// Content reaches a remote before the git refs that need it: the remote's own hook, which runs
/// before git accepts the refs, sees it; and where it cannot be sent, no ref moves.
#[cfg(unix)]
#[test]
fn p4_objects_are_there_before_refs() {
    let world = World::new();
    let origin = world.init_bare("origin.git");
    let repo = world.init("repo");
    repo.lob(&["init"]);
    repo.track(&["*.bin"]);
    repo.git(&["remote", "add", "origin", origin.path().to_str().unwrap()]);
    let content = noise(1, 50_000);
    repo.write("a.bin", &content);
    repo.commit("First");
    let hook = "#!/bin/sh\nls lob/roots/* >/dev/null && touch lobs-were-first\n";
    origin.write("hooks/pre-receive", hook);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(origin.path().join("hooks/pre-receive"), mode).unwrap();

    origin.write("lob/somebody-elses", "file");
    let stderr = repo.try_git(&["push", "origin", "main"]).fails(1);
    assert!(stderr.contains("lob: error: "), "{stderr}");
    assert_eq!(origin.git(&["for-each-ref"]), "", "no ref moved");

    std::fs::remove_dir_all(origin.path().join("lob")).unwrap();
    repo.git(&["push", "-q", "origin", "main"]);
    assert!(origin.path().join("lobs-were-first").exists());
    let store = Store::open(Arc::new(OsDisk), &origin.path().join("lob")).unwrap();
    assert!(store.lob(&LobId::of(&content)).unwrap().is_some());
}

/// What is received is seen by nobody before all of it was verified.
#[test]
fn p8_what_is_received_waits_until_it_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::open_or_create(Arc::new(OsDisk), dir.path()).unwrap();
    let (store, other) = (open(), open());
    let (good, bad) = (noise(1, 40_000), noise(2, 40_000));
    let ids = [ChunkId::of(&good), ChunkId::of(&bad)];
    let seen = |store: &Store| {
        store.refresh().unwrap();
        store.has_chunks(&ids).unwrap()
    };
    let mut damaged = Frame::plain(vec![(ids[1], 40_000)], &bad);
    damaged.stored[20_000] ^= 1;
    let mut writer = store.writer().unwrap();
    writer
        .add_frame(Frame::plain(vec![(ids[0], 40_000)], &good))
        .unwrap();
    writer.sync().unwrap();
    assert_eq!(
        seen(&other),
        [false, false],
        "it is whole, synced, and not published"
    );
    let said = writer.add_frame(damaged).and_then(|()| writer.publish());
    assert!(matches!(said, Err(Error::Damaged { .. })), "{said:?}");
    drop(writer);
    assert!(!seen(&other)[1], "damage is never seen");
    assert!(!seen(&open())[1], "nor by who opens the store later");
}

/// Peak memory does not follow the size of a file.
#[cfg(target_os = "linux")]
#[test]
fn p9_memory_does_not_grow_with_the_file() {
    use std::io::Write;
    use std::process::Stdio;
    let world = World::new();
    let repo = world.init("repo");
    let peak = |mib: u64| {
        let mut command = repo.command("lob");
        let command = command.args(["clean", "--", "a.bin"]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let stdin = child.stdin.as_mut().unwrap();
        for piece in 0..mib {
            stdin
                .write_all(&noise(1000 * mib + piece, 1 << 20))
                .unwrap();
        }
        // All but what the pipe holds has gone through by now, and the program still runs.
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        let peak: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(child.wait().unwrap().success());
        peak >> 10
    };
    let (small, large) = (peak(24), peak(120));
    assert!(
        large < small + 48,
        "{small} MiB for 24 MiB, {large} MiB for 120 MiB"
    );
    assert!(large < 256, "{large} MiB");
}
