//! Looking: what ls-files, status and doctor say of a repository.

use std::sync::Arc;

use lob_store::disk::OsDisk;
use lob_store::{LobId, Store};

use crate::support::{Repo, World, noise, pointer};

/// Puts content into the store of a repository, and gives its pointer.
fn put(repo: &Repo, content: &[u8]) -> String {
    let store = Store::open_or_create(Arc::new(OsDisk), &repo.path().join(".git/lob")).unwrap();
    let mut writer = store.writer().unwrap();
    writer.add(&mut &*content, &()).unwrap();
    writer.finish().unwrap();
    pointer(content)
}

/// A commit with one lob that is here, one that is not, one of Git LFS, and an ordinary file.
fn mixed(world: &World) -> Repo {
    let repo = world.init("repo");
    repo.write("a b\n.bin", put(&repo, &noise(1, 5000)));
    repo.write("gone.bin", pointer(&noise(2, 12_345_678)));
    let sha256 = "4".repeat(64);
    let lfs = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize 7\n");
    repo.write("other.bin", lfs);
    repo.write("plain.txt", "text");
    repo.commit("First");
    repo
}

#[test]
fn ls_files_shows_id_presence_size_and_path() {
    let world = World::without_filter();
    let repo = mixed(&world);
    let (here, gone) = (LobId::of(&noise(1, 5000)), LobId::of(&noise(2, 12_345_678)));
    let short = |id: LobId| id.to_string()[..12].to_owned();
    let all = format!(
        "{} *    5.0 kB  \"a b\\n.bin\"\n{} -   12.3 MB  gone.bin\n444444444444 -       7 B  other.bin\n",
        short(here),
        short(gone)
    );
    assert_eq!(repo.lob(&["ls-files"]), all);
    let long = repo.lob(&["ls-files", "--missing", "--long"]);
    let sha256 = "4".repeat(64);
    assert_eq!(
        long,
        format!("{gone} -   12.3 MB  gone.bin\n{sha256} -       7 B  other.bin\n")
    );
    let raw = repo.try_lob(&["ls-files", "-z"]).stdout;
    let first = format!("{here} * 5000\ta b\n.bin\0{gone} - 12345678\tgone.bin\0");
    assert!(
        raw.starts_with(first.as_bytes()),
        "{}",
        String::from_utf8_lossy(&raw)
    );
    let json = repo.lob(&["ls-files", "--json"]);
    let lines: Vec<serde_json::Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["path"], "a b\n.bin");
    assert_eq!(lines[0]["present"], true);
    assert_eq!(lines[1]["id"], gone.to_string());
    assert_eq!(lines[2]["kind"], "lfs");
}

#[test]
fn ls_files_of_a_commit_lists_every_path_and_leaves_no_trace() {
    let world = World::without_filter();
    let repo = mixed(&world);
    let before = repo.lob(&["ls-files"]);
    repo.write("copy.bin", put(&repo, &noise(1, 5000)));
    repo.git(&["rm", "-q", "gone.bin"]);
    repo.commit("Second");
    assert_eq!(repo.lob(&["ls-files", "HEAD~"]), before);
    assert_eq!(repo.lob(&["ls-files", "HEAD"]), repo.lob(&["ls-files"]));
    assert_eq!(
        repo.lob(&["ls-files", "main"]).lines().count(),
        3,
        "the same blob twice"
    );
    repo.assert_clean();
    let left = std::fs::read_dir(repo.path().join(".git")).unwrap();
    assert!(
        left.map(|entry| entry.unwrap().file_name())
            .all(|name| { !name.to_string_lossy().starts_with("lob-index") })
    );
    let stderr = repo.try_lob(&["ls-files", "no-such"]).fails(1);
    assert!(
        stderr.contains("no commit or tree named no-such"),
        "{stderr}"
    );
    let stderr = repo.try_lob(&["ls-files", "--", "--output=x"]).fails(1);
    assert!(stderr.contains("begins with `-`"), "{stderr}");
}

#[test]
fn looking_makes_no_store() {
    let world = World::without_filter();
    let repo = world.init("repo");
    repo.write("a.bin", pointer(b"x"));
    repo.commit("First");
    for verb in ["ls-files", "env"] {
        repo.lob(&[verb]);
        assert!(!repo.path().join(".git/lob").exists(), "{verb}");
    }
}

#[cfg(unix)]
#[test]
fn a_path_that_is_no_text_is_shown_whole() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let world = World::without_filter();
    let repo = world.init("repo");
    std::fs::write(
        repo.path().join(OsStr::from_bytes(b"\xff\x1b")),
        pointer(b"x"),
    )
    .unwrap();
    repo.commit("First");
    assert!(repo.lob(&["ls-files"]).ends_with("  \"\\377\\033\"\n"));
    assert!(
        repo.try_lob(&["ls-files", "-z"])
            .stdout
            .ends_with(b"\t\xff\x1b\0")
    );
    let json = repo.lob(&["ls-files", "--json"]);
    assert!(json.contains("\"path_bytes\":\"ff1b\""), "{json}");
}

