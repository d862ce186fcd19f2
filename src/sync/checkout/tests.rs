//! The two ways beneath a work tree, and the replacing of one file.

use std::fs;
use std::path::Path;

use super::*;

fn path(text: &str) -> TreePath {
    TreePath::parse(text.as_bytes()).unwrap()
}

/// A directory with a work tree in it and something outside that must not be touched.
fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("top/a/b")).unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    fs::write(dir.path().join("outside/secret"), "secret").unwrap();
    dir
}

#[cfg(unix)]
fn link(to: &str, at: &Path) {
    std::os::unix::fs::symlink(to, at).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

macro_rules! beneath {
    ($system:ident) => {
        mod $system {
            use std::io::{Read, Write};

            use super::super::$system::Top;
            use super::*;

            #[test]
            fn files_are_made_read_renamed_and_removed() {
                let dir = tree();
                let top = Top::open(&dir.path().join("top")).unwrap();
                for place in ["file", "a/b/file"] {
                    let dir = top.dir_of(&path(place)).unwrap();
                    let mut file = dir.create_new(b"new", 0o666).unwrap();
                    file.write_all(b"content").unwrap();
                    let again = dir.create_new(b"new", 0o666).unwrap_err();
                    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
                    dir.rename(b"new", b"file").unwrap();
                    let mut text = String::new();
                    let mut file = dir.open(b"file").unwrap();
                    file.read_to_string(&mut text).unwrap();
                    assert_eq!(text, "content");
                    let mut found = false;
                    dir.each_name(&mut |name| found |= name == b"file").unwrap();
                    assert!(found);
                    dir.remove(b"file").unwrap();
                    let gone = dir.open(b"file").unwrap_err();
                    assert_eq!(gone.kind(), io::ErrorKind::NotFound);
                }
            }

            #[test]
            fn a_file_without_a_name_is_not_seen_until_it_gets_one() {
                let dir = tree();
                let base = dir.path().join("top");
                let top = Top::open(&base).unwrap();
                let inside = top.dir_of(&path("file")).unwrap();
                let before = names(&base).len();
                match inside.create_unnamed(0o600) {
                    Some(file) => {
                        assert_eq!(names(&base).len(), before);
                        inside.name(&file, b"named").unwrap();
                        assert_eq!(names(&base).len(), before + 1);
                        assert!(inside.name(&file, b"named").is_err(), "nothing is replaced");
                    }
                    None => drop(fs::File::open(&base).map(|file| inside.name(&file, b"x"))),
                }
            }

            #[test]
            fn missing_directories_are_made_only_when_asked() {
                let dir = tree();
                let top = Top::open(&dir.path().join("top")).unwrap();
                let deep = path("a/x/y/file");
                let error = top.dir_of(&deep).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::NotFound);
                assert!(!dir.path().join("top/a/x").exists());
                top.make_dir_of(&deep).unwrap();
                assert!(dir.path().join("top/a/x/y").is_dir());
            }

            /// P10: no link leads anywhere, neither on the way nor at the end.
            #[cfg(unix)]
            #[test]
            fn links_are_not_followed() {
                let dir = tree();
                let base = dir.path().join("top");
                link("../outside", &base.join("out"));
                link("a", &base.join("in"));
                link("../outside/secret", &base.join("secret"));
                link("nowhere", &base.join("dangling"));
                let top = Top::open(&base).unwrap();
                for place in ["out/secret", "in/file", "in/b/file", "secret/file"] {
                    let error = top.make_dir_of(&path(place)).unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::NotADirectory, "{place}");
                }
                let inside = top.dir_of(&path("file")).unwrap();
                for name in [&b"secret"[..], b"dangling"] {
                    let error = inside.open(name).unwrap_err();
                    assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
                    assert!(inside.create_new(name, 0o666).is_err());
                }
                assert_eq!(names(&dir.path().join("outside")), ["secret"]);
            }
        }
    };
}

beneath!(portable);
#[cfg(unix)]
beneath!(unix);

const POINTER: &[u8] = b"the pointer\n";

