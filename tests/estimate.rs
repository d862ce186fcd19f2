//! What lob says that files would take is what they take.

use std::fs;
use std::path::Path;
use std::process::Command;

use lob_store::Store;
use lob_store::disk::OsDisk;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::store::deltas::{scattered, versions};
use crate::support::{Repo, Run, World, mounting, noise, pointer, run};

/// An estimate in a directory, where temporary files go into one that is looked at afterwards.
#[track_caller]
fn estimate(world: &World, dir: &Path, args: &[&str]) -> Run {
    let scratch = world.path().join("scratch");
    fs::create_dir_all(&scratch).unwrap();
    let mut lob = world.command("lob");
    lob.current_dir(dir).env("TMPDIR", &scratch);
    let done = run(lob.arg("estimate").args(args), b"");
    let left: Vec<_> = fs::read_dir(&scratch).unwrap().collect();
    assert!(left.is_empty(), "nothing is left behind: {left:?}");
    done
}

/// The events of one name.
fn events(run: &Run, name: &str) -> Vec<Value> {
    let stdout = String::from_utf8_lossy(&run.stdout);
    let lines = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|event: &Value| event["event"] == name)
        .collect()
}

/// The sums of an estimate that must succeed.
#[track_caller]
fn sums(run: &Run) -> Value {
    assert_eq!(run.code, Some(0), "{run:?}");
    events(run, "estimate").remove(0)
}

fn figure(event: &Value, name: &str) -> u64 {
    event[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} in {event}"))
}

#[track_caller]
fn assert_near(told: u64, real: u64, percent: u64) {
    let most = real / 100 * percent;
    assert!(told.abs_diff(real) <= most, "told {told}, was {real}");
}

/// Lines of a text that compresses, every `n`th of them another one than in the version before.
fn text(seed: u64, version: u64, lines: u64) -> Vec<u8> {
    let line = |n: u64| {
        let last = (0..=version)
            .rev()
            .find(|v| *v == 0 || (n + v).is_multiple_of(97));
        let key = noise(seed << 40 | last.unwrap_or(0) << 20 | n, 12);
        let words: Vec<_> = key
            .iter()
            .map(|byte| format!("word{}", byte % 50))
            .collect();
        words.join(" ") + "\n"
    };
    (0..lines).map(line).collect::<String>().into_bytes()
}

/// The files of each commit of a history: two that change, one that is copied, one that is renamed.
fn history() -> Vec<Vec<(&'static str, Vec<u8>)>> {
    let film = versions(6, 1_500_000);
    let mut commits = Vec::new();
    for (n, film) in film.iter().enumerate() {
        let mut files = vec![
            ("film.mov", film.clone()),
            ("notes/long.txt", text(1, n as u64, 12_000)),
            ("small.txt", b"too small to count".to_vec()),
        ];
        files.push(match n {
            0..3 => ("old name.psd", noise(5, 700_000)),
            _ => ("new name.psd", scattered(&noise(5, 700_000), 3)),
        });
        if n == 4 {
            files.push(("z-copy.mov", film.clone()));
        }
        commits.push(files);
    }
    commits
}

