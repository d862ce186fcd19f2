//! Many files at once, with a real store and git's own opinion of the result.

use std::fs;
use std::sync::Arc;

use lob_store::disk::OsDisk;

use super::*;
use crate::git::fixture::Fixture;

/// A repository, its store, and files that are pointers to lobs in it.
struct Scene {
    fixture: Fixture,
    repo: Repo,
    store: Store,
    files: Vec<(PointerFile, Vec<u8>)>,
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

impl Scene {
    fn new(files: &[(&str, usize)]) -> Scene {
        let fixture = Fixture::new();
        let repo = fixture.repo();
        let store = Store::create(Arc::new(OsDisk), &repo.lob_dir()).unwrap();
        let mut writer = store.writer().unwrap();
        let mut made = Vec::new();
        for (seed, (path, len)) in files.iter().enumerate() {
            let content = noise(seed as u64, *len);
            let added = writer.add(&mut &content[..], &()).unwrap();
            let file = PointerFile {
                path: path.as_bytes().to_vec(),
                id: added.id,
                size: added.size,
                executable: false,
            };
            fixture.write(path, file.pointer());
            made.push((file, content));
        }
        writer.finish().unwrap();
        fixture.commit("Pointers");
        Scene {
            fixture,
            repo,
            store,
            files: made,
        }
    }

    fn expand(&self, absent: Absent) -> Report {
        self.expand_with(absent, Settle::No, &())
    }

    fn expand_with(&self, absent: Absent, settle: Settle, progress: &dyn Progress) -> Report {
        let files: Vec<_> = self.files.iter().map(|(file, _)| file.clone()).collect();
        expand(&self.repo, &self.store, &files, absent, settle, progress).unwrap()
    }

    fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.fixture.path().join(path)).unwrap()
    }

    fn assert_expanded(&self) {
        for (file, content) in &self.files {
            let path = String::from_utf8(file.path.clone()).unwrap();
            assert!(self.read(&path) == *content, "{path} has its content");
        }
    }
}

#[test]
fn pointers_become_content_and_git_sees_no_change() {
    let sizes = [1, 5000, 300_000, (8 << 20) + 1, 5 << 20, 9 << 20];
    let names = ["a", "dir/b", "dir/c c", "dir/sub/large", "e\nf", "g"];
    let files: Vec<_> = names.into_iter().zip(sizes).collect();
    let scene = Scene::new(&files);
    let report = scene.expand_with(Absent::Leave, Settle::Wait, &());
    assert_eq!(report.written, files.len());
    assert_eq!(report.bytes, sizes.iter().sum::<usize>() as u64);
    assert!(report.failed.is_empty() && report.missing.is_empty() && report.left == 0);
    assert!(report.index.is_none(), "{:?}", report.index);
    scene.assert_expanded();
    // Without a filter git would call each of them modified, if it looked into them.
    assert_eq!(scene.fixture.run(&["status", "--porcelain"]), "");
    let again = scene.expand(Absent::Leave);
    assert_eq!((again.written, again.left), (0, files.len()));
}

/// What a run leaves that was killed between its last file and the index.
#[test]
fn files_that_git_takes_for_modified_without_reason_are_settled() {
    let scene = Scene::new(&[("a", 1000), ("b", 2000), ("c", 9 << 20), ("edited", 3000)]);
    for (file, content) in &scene.files {
        scene
            .fixture
            .write(std::str::from_utf8(&file.path).unwrap(), content);
    }
    scene.fixture.write("edited", noise(99, 3000));
    assert_eq!(
        scene
            .fixture
            .run(&["status", "--porcelain"])
            .lines()
            .count(),
        4
    );
    let files = || pointer_files(&scene.repo).unwrap();
    assert_eq!(unfinished(&scene.repo, files()).len(), 4);
    let report = scene.expand_with(Absent::Leave, Settle::Wait, &());
    assert_eq!((report.written, report.left), (0, 4));
    assert_eq!(scene.fixture.run(&["status", "--porcelain"]), " M edited\n");
    let rest = unfinished(&scene.repo, files());
    assert_eq!(
        rest.len(),
        1,
        "only what may have been edited is looked at again"
    );
}

#[test]
fn the_pointers_of_the_checkout_are_those_that_lobs_belong_in() {
    let scene = Scene::new(&[("dir/a", 1000), ("b", 2000), ("sparse", 3000)]);
    scene.fixture.write(
        "lfs",
        format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 5\n",
            "ab".repeat(32)
        ),
    );
    scene.fixture.write("text", "text");
    scene.fixture.run(&["add", "."]);
    scene.fixture.run(&["update-index", "--chmod=+x", "b"]);
    scene
        .fixture
        .run(&["update-index", "--skip-worktree", "sparse"]);
    let files = pointer_files(&scene.repo).unwrap();
    let found: Vec<_> = files
        .iter()
        .map(|file| (&file.path[..], file.executable))
        .collect();
    assert_eq!(found, [(&b"b"[..], true), (b"dir/a", false)]);
    let unfinished = unfinished(&scene.repo, files);
    assert_eq!(unfinished.len(), 2);
    fs::remove_file(scene.fixture.path().join("b")).unwrap();
    scene.fixture.write("dir/a", "edited");
    assert_eq!(super::unfinished(&scene.repo, unfinished), []);
}