fn inside(dir: &tempfile::TempDir) -> Dir {
    let top = Top::open(&dir.path().join("top")).unwrap();
    top.dir_of(&path("file")).unwrap()
}

fn old(dir: &Dir) -> Metadata {
    match look(dir, b"file", POINTER).unwrap() {
        Found::Pointer(old) => old,
        other => panic!("{other:?}"),
    }
}

fn write(content: &'static [u8]) -> impl FnOnce(&mut fs::File) -> Result<(), Error> {
    use std::io::Write;
    |file| Ok(file.write_all(content)?)
}

#[test]
fn only_exactly_the_pointer_is_one() {
    let dir = tree();
    let top = dir.path().join("top");
    let inside = inside(&dir);
    let found = |content: &[u8]| {
        fs::write(top.join("file"), content).unwrap();
        matches!(look(&inside, b"file", POINTER).unwrap(), Found::Pointer(_))
    };
    assert!(found(POINTER));
    for other in [
        &b""[..],
        b"the pointer",
        b"the pointer\n\n",
        b"The pointer\n",
    ] {
        assert!(!found(other), "{}", other.escape_ascii());
    }
    let look = |name| look(&inside, name, POINTER).unwrap();
    assert!(matches!(look(b"no such"), Found::Absent));
    assert!(matches!(look(b"a"), Found::Other(None)), "a directory");
    #[cfg(unix)]
    {
        fs::write(top.join("file"), POINTER).unwrap();
        link("file", &top.join("link"));
        assert!(matches!(look(b"link"), Found::Other(None)), "a link");
        let fifo = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, top.join("fifo"), fifo, mode, 0).unwrap();
        assert!(matches!(look(b"fifo"), Found::Other(None)), "a pipe");
    }
}

#[cfg(unix)]
#[test]
fn the_mode_stays_without_set_id_bits() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tree();
    let file = dir.path().join("top/file");
    let inside = inside(&dir);
    for (mode, kept) in [
        (0o644, 0o644),
        (0o755, 0o755),
        (0o440, 0o440),
        (0o6755, 0o755),
    ] {
        let _ = fs::remove_file(&file);
        fs::write(&file, POINTER).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let old = old(&inside);
        let new = replace(&inside, b"file", POINTER, &old, write(b"content")).unwrap();
        let new = new.expect("it was the pointer");
        assert_eq!(fs::read(&file).unwrap(), b"content");
        assert_eq!(new.permissions().mode() & 0o7777, kept);
        let found = StatData::of(&fs::symlink_metadata(&file).unwrap());
        assert_eq!(StatData::of(&new), found, "as lstat says after the rename");
    }
    assert_eq!(names(&dir.path().join("top")), ["a", "file"]);
}

/// P12: an edit that is made while the content is written stays.
#[test]
fn an_edit_in_between_is_not_lost() {
    let dir = tree();
    let file = dir.path().join("top/file");
    let inside = inside(&dir);
    let meanwhile = |edit: &dyn Fn() -> io::Result<()>| {
        fs::write(&file, POINTER).unwrap();
        let old = old(&inside);
        let result = replace(&inside, b"file", POINTER, &old, |new| {
            write(b"content")(new)?;
            Ok(edit()?)
        });
        assert!(result.unwrap().is_none());
    };
    meanwhile(&|| fs::write(&file, "edited"));
    assert_eq!(fs::read(&file).unwrap(), b"edited");
    meanwhile(&|| fs::remove_file(&file));
    assert!(!file.exists());
    meanwhile(&|| fs::remove_file(&file).and_then(|()| fs::create_dir(&file)));
    assert!(file.is_dir());
    assert_eq!(
        names(&dir.path().join("top")),
        ["a", "file"],
        "no file is left over"
    );
}

#[test]
fn a_failure_leaves_the_pointer_and_nothing_else() {
    let dir = tree();
    let file = dir.path().join("top/file");
    fs::write(&file, POINTER).unwrap();
    let inside = inside(&dir);
    let old = old(&inside);
    let result = replace(&inside, b"file", POINTER, &old, |new| {
        write(b"half of the con")(new)?;
        Err(io::Error::from(io::ErrorKind::StorageFull).into())
    });
    assert!(matches!(result, Err(Error::Io(_))), "{result:?}");
    assert_eq!(fs::read(&file).unwrap(), POINTER);
    assert_eq!(names(&dir.path().join("top")), ["a", "file"]);
}