#[test]
fn track_names_the_files_that_git_holds_whole() {
    let world = World::without_filter();
    let repo = world.init("repo");
    repo.write("whole.bin", "content");
    repo.write("empty.bin", "");
    repo.write("lob.bin", pointer(b"x"));
    repo.write("other.txt", "text");
    repo.commit("First");
    let said = repo.try_lob(&["track", "*.bin"]).stderr;
    assert!(said.contains("\n  whole.bin\nhint: "), "{said}");
    assert!(said.contains("git add --renormalize ."), "{said}");
    let doctor = repo.try_lob(&["doctor"]).stdout;
    let doctor = String::from_utf8(doctor).unwrap();
    assert!(
        doctor.contains("1 file that should be a lob is in git whole: whole.bin"),
        "{doctor}"
    );
}

fn status(repo: &Repo) -> serde_json::Value {
    let stdout = repo.lob(&["status", "--json"]);
    let last = stdout.lines().last().unwrap();
    serde_json::from_str(last).unwrap()
}

#[test]
fn status_names_what_needs_attention_and_the_way_out() {
    let world = World::new();
    let repo = world.init("repo");
    let bare = world.init_bare("bare.git");
    repo.track(&["*.bin"]);
    assert_eq!(
        repo.lob(&["status"]),
        "0 lobs, 0 B\nno remote: nothing is kept anywhere else  -> git remote add origin URL\n"
    );
    repo.write("a.bin", noise(1, 70_000));
    repo.write("b.bin", noise(2, 1000));
    repo.git(&["add", "."]);
    repo.git(&["remote", "add", "origin", bare.path().to_str().unwrap()]);
    assert_eq!(
        repo.lob(&["status"]),
        "2 lobs, 71.0 kB\nstaged: 2\n  new       a.bin  (70.0 kB)\n  new       b.bin  (1.0 kB)\n"
    );
    repo.commit("First");
    let text = repo.lob(&["status"]);
    assert_eq!(
        text,
        "2 lobs, 71.0 kB\nnot pushed to origin: 2, 71.0 kB  -> git push\n  a.bin  (70.0 kB)\n  b.bin  (1.0 kB)\n"
    );
    let pointer = repo.stored(":b.bin");
    repo.write("b.bin", pointer);
    let text = repo.lob(&["status"]);
    assert!(
        text.contains("still pointers, with content at hand: 1 file  -> lob checkout\n  b.bin"),
        "{text}"
    );
    let totals = status(&repo);
    assert_eq!(totals["lobs"], 2);
    assert_eq!(totals["unpushed_size"], 71_000);
    assert_eq!(totals["pointers"], 1);
    assert_eq!(totals["missing"], 0);
}

#[test]
fn status_knows_what_was_pushed_without_asking_the_remote() {
    let world = World::new();
    let repo = world.init("repo");
    let bare = world.init_bare("bare.git");
    repo.lob(&["init"]);
    repo.track(&["*.bin"]);
    repo.git(&["remote", "add", "origin", bare.path().to_str().unwrap()]);
    repo.write("a.bin", noise(1, 5000));
    repo.commit("First");
    repo.git(&["push", "-q", "origin", "main"]);
    assert_eq!(status(&repo)["unpushed"], 0);
    let calm = "1 lob, 5.0 kB: all here and pushed\n";
    assert_eq!(repo.lob(&["status"]), calm);
    let clone = world.clone_of(&bare, "clone");
    assert_eq!(
        status(&clone)["unpushed"],
        0,
        "a clone has pushed nothing and owes nothing"
    );
    clone.write("b.bin", noise(2, 5000));
    clone.commit("Second");
    std::fs::rename(bare.path(), bare.path().with_extension("away")).unwrap();
    assert_eq!(status(&clone)["unpushed"], 1);
}

#[test]
fn status_tells_missing_from_unwanted() {
    let world = World::without_filter();
    let repo = mixed(&world);
    let text = repo.lob(&["status"]);
    assert!(
        text.contains("missing: 1, 12.3 MB  -> lob pull\n  gone.bin  (12.3 MB)\n"),
        "{text}"
    );
    assert!(
        text.ends_with("lob leaves as they are: 1 file\n  other.bin  (7 B)\n"),
        "{text}"
    );
    repo.git(&["config", "lob.fetchExclude", "gone.*"]);
    let totals = status(&repo);
    assert_eq!(totals["lobs"], 2);
    assert_eq!(totals["missing"], 0);
    assert_eq!(totals["unwanted"], 1);
    assert_eq!(totals["foreign"], 1);
}

