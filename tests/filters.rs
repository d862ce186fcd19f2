//! The filters, run by real git.

mod checkout;
#[cfg(unix)]
mod many;
mod populate;
mod quiet;
mod trouble;

use std::fs;
use std::path::Path;

use crate::support::{Repo, World, noise, run};

/// A repository with lobs of all lengths in two commits: `first` and `main`.
fn two_versions(world: &World) -> Repo {
    let repo = world.init("repo");
    repo.track(&["*.bin"]);
    for (seed, (path, len)) in FILES.iter().enumerate() {
        repo.write(path, noise(seed as u64, *len));
    }
    repo.write("plain.txt", "text\n");
    repo.commit("First");
    repo.git(&["branch", "first"]);
    for (seed, (path, len)) in FILES.iter().enumerate() {
        repo.write(path, noise(100 + seed as u64, *len));
    }
    repo.commit("Second");
    repo
}

const FILES: [(&str, usize); 6] = [
    ("one byte.bin", 1),
    ("dir/small.bin", 20_000),
    ("dir/sub/medium.bin", 400_000),
    ("new\nline \".bin", 1025),
    ("large.bin", 1_200_000),
    ("larger.bin", 4_500_000),
];

#[track_caller]
fn assert_version(repo: &Repo, first_seed: u64) {
    for (seed, (path, len)) in FILES.iter().enumerate() {
        let expected = noise(first_seed + seed as u64, *len);
        assert!(repo.read(path) == expected, "{path:?} has its content");
    }
}

fn is_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"version git-lob/2\noid blake3:")
}

/// Counts how often git starts the filter, from now on.
struct Starts<'w> {
    world: &'w World,
}

impl Starts<'_> {
    fn count_in(world: &World) -> Starts<'_> {
        let log = world.path().join("starts");
        let command = format!("echo start >>'{}'; lob filter-process", log.display());
        let key = "filter.lob.process";
        world.ok(world
            .command("git")
            .args(["config", "--global", key, &command]));
        Starts { world }
    }

    fn take(&self) -> usize {
        let log = self.world.path().join("starts");
        let starts = fs::read_to_string(&log).unwrap_or_default().lines().count();
        fs::write(log, "").unwrap();
        starts
    }
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() && entry.file_name() != ".git" => {
                found.extend(walk(&entry.path()));
            }
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

#[test]
fn git_stores_pointers_and_the_work_tree_has_content() {
    let world = World::new();
    let repo = two_versions(&world);
    for (path, len) in FILES {
        let stored = repo.stored(&format!("HEAD:{path}"));
        assert!(is_pointer(&stored), "{path:?}");
        let text = String::from_utf8(stored).unwrap();
        assert!(text.ends_with(&format!("\nsize {len}\n")), "{text}");
    }
    assert_eq!(repo.stored("HEAD:plain.txt"), b"text\n");
    repo.assert_clean();
}

#[test]
fn pointers_and_empty_files_are_cleaned_to_themselves() {
    let world = World::new();
    let repo = world.init("repo");
    repo.track(&["*.bin"]);
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:\
        4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    let lob = format!(
        "version git-lob/2\noid blake3:{}\nsize 1000000000000\n",
        "ab".repeat(32)
    );
    let files = [
        ("empty.bin", ""),
        ("lob.bin", &lob),
        ("lfs.bin", lfs),
        (
            "git-lob.bin",
            "git-lob: aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
        ),
    ];
    for (path, text) in files {
        repo.write(path, text);
    }
    repo.write("more.bin", format!("{lob}and more\n"));
    repo.commit("Pointers");
    for (path, text) in files {
        let stored = repo.stored(&format!("HEAD:{path}"));
        assert_eq!(String::from_utf8(stored).unwrap(), text, "{path}");
        fs::remove_file(repo.path().join(path)).unwrap();
    }
    let more = repo.stored("HEAD:more.bin");
    assert!(
        is_pointer(&more) && more != lob.as_bytes(),
        "extra bytes make it content"
    );
    let checkout = repo.try_git(&["checkout", "."]);
    assert!(checkout.success, "{checkout:?}");
    for (path, text) in files {
        assert_eq!(repo.read(path), text.as_bytes(), "{path}");
    }
    assert!(
        checkout.stderr.contains("1 file (lob.bin)"),
        "{}",
        checkout.stderr
    );
    assert!(
        checkout.stderr.contains("lob sync --mode fixup"),
        "{}",
        checkout.stderr
    );
    assert!(checkout.stderr.contains("Git LFS"), "{}", checkout.stderr);
    assert!(
        checkout.stderr.contains("git-lob 2015"),
        "{}",
        checkout.stderr
    );
    repo.assert_clean();
}