fn commit(repo: &Repo, files: &[(&str, Vec<u8>)]) {
    let gone = fs::read_dir(repo.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for path in gone.filter(|path| path.is_file() && !path.ends_with(".gitattributes")) {
        fs::remove_file(path).unwrap();
    }
    for (path, content) in files {
        repo.write(path, content);
    }
    repo.commit("A version");
}

/// The bytes of the local store and of the remote store after the same history was added by git and
/// pushed commit by commit, and those that the pushes moved.
fn really(world: &World, commits: &[Vec<(&str, Vec<u8>)>]) -> (Repo, u64, u64, u64) {
    let (origin, work) = world.pair();
    work.lob(&["init", "-q"]);
    work.track(&["*.mov", "*.psd", "*.txt"]);
    let mut moved = 0;
    for files in commits {
        commit(&work, files);
        let pushed = work.try_lob(&["--json", "push"]);
        moved += figure(&events(&pushed, "summary")[0], "bytes");
        work.git(&["push", "-q", "origin", "main"]);
    }
    let bytes = |dir: &Path| {
        let store = Store::open(std::sync::Arc::new(OsDisk), dir).unwrap();
        store.stored_bytes().unwrap()
    };
    let near = bytes(&work.path().join(".git/lob"));
    (work, near, bytes(&origin.path().join("lob")), moved)
}

#[test]
fn an_estimate_of_a_history_is_what_adding_and_pushing_it_takes() {
    let world = World::new();
    let commits = history();
    let plain = world.init("plain");
    commits.iter().for_each(|files| commit(&plain, files));
    let told = estimate(&world, plain.path(), &["--history", "--json"]);
    assert!(!plain.path().join(".git/lob").exists(), "only looked at");

    let (work, near, far, moved) = really(&world, &commits);
    let sum = sums(&told);
    assert_near(figure(&sum, "chunks"), near, 3);
    assert_near(figure(&sum, "stored"), far, 3);
    assert_near(figure(&sum, "moved"), moved, 3);
    let whole: usize = 6 * 1_500_000 + 2 * 700_000;
    let texts: usize = commits.iter().map(|files| files[1].1.len()).sum();
    assert_eq!(
        figure(&sum, "whole"),
        (whole + texts) as u64,
        "the copy counts once"
    );
    assert!(figure(&sum, "stored") * 3 < figure(&sum, "whole"));
    assert!(figure(&sum, "stored") * 2 < figure(&sum, "chunks"));
    assert_eq!(figure(&sum, "measured"), figure(&sum, "size"));
    let kinds = events(&told, "extension");
    let names: Vec<_> = kinds
        .iter()
        .map(|kind| kind["extension"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [".mov", ".txt", ".psd"],
        "those that take most first"
    );
    assert_eq!(
        [6, 5],
        ["versions", "later_versions"].map(|name| figure(&kinds[0], name))
    );
    assert!(figure(&kinds[0], "later_moved") < 5 * 60_000);
    assert_eq!(kinds[0]["compresses"], false);
    assert_eq!(kinds[1]["compresses"], true);
    assert_eq!(kinds[0]["versions_alike"], true);
    assert_eq!(
        kinds[2]["versions_alike"],
        Value::Null,
        "each has one version"
    );

    // Those of small.txt are lobs there.
    let again = estimate(&world, work.path(), &["--history", "--json"]);
    assert_eq!(sums(&again), sum, "lobs count as their contents");
    let only = estimate(
        &world,
        &plain.path().join("notes"),
        &["--history", "--json", "*.txt"],
    );
    assert_eq!(figure(&sums(&only), "versions"), 6, "of this directory");
}

#[test]
fn a_sample_stands_for_all_and_says_so() {
    let world = World::without_filter();
    let repo = world.init("repo");
    let files: Vec<_> = (0..6).map(|n| text(n, 0, 5_000)).collect();
    for version in 0..4 {
        for (n, file) in files.iter().enumerate() {
            let mut file = file.clone();
            file.extend(text(n as u64 + 10, version, 500));
            repo.write(&format!("{n}.txt"), file);
        }
        repo.commit("A version");
    }
    let all = estimate(
        &world,
        repo.path(),
        &["--history", "--json", "--sample", "0"],
    );
    let some = estimate(
        &world,
        repo.path(),
        &["--history", "--json", "--sample", "4M"],
    );
    let (all, some) = (sums(&all), sums(&some));
    assert!(figure(&some, "measured") <= 4 << 20);
    assert!(figure(&some, "measured") * 2 < figure(&all, "measured"));
    for name in ["files", "versions", "size"] {
        assert_eq!(some[name], all[name], "{name}");
    }
    for name in ["whole", "chunks", "stored", "moved"] {
        assert_near(figure(&some, name), figure(&all, name), 20);
    }
    let text = estimate(&world, repo.path(), &["--history", "--sample", "4M"]).ok_stderr();
    assert!(text.contains("measured on "), "{text}");
}

#[test]
fn pointers_of_git_lfs_count_where_their_content_is_here() {
    let world = World::without_filter();
    let repo = world.init("repo");
    let contents = versions(3, 600_000);
    for (n, content) in contents.iter().enumerate() {
        let hex: String = Sha256::digest(content)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let text = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{hex}\nsize {}\n",
            content.len()
        );
        repo.write("a.psd", text);
        repo.commit("A version");
        if n < 2 {
            let object = format!(".git/lfs/objects/{}/{}/{hex}", &hex[..2], &hex[2..4]);
            repo.write(&object, content);
        }
    }
    let told = estimate(&world, repo.path(), &["--history", "--json"]);
    assert_eq!(told.code, Some(3));
    let sum = &events(&told, "estimate")[0];
    assert_eq!(figure(sum, "versions"), 2);
    assert_eq!(figure(sum, "whole"), 1_200_000);
    assert!(figure(sum, "stored") < 700_000);
    assert_eq!(
        (figure(sum, "absent"), figure(sum, "absent_size")),
        (1, 600_000)
    );
    assert!(told.stderr.contains("is not here"), "{}", told.stderr);
    // So does a lob that is not here, in the work tree too.
    repo.write("b.psd", pointer(&noise(9, 300_000)));
    let told = estimate(&world, repo.path(), &["--json"]);
    assert_eq!(told.code, Some(3));
    let sum = &events(&told, "estimate")[0];
    assert_eq!(
        (figure(sum, "absent"), figure(sum, "absent_size")),
        (2, 900_000)
    );
}

#[test]
fn a_plain_directory_is_measured_as_it_is() {
    let world = World::without_filter();
    let dir = world.path().join("assets");
    let contents = versions(3, 800_000);
    fs::create_dir_all(dir.join("z/deep")).unwrap();
    for (n, content) in contents.iter().enumerate() {
        fs::write(dir.join(format!("scene-{n}.blend")), content).unwrap();
    }
    fs::write(dir.join("z/deep/copy.blend"), &contents[0]).unwrap();
    fs::write(dir.join("z/deep/tiny.blend"), "tiny").unwrap();
    let told = sums(&estimate(&world, world.path(), &["--json", "assets"]));
    assert_eq!(
        (figure(&told, "files"), figure(&told, "size")),
        (4, 3_200_000)
    );
    assert_eq!(figure(&told, "whole"), 2_400_000, "a copy counts once");
    assert!(figure(&told, "chunks") > 2_400_000);
    assert!(
        figure(&told, "stored") < 1_000_000,
        "names tell versions: {told}"
    );
    let three = ["scene-0.blend", "scene-1.blend", "scene-2.blend"];
    let args = [&["--json", "--versions"][..], &three].concat();
    let told = sums(&estimate(&world, &dir, &args));
    assert_eq!(
        (figure(&told, "files"), figure(&told, "later_versions")),
        (1, 2)
    );
    assert!(figure(&told, "later_moved") < 100_000, "{told}");
    let text = estimate(&world, &dir, &args[1..]).ok();
    assert!(text.starts_with("extension  files  versions"), "{text}");
    assert!(
        text.contains("\n.blend         1         3   2.4 MB"),
        "{text}"
    );
    assert!(text.contains("  800.0 kB -> "), "{text}");
}

/// What a repository ignores is not counted, and what a user calls wrongly is said.
#[test]
fn files_that_git_ignores_and_those_that_are_short_are_left_out() {
    let world = World::without_filter();
    let repo = world.init("repo");
    repo.write(".gitignore", "build/\n");
    repo.write("build/large.o", noise(1, 500_000));
    repo.write("new.bin", noise(2, 200_000));
    let told = sums(&estimate(&world, repo.path(), &["--json"]));
    assert_eq!(
        (figure(&told, "files"), figure(&told, "size")),
        (1, 200_000)
    );
    let told = estimate(&world, repo.path(), &["--min-size", "1M"]);
    assert_eq!(told.ok_stderr(), "there is no file of 1.0 MB or more\n");
    let told = sums(&estimate(&world, repo.path(), &["--json", "--history"]));
    assert_eq!(figure(&told, "versions"), 0, "there is no commit yet");
    for (args, code) in [
        (&["--versions"][..], 2),
        (&["--versions", "--history", "new.bin"], 2),
        (&["--versions", "build"], 2),
        (&["--sample", "x"], 2),
        (&["no such file"], 1),
    ] {
        assert_eq!(
            estimate(&world, repo.path(), args).code,
            Some(code),
            "{args:?}"
        );
    }
    let outside = estimate(&world, world.path(), &["--history"]);
    assert_eq!(outside.code, Some(1), "{outside:?}");
    world.ok(Command::new("git")
        .args(["init", "-q", "--bare"])
        .arg(world.path().join("bare")));
    let bare = estimate(&world, &world.path().join("bare"), &[]).fails(2);
    assert!(bare.contains("lob estimate --history"), "{bare}");
}

#[test]
fn what_nothing_helps_with_is_measured_and_named_with_a_way_out() {
    let world = World::without_filter();
    let repo = world.init("repo");
    for (n, like) in versions(3, 500_000).iter().enumerate() {
        // As an archive of files that were compressed all over again.
        repo.write("unlike.zip", noise(100 + n as u64, 500_000));
        repo.write("like.7z", like);
        repo.write("words.doc", text(n as u64, 0, 5_000));
        repo.write(
            &format!("only-{n}-once.jpg"),
            noise(200 + n as u64, 300_000),
        );
        repo.commit("A version");
    }
    let told = estimate(&world, repo.path(), &["--history", "--json"]);
    let said = |name: &str| {
        let kinds = events(&told, "extension");
        let kind = kinds
            .into_iter()
            .find(|kind| kind["extension"] == name)
            .unwrap();
        (kind["compresses"].clone(), kind["versions_alike"].clone())
    };
    assert_eq!(said(".zip"), (false.into(), false.into()));
    assert_eq!(said(".7z"), (false.into(), true.into()));
    assert_eq!(said(".doc").0, true);
    assert_eq!(said(".jpg"), (false.into(), Value::Null));
    let zip = events(&told, "extension")
        .into_iter()
        .find(|kind| kind["extension"] == ".zip");
    assert_near(figure(&zip.unwrap(), "stored"), 1_500_000, 2);
    let text = estimate(&world, repo.path(), &["--history"]).ok_stderr();
    assert!(text.contains("little helps with .zip: "), "{text}");
    assert!(text.contains("hint: keep them unpacked"), "{text}");
    assert!(text.contains("compressed already: .jpg."), "{text}");
}

/// A lob that is damaged here, and a file that cannot be read, cost their own figures alone.
#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_measured() {
    let world = World::new();
    let repo = world.init("repo");
    repo.lob(&["init", "-q"]);
    repo.track(&["*.bin"]);
    let gone = noise(1, 400_000);
    repo.write("gone.bin", &gone);
    repo.commit("First");
    for entry in fs::read_dir(repo.path().join(".git/lob/packs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "pack") {
            let mut bytes = fs::read(&path).unwrap();
            for at in (200..bytes.len() / 2).step_by(5_000) {
                bytes[at] ^= 1;
            }
            let mut permissions = fs::metadata(&path).unwrap().permissions();
            #[allow(
                clippy::permissions_set_readonly_false,
                reason = "it is the test's own"
            )]
            permissions.set_readonly(false);
            fs::set_permissions(&path, permissions).unwrap();
            fs::write(&path, bytes).unwrap();
        }
    }
    repo.write("good.bin", noise(2, 400_000));
    repo.commit("Second");
    let told = estimate(&world, repo.path(), &["--history", "--json"]);
    assert_eq!(told.code, Some(3), "{told:?}");
    assert!(told.stderr.contains("gone.bin: "), "{}", told.stderr);
    assert!(!told.stderr.contains("good.bin"), "{}", told.stderr);
}