#[test]
fn status_cuts_long_lists_unless_all_is_asked_for() {
    let world = World::without_filter();
    let repo = world.init("repo");
    for n in 0..13 {
        repo.write(&format!("{n:02}.bin"), pointer(&[n]));
    }
    repo.git(&["add", "."]);
    let text = repo.lob(&["status"]);
    assert!(
        text.contains("  new       09.bin  (1 B)\n  and 3 more\n"),
        "{text}"
    );
    assert!(repo.lob(&["status", "-v"]).contains("12.bin"));
}

/// What an event says of the store.
fn stored(event: &serde_json::Value) -> (u64, u64) {
    let field = |name: &str| event[name].as_u64().unwrap();
    (field("stored"), field("alone"))
}

#[test]
fn the_price_of_a_version_is_what_the_store_keeps_for_it_alone() {
    let world = World::new();
    let repo = world.init("repo");
    repo.lob(&["init", "-q"]);
    repo.track(&["*.bin"]);
    let old = noise(1, 3_000_000);
    repo.write("a.bin", &old);
    repo.write("b.bin", b"the same again, ".repeat(100_000));
    repo.commit("First");
    let mut new = old.clone();
    new[1_500_000] ^= 1;
    repo.write("a.bin", &new);
    repo.git(&["add", "a.bin"]);

    let events = |args: &[&str], name: &str| -> Vec<serde_json::Value> {
        let json = repo.lob(args);
        let lines = json.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .filter(|event: &serde_json::Value| event["event"] == name)
            .collect()
    };
    let files = events(&["ls-files", "--stored", "--json"], "file");
    let ((a, a_alone), (b, b_alone)) = (stored(&files[0]), stored(&files[1]));
    assert!(a > 3_000_000 && a < 3_010_000, "{a}");
    assert!(
        a_alone > 32_000 && a_alone < 600_000,
        "{a_alone}: what changed"
    );
    assert!(b == b_alone && b < 10_000, "{b} compressed, of 1.6 MB");
    let all = events(&["ls-files", "--stored", "--json"], "stored");
    assert_eq!(stored(&all[0]), (a + b, a_alone + b_alone));
    let packs = Store::open(Arc::new(OsDisk), &repo.path().join(".git/lob")).unwrap();
    assert_eq!(all[0]["store"], packs.stored_bytes().unwrap());
    let staged = events(&["status", "--size", "--json"], "staged");
    assert_eq!(stored(&staged[0]), (a, a_alone));
    assert_eq!(
        events(&["status", "--json"], "stored"),
        [] as [serde_json::Value; 0]
    );

    let text = repo.lob(&["ls-files", "--stored", "-z"]);
    let first = format!("{} * 3000000 {a} {a_alone}\ta.bin\0", LobId::of(&new));
    assert!(text.starts_with(&first), "{text}");
    let text = repo.lob(&["status", "--size"]);
    assert!(
        text.contains("\nstored: 3.0 MB for these, of which "),
        "{text}"
    );
    assert!(text.contains(" kB stored for it alone\n"), "{text}");
    assert!(!repo.lob(&["status"]).contains("stored"));
}

#[test]
fn what_is_not_here_has_no_price() {
    let world = World::without_filter();
    let repo = mixed(&world);
    let text = repo.lob(&["ls-files", "--stored"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("*    5.0 kB    5."), "{text}");
    assert!(
        lines[1].ends_with("-   12.3 MB         -         -  gone.bin"),
        "{text}"
    );
    assert!(
        lines[2].ends_with("-       7 B         -         -  other.bin"),
        "{text}"
    );
    repo.try_lob(&["ls-files", "--stored", "--missing"])
        .fails(2);
    let empty = world.init("empty");
    empty.lob(&["ls-files", "--stored"]);
    empty.lob(&["status", "--size"]);
    assert!(
        !empty.path().join(".git/lob").exists(),
        "looking makes no store"
    );
}

/// Of two versions that were not pushed only the newer one is in the index.
#[test]
fn each_version_that_was_not_pushed_has_its_price() {
    let world = World::new();
    let (_origin, work) = world.pair();
    work.track(&["*.bin"]);
    let mut content = noise(1, 2_000_000);
    for at in [500_000, 1_500_000] {
        work.write("a.bin", &content);
        work.commit("A version");
        content[at] ^= 1;
    }
    let text = work.lob(&["status", "--size"]);
    let prices = text
        .lines()
        .filter(|line| line.contains(" kB stored for it alone"));
    assert_eq!(prices.count(), 2, "{text}");
}
