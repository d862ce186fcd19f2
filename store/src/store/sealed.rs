//! Small files of state: lines of text under a heading, closed by the hash of all before it. Each is
//! whole, or counts for nothing.

use std::path::Path;

use crate::disk::{self, Disk};
use crate::error::{Error, Result};

/// The lines of such a file; `None` where there is none, and `Some(None)` where it cannot be read for
/// what it is or is longer than `most` bytes.
pub(crate) fn read(
    disk: &dyn Disk,
    path: &Path,
    heading: &str,
    most: u64,
) -> Result<Option<Option<String>>> {
    let Some(len) = disk.len(path).map_err(Error::at(path))? else {
        return Ok(None);
    };
    let file = disk.open(path).map_err(Error::at(path))?;
    let mut bytes = vec![0; len.min(most) as usize];
    file.read_at(0, &mut bytes).map_err(Error::at(path))?;
    let text = std::str::from_utf8(&bytes).ok();
    Ok(Some(text.and_then(|text| {
        let lines = lines(text)?.strip_prefix(heading)?;
        lines.strip_prefix('\n').map(str::to_string)
    })))
}

fn lines(text: &str) -> Option<&str> {
    let at = text.strip_suffix('\n')?.rfind('\n')? + 1;
    let (lines, last) = text.split_at(at);
    let seal = blake3::hash(lines.as_bytes()).to_hex();
    (last == format!("check {seal}\n")).then_some(lines)
}

/// Replaces such a file, by way of `new`, durably.
pub(crate) fn write(
    disk: &dyn Disk,
    path: &Path,
    new: &Path,
    heading: &str,
    lines: &str,
) -> Result<()> {
    clear(disk, new)?;
    let mut text = format!("{heading}\n{lines}");
    let seal = blake3::hash(text.as_bytes()).to_hex();
    text.push_str(&format!("check {seal}\n"));
    let file = disk.create(new).map_err(Error::at(new))?;
    file.append(text.as_bytes()).map_err(Error::at(new))?;
    disk::publish(disk, file.as_ref(), new, path).map_err(Error::at(path))
}

/// Removes what one who was killed left of such a file.
pub(crate) fn clear(disk: &dyn Disk, new: &Path) -> Result<()> {
    match disk.len(new).map_err(Error::at(new))? {
        Some(_) => disk.remove(new).map_err(Error::at(new)),
        None => Ok(()),
    }
}