#[test]
fn files_that_were_never_cleaned_pass_through() {
    let world = World::new();
    let repo = world.init("repo");
    let long = noise(1, 5_000_000);
    repo.write("short.bin", "short");
    repo.write("long.bin", &long);
    repo.commit("Before lob");
    repo.track(&["*.bin"]);
    repo.git(&["add", ".gitattributes"]);
    repo.git(&["commit", "-q", "-m", "Track"]);
    for path in ["short.bin", "long.bin"] {
        fs::remove_file(repo.path().join(path)).unwrap();
    }
    repo.git(&["checkout", "."]);
    assert_eq!(repo.read("short.bin"), b"short");
    assert!(repo.read("long.bin") == long);
    let left = fs::read_dir(repo.path().join(".git")).unwrap();
    let left = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("lob-spool")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn the_user_decides_what_a_checkout_fills() {
    let world = World::new();
    let repo = two_versions(&world);
    let filled = |repo: &Repo| {
        let paths = FILES.iter().map(|(path, _)| *path);
        paths.filter(|path| !is_pointer(&repo.read(path))).count()
    };
    repo.git(&["config", "lob.smudge", "pointer"]);
    let quiet = repo.try_git(&["checkout", "-q", "first"]);
    assert_eq!((quiet.success, &quiet.stderr[..]), (true, ""));
    assert_eq!(filled(&repo), 0);
    repo.assert_clean();
    repo.git(&["config", "lob.smudge", "cached"]);
    repo.git(&["checkout", "-q", "main"]);
    assert_version(&repo, 100);
    let mut skip = repo.command("git");
    skip.args(["checkout", "-q", "first"])
        .env("LOB_SKIP_SMUDGE", "1");
    assert!(run(&mut skip, b"").success);
    assert_eq!(filled(&repo), 0);
    repo.git(&["config", "lob.smudge", "sometimes"]);
    let wrong = repo.try_git(&["checkout", "main"]);
    assert!(wrong.success, "{wrong:?}");
    assert!(wrong.stderr.contains("lob.smudge"), "{}", wrong.stderr);
    assert_eq!(filled(&repo), 0);
}

#[test]
fn other_readers_of_git_get_content_too() {
    let world = World::new();
    let repo = two_versions(&world);
    for (seed, (path, len)) in FILES.iter().enumerate() {
        let object = format!("HEAD:{path}");
        let filtered = repo.try_git(&["cat-file", "--filters", &object]);
        assert!(filtered.success);
        assert!(
            filtered.stdout == noise(100 + seed as u64, *len),
            "{path:?}"
        );
    }
    let archive = repo.path().join(".git/a.zip");
    repo.git(&[
        "archive",
        "-o",
        archive.to_str().unwrap(),
        "HEAD",
        "large.bin",
    ]);
    assert!(fs::metadata(&archive).unwrap().len() > 1_200_000);
}

#[test]
fn one_shot_filters_do_the_same() {
    let world = World::new();
    world.ok(world
        .command("git")
        .args(["config", "--global", "--unset", "filter.lob.process"]));
    let repo = two_versions(&world);
    assert!(is_pointer(&repo.stored("HEAD:large.bin")));
    repo.git(&["checkout", "-q", "first"]);
    assert_version(&repo, 0);
    let content = noise(9, 2_000_000);
    let pointer = run(repo.command("lob").arg("clean"), &content);
    assert!(
        pointer.success && is_pointer(&pointer.stdout),
        "{pointer:?}"
    );
    let back = run(
        repo.command("lob").args(["smudge", "--", "-odd"]),
        &pointer.stdout,
    );
    assert!(back.success && back.stdout == content);
    let nothing = run(repo.command("lob").arg("clean"), b"");
    assert!(nothing.success && nothing.stdout.is_empty());
}

#[test]
fn adding_the_same_again_stores_nothing() {
    let world = World::new();
    let repo = two_versions(&world);
    let size = || {
        let packs = walk(&repo.path().join(".git/lob/packs"));
        packs
            .iter()
            .map(|path| fs::metadata(path).unwrap().len())
            .sum::<u64>()
    };
    let before = size();
    for (path, _) in FILES {
        let content = repo.read(path);
        repo.write(path, content);
    }
    repo.git(&["add", "--renormalize", "."]);
    repo.assert_clean();
    assert_eq!(size(), before);
}