#[test]
fn what_a_killed_run_left_is_swept_and_the_living_are_not() {
    let dir = tree();
    let top = dir.path().join("top");
    let dead = ".lob-0123456789abcdef.tmp";
    let others = [
        ".lob-0123456789abcdeg.tmp",
        ".lob-0123456789abcde.tmp",
        ".lob-0123456789ABCDEF.tmp",
        "x.lob-0123456789abcdef.tmp",
        "file",
    ];
    for name in others.iter().chain([&dead]) {
        fs::write(top.join(name), POINTER).unwrap();
    }
    fs::create_dir(top.join(".lob-fedcba9876543210.tmp")).unwrap();
    let inside = inside(&dir);
    let old = old(&inside);
    let before = names(&top).len();
    let unnamed = inside.create_unnamed(0o600).is_some();
    replace(&inside, b"file", POINTER, &old, |new| {
        sweep(&inside)?;
        assert!(!top.join(dead).exists());
        let living = usize::from(!unnamed);
        assert_eq!(names(&top).len(), before - 1 + living, "without the dead");
        write(b"content")(new)
    })
    .unwrap()
    .expect("it was the pointer");
    assert_eq!(names(&top).len(), before - 1);
    assert_eq!(fs::read(top.join("file")).unwrap(), b"content");
    let living = place::Temporary::named(&inside).unwrap();
    sweep(&inside).unwrap();
    assert_eq!(names(&top).len(), before, "the one that has a name");
    drop(living);
    assert_eq!(names(&top).len(), before - 1);
}

#[test]
fn what_is_there_is_not_restored_over() {
    let dir = tree();
    let inside = inside(&dir);
    let file = dir.path().join("top/file");
    restore(&inside, b"file", POINTER, true).unwrap();
    assert_eq!(fs::read(&file).unwrap(), POINTER);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_ne!(fs::metadata(&file).unwrap().permissions().mode() & 0o100, 0);
    }
    fs::write(&file, "edited").unwrap();
    restore(&inside, b"file", POINTER, false).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"edited");
}

/// P10: a directory that turns into a link and back while files are written leads nowhere.
#[cfg(unix)]
#[test]
fn a_directory_that_becomes_a_link_meanwhile_leads_nowhere() {
    use std::sync::atomic::AtomicBool;
    let dir = tree();
    let base = dir.path().join("top");
    fs::write(dir.path().join("outside/file"), POINTER).unwrap();
    let stop = AtomicBool::new(false);
    let (mut written, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                fs::rename(base.join("a"), base.join("away")).unwrap();
                link("../outside", &base.join("a"));
                fs::remove_file(base.join("a")).unwrap();
                fs::rename(base.join("away"), base.join("a")).unwrap();
            }
        });
        let top = Top::open(&base).unwrap();
        // Until both were seen often enough, however the threads take turns.
        for round in 0..u32::MAX {
            if written >= 20 && refused >= 20 {
                break;
            }
            let place = path(if round % 2 == 0 { "a/file" } else { "a/b/file" });
            let result = top.dir_of(&place).and_then(|dir| {
                restore(&dir, b"file", POINTER, false)?;
                Ok(match look(&dir, b"file", POINTER)? {
                    Found::Pointer(old) => {
                        let content = write(b"content");
                        replace(&dir, b"file", POINTER, &old, content).is_ok()
                    }
                    _ => dir.remove(b"file").is_ok(),
                })
            });
            match result {
                Ok(_) => written += 1,
                Err(_) => {
                    refused += 1;
                    std::thread::yield_now();
                }
            }
        }
        stop.store(true, Relaxed);
    });
    assert_eq!(names(&dir.path().join("outside")), ["file", "secret"]);
    let outside = fs::read(dir.path().join("outside/file")).unwrap();
    assert_eq!(outside, POINTER, "{written} written, {refused} refused");
}