/// P12: a modified file is never touched, and neither is a deleted one.
#[test]
fn what_is_no_pointer_any_more_is_left() {
    let scene = Scene::new(&[("edited", 1000), ("gone", 1000), ("kept", 1000)]);
    scene.fixture.write("edited", "my work");
    fs::remove_file(scene.fixture.path().join("gone")).unwrap();
    let report = scene.expand(Absent::Leave);
    assert_eq!((report.written, report.left), (1, 2));
    assert_eq!(scene.read("edited"), b"my work");
    assert!(!scene.fixture.path().join("gone").exists());
}

#[test]
fn what_was_deleted_comes_back_when_asked_for() {
    let mut scene = Scene::new(&[("a", 1000), ("dir/sub/b", 2000)]);
    scene.files[1].0.executable = true;
    fs::remove_file(scene.fixture.path().join("a")).unwrap();
    fs::remove_dir_all(scene.fixture.path().join("dir")).unwrap();
    let report = scene.expand_with(Absent::Restore, Settle::Wait, &());
    assert_eq!(report.written, 2);
    scene.assert_expanded();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let b = fs::metadata(scene.fixture.path().join("dir/sub/b")).unwrap();
        assert_ne!(b.permissions().mode() & 0o100, 0);
        scene.fixture.run(&["config", "core.fileMode", "false"]);
    }
    assert_eq!(scene.fixture.run(&["status", "--porcelain"]), "");
}

#[test]
fn trouble_with_one_file_stops_no_other() {
    let mut scene = Scene::new(&[("a", 1000), ("dir/b", 2000), ("c", 3000), ("d", 4000)]);
    let lost = PointerFile {
        id: LobId::of(b"nobody has this"),
        ..scene.files[1].0.clone()
    };
    scene.fixture.write("dir/b", lost.pointer());
    scene.files[1].0 = lost.clone();
    let lying = PointerFile {
        size: u64::MAX >> 20,
        ..scene.files[2].0.clone()
    };
    scene.fixture.write("c", lying.pointer());
    scene.files[2].0 = lying.clone();
    let outside = PointerFile {
        path: b"../outside".to_vec(),
        ..scene.files[0].0.clone()
    };
    scene.files.push((outside, Vec::new()));
    let report = scene.expand(Absent::Restore);
    assert_eq!(report.written, 2);
    assert_eq!(report.missing, std::slice::from_ref(&lost));
    let mut failed: Vec<_> = report
        .failed
        .iter()
        .map(|(path, e)| (&path[..], e))
        .collect();
    failed.sort_by_key(|(path, _)| *path);
    assert!(matches!(failed[0], (b"../outside", Error::Path(_))));
    assert!(matches!(failed[1], (b"c", Error::Size { .. })));
    assert_eq!(failed.len(), 2);
    assert_eq!(scene.read("dir/b"), lost.pointer());
    assert_eq!(scene.read("c"), lying.pointer());
    assert!(!scene.fixture.beside("outside").exists());
}

/// P3: content that does not hash to its id never gets to the work tree.
#[test]
fn damaged_content_leaves_the_pointer() {
    let scene = Scene::new(&[("a", 100_000), ("b", 20 << 20)]);
    for entry in fs::read_dir(scene.repo.lob_dir().join("packs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "pack") {
            let mut permissions = fs::metadata(&path).unwrap().permissions();
            #[expect(clippy::permissions_set_readonly_false, reason = "a file of this test")]
            permissions.set_readonly(false);
            fs::set_permissions(&path, permissions).unwrap();
            let mut bytes = fs::read(&path).unwrap();
            // One byte in each half MiB: in every lob and every frame.
            bytes
                .iter_mut()
                .skip(3000)
                .step_by(1 << 19)
                .for_each(|byte| *byte ^= 1);
            fs::write(&path, bytes).unwrap();
        }
    }
    let report = scene.expand(Absent::Leave);
    assert_eq!(report.written, 0);
    assert_eq!(report.failed.len(), 2, "{report:?}");
    for (file, _) in &scene.files {
        let path = String::from_utf8(file.path.clone()).unwrap();
        assert_eq!(scene.read(&path), file.pointer());
    }
    let left = fs::read_dir(scene.fixture.path()).unwrap().count();
    assert_eq!(left, 3, "two files, .git, and nothing half made");
}

#[test]
fn a_run_that_is_stopped_leaves_whole_files_only() {
    struct Stop(AtomicUsize);
    impl Progress for Stop {
        fn bytes(&self, _: u64) {
            self.0.fetch_add(1, Relaxed);
        }
        fn cancelled(&self) -> bool {
            self.0.load(Relaxed) > 0
        }
    }
    let files: Vec<String> = (0..40).map(|n| format!("dir{}/{n}", n % 3)).collect();
    let files: Vec<_> = files.iter().map(|path| (&path[..], 70_000)).collect();
    let scene = Scene::new(&files);
    let stop = Stop(AtomicUsize::new(0));
    let report = scene.expand_with(Absent::Leave, Settle::No, &stop);
    assert!(report.interrupted);
    assert!(report.written < files.len());
    let expanded = scene.files.iter().filter(|(file, content)| {
        let found = scene.read(std::str::from_utf8(&file.path).unwrap());
        assert!(found == *content || found == file.pointer());
        found == *content
    });
    assert_eq!(expanded.count(), report.written);
    let rest = scene.expand(Absent::Leave);
    assert_eq!(rest.written + report.written, files.len());
    scene.assert_expanded();
}
