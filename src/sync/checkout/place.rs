//! One file of the work tree: from exactly the pointer to the content, or left as it is.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};

use super::{Dir, Error};

/// Every temporary file begins and ends with these; between them are [`DIGITS`] of hexadecimal.
const PREFIX: &[u8] = b".lob-";
const SUFFIX: &[u8] = b".tmp";
const DIGITS: usize = 16;

/// What is at a name.
#[derive(Debug)]
pub enum Found {
    /// Exactly the pointer, in a file of which the system says this.
    Pointer(Metadata),
    /// No file.
    Absent,
    /// Anything else; where that is a file, what the system says of it.
    Other(Option<Metadata>),
}

/// What is at `name`.
pub fn look(dir: &Dir, name: &[u8], pointer: &[u8]) -> io::Result<Found> {
    let file = match dir.open(name) {
        Ok(file) => file,
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::NotFound => Ok(Found::Absent),
                io::ErrorKind::NotADirectory => Ok(Found::Other(None)),
                _ => Err(error),
            };
        }
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Ok(Found::Other(None));
    }
    if meta.len() != pointer.len() as u64 {
        return Ok(Found::Other(Some(meta)));
    }
    let mut text = Vec::with_capacity(pointer.len() + 1);
    file.take(pointer.len() as u64 + 1).read_to_end(&mut text)?;
    match text == pointer {
        true => Ok(Found::Pointer(meta)),
        false => Ok(Found::Other(Some(meta))),
    }
}

/// Replaces the file `name`, while it is exactly `pointer`, by what `write` writes, with the mode of
/// `old`. Gives what the system says about the new file, or `None` where something else than the
/// pointer is there meanwhile. Who reads the file sees one of both and nothing between; after an
/// error it is as before.
pub fn replace(
    dir: &Dir,
    name: &[u8],
    pointer: &[u8],
    old: &Metadata,
    write: impl FnOnce(&mut File) -> Result<(), Error>,
) -> Result<Option<Metadata>, Error> {
    let mut temporary = Temporary::create(dir)?;
    write(&mut temporary.file)?;
    temporary.file.set_permissions(kept(old))?;
    // It took a while: somebody may have begun to work with the file.
    match look(dir, name, pointer)? {
        Found::Pointer(_) => Ok(Some(temporary.put(name)?)),
        Found::Absent | Found::Other(_) => Ok(None),
    }
}

/// Makes the file `name` with exactly the bytes of `pointer`, where nothing has this name.
pub fn restore(dir: &Dir, name: &[u8], pointer: &[u8], executable: bool) -> io::Result<()> {
    let mode = if executable { 0o777 } else { 0o666 };
    match dir.create_new(name, mode) {
        Ok(mut file) => file.write_all(pointer),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes the temporary files of runs that were killed. Those of living runs are locked.
pub fn sweep(dir: &Dir) -> io::Result<()> {
    let mut names = Vec::new();
    dir.each_name(&mut |name| {
        if is_temporary(name) {
            names.push(name.to_vec());
        }
    })?;
    for name in names {
        // Whatever fails here fails for a file that is in nobody's way; the next run tries again.
        let dead = dir.open(&name).is_ok_and(|file| {
            file.metadata().is_ok_and(|meta| meta.is_file()) && file.try_lock().is_ok()
        });
        if dead {
            let _ = dir.remove(&name);
        }
    }
    Ok(())
}

fn is_temporary(name: &[u8]) -> bool {
    let digits = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX));
    digits.is_some_and(|digits| {
        digits.len() == DIGITS
            && digits
                .iter()
                .all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The permissions of the file that is replaced, without set-id bits: content that came from
/// elsewhere must not get the rights that somebody gave to a pointer.
#[cfg(unix)]
fn kept(old: &Metadata) -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    PermissionsExt::from_mode(old.permissions().mode() & 0o777)
}

#[cfg(not(unix))]
fn kept(old: &Metadata) -> std::fs::Permissions {
    old.permissions()
}

/// A file beside the target, removed again unless it was put in its place.
pub(super) struct Temporary<'d> {
    dir: &'d Dir,
    /// Empty while it has none, which is until it is whole where the system can do that.
    name: Vec<u8>,
    file: File,
}

impl Temporary<'_> {
    fn create(dir: &Dir) -> io::Result<Temporary<'_>> {
        let Some(file) = dir.create_unnamed(0o600) else {
            return Temporary::named(dir);
        };
        // For the moment in which it has the name of a temporary file.
        let _ = file.try_lock();
        let name = Vec::new();
        Ok(Temporary { dir, name, file })
    }

    pub(super) fn named(dir: &Dir) -> io::Result<Temporary<'_>> {
        loop {
            let name = random_name()?;
            let file = match dir.create_new(&name, 0o600) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            let temporary = Temporary { dir, name, file };
            // Between its birth and its lock another run may have taken it for dead.
            match temporary.file.try_lock() {
                Err(std::fs::TryLockError::WouldBlock) => continue,
                // Without locks nobody sweeps here.
                Err(std::fs::TryLockError::Error(_)) => return Ok(temporary),
                Ok(()) if is_gone(&temporary.file.metadata()?) => continue,
                Ok(()) => return Ok(temporary),
            }
        }
    }

    fn put(mut self, name: &[u8]) -> io::Result<Metadata> {
        if self.name.is_empty() {
            let name = random_name()?;
            self.dir.name(&self.file, &name)?;
            self.name = name;
        }
        self.dir.rename(&self.name, name)?;
        self.name.clear();
        // Only now: the rename changes the ctime, which git looks at.
        self.file.metadata()
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            // What stays is swept by the next run.
            let _ = self.dir.remove(&self.name);
        }
    }
}

#[cfg(unix)]
fn is_gone(meta: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(meta) == 0
}

#[cfg(not(unix))]
fn is_gone(_: &Metadata) -> bool {
    false
}

fn random_name() -> io::Result<Vec<u8>> {
    let mut bytes = [0; DIGITS / 2];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let digits = u64::from_be_bytes(bytes);
    Ok([PREFIX, format!("{digits:016x}").as_bytes(), SUFFIX].concat())
}