#[test]
fn a_shallow_clone_says_that_it_does_not_see_all() {
    let world = World::without_filter();
    let repo = world.init("repo");
    for content in versions(2, 300_000) {
        repo.write("a.bin", content);
        repo.commit("A version");
    }
    let from = format!("file://{}", repo.path().display());
    let to = world.path().join("clone");
    world.ok(world
        .command("git")
        .args(["clone", "-q", "--depth", "1", &from])
        .arg(&to));
    let told = estimate(&world, &to, &["--history", "--json"]);
    assert_eq!(told.code, Some(3));
    assert_eq!(figure(&events(&told, "estimate")[0], "versions"), 1);
    assert!(
        told.stderr.contains("not counted: it is a shallow clone"),
        "{}",
        told.stderr
    );
}

/// A git that interrupts lob before it answers about contents.
#[cfg(unix)]
#[test]
fn an_estimate_that_is_interrupted_leaves_nothing_behind() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::without_filter();
    let repo = world.init("repo");
    for content in versions(2, 3_000_000) {
        repo.write("a.bin", content);
        repo.commit("A version");
    }
    let real = world.ok(world.command("sh").args(["-c", "command -v git"]));
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *'cat-file --batch') kill -INT $PPID ;; esac\nexec {} \"$@\"\n",
        real.trim_end()
    );
    let git = world.path().join("bin/git");
    fs::create_dir_all(world.path().join("bin")).unwrap();
    fs::write(&git, script).unwrap();
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    let scratch = world.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    let mut lob = world.command("lob");
    let old = lob.get_envs().find(|(name, _)| *name == "PATH").unwrap().1;
    let path = format!(
        "{}:{}",
        git.parent().unwrap().display(),
        old.unwrap().to_str().unwrap()
    );
    lob.current_dir(repo.path())
        .env("TMPDIR", &scratch)
        .env("PATH", path);
    let told = run(lob.args(["estimate", "--history"]), b"");
    assert_eq!(told.code, Some(130), "{told:?}");
    assert!(told.stderr.contains("interrupted"), "{told:?}");
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
}

#[test]
fn where_there_is_no_room_to_try_it_nothing_is_begun() {
    let world = World::without_filter();
    let repo = world.init("repo");
    repo.write("a.bin", noise(1, 3_000_000));
    repo.write("tmp/.gitignore", "");
    let script = "mount -t tmpfs -o size=4m none tmp; export TMPDIR=$PWD/tmp
        lob estimate --sample 100K >&2; lob estimate || exit 9";
    let Some(told) = mounting(&repo, script) else {
        return;
    };
    let stderr = told.fails(9);
    assert!(stderr.contains("not enough room in "), "{stderr}");
    assert!(stderr.contains("hint: measure less: --sample"), "{stderr}");
}
