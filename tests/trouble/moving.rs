//! Files that change while they are read.

use std::fs;
use std::time::{Duration, SystemTime};

use lob_store::LobId;

use super::says;
use crate::support::{Repo, World, noise, pointer, run};

const LEN: usize = 2_000_000;
/// Bytes that the filter has read when the file changes; git is ahead by what a pipe holds.
const READ: usize = 300_000;

fn old() -> Vec<u8> {
    noise(1, LEN)
}

fn new() -> Vec<u8> {
    noise(2, LEN)
}

/// A repository with a filter of its own, which can be another for a while.
fn repository(world: &World) -> Repo {
    let repo = world.init("repo");
    repo.track(&["*.bin"]);
    repo.lob(&["install", "--local"]);
    repo
}

/// Does something while git cleans with this command, file by file.
fn with_clean<T>(repo: &Repo, filter: &str, work: impl FnOnce() -> T) -> T {
    repo.git(&["config", "--unset", "filter.lob.process"]);
    repo.git(&["config", "filter.lob.clean", filter]);
    let done = work();
    repo.lob(&["install", "--local", "--force"]);
    done
}

/// Adds `a.bin`, to which this is done while it is read; gives what was kept of it.
#[track_caller]
fn add_while(repo: &Repo, change: &str) -> Vec<u8> {
    repo.write("a.bin", old());
    repo.write("new", new());
    // Whatever changes the file changes this, too.
    let file = fs::File::options()
        .write(true)
        .open(repo.path().join("a.bin"))
        .unwrap();
    let day = SystemTime::now() - Duration::from_secs(86_400);
    file.set_modified(day).unwrap();
    let filter = format!("(head -c {READ}; {change}; cat) | lob clean -- %f");
    with_clean(repo, &filter, || repo.git(&["add", "a.bin"]));
    let stored = repo.stored(":a.bin");
    let kept = run(repo.command("lob").arg("smudge"), &stored).stdout;
    assert_eq!(
        stored,
        pointer(&kept).into_bytes(),
        "the pointer is of what was kept"
    );
    kept
}

/// Fails unless git sees the change, and the next add keeps what is there now.
#[track_caller]
fn assert_noticed(repo: &Repo) {
    let now = repo.read("a.bin");
    assert_eq!(repo.git(&["status", "--porcelain", "a.bin"]), "AM a.bin\n");
    repo.git(&["add", "a.bin"]);
    assert_eq!(repo.stored(":a.bin"), pointer(&now).into_bytes());
    fs::remove_file(repo.path().join("a.bin")).unwrap();
    repo.git(&["checkout", "-q", "a.bin"]);
    assert_eq!(repo.read("a.bin"), now);
    repo.git(&["rm", "-q", "-f", "a.bin"]);
}

#[test]
fn what_is_kept_of_a_file_that_changes_is_what_its_pointer_says() {
    let world = World::without_filter();
    let repo = repository(&world);

    let kept = add_while(&repo, "cat new >>a.bin");
    assert_eq!(kept, [old(), new()].concat(), "it grew");
    assert_noticed(&repo);

    let kept = add_while(&repo, "head -c 1000 new >a.bin");
    assert!(
        kept.len() >= READ && kept.len() < LEN && old().starts_with(&kept),
        "it shrank"
    );
    assert_noticed(&repo);

    let kept = add_while(&repo, "cat new 1<>a.bin");
    let same = kept
        .iter()
        .zip(old())
        .take_while(|(a, b)| **a == *b)
        .count();
    assert!(
        same >= READ && kept[same..] == new()[same..],
        "other bytes, as long"
    );
    assert_noticed(&repo);

    let kept = add_while(&repo, "mv new a.bin");
    assert_eq!(
        LobId::of(&kept),
        LobId::of(&old()),
        "another file in its place"
    );
    assert_noticed(&repo);

    let kept = add_while(&repo, "rm a.bin");
    assert_eq!(LobId::of(&kept), LobId::of(&old()));
    assert_eq!(repo.git(&["status", "--porcelain", "a.bin"]), "AD a.bin\n");
    repo.git(&["checkout", "-q", "a.bin"]);
    assert_eq!(repo.read("a.bin"), old());
}

/// What is read to its end is one thing; what can't be is no file.
#[test]
fn a_file_that_cannot_be_read_to_its_end_is_not_added() {
    let world = World::without_filter();
    let repo = repository(&world);
    repo.write("a.bin", old());
    let filter = format!("(head -c {READ}; exit 1) && lob clean -- %f");
    let said = with_clean(&repo, &filter, || {
        repo.try_git(&["add", "a.bin"]).fails(128)
    });
    says(&said, &["a.bin"]);
    repo.git(&["add", "a.bin"]);
    assert_eq!(repo.stored(":a.bin"), pointer(&old()).into_bytes());
}
