//! Looking at every root there is, whether the chain is whole or not.

use std::io::ErrorKind;
use std::path::Path;

use crate::disk::Disk;
use crate::error::{Error, Result};

use super::mend::last_number;
use super::{Cursor, Root, path, read};

/// Calls `each` for every root up to the last one, in order, with what it says or with what is wrong
/// with it. Returns where the chain ends, unless the last ones cannot be read.
pub(crate) fn each_root(
    disk: &dyn Disk,
    dir: &Path,
    each: &mut dyn FnMut(u64, Result<Root>),
) -> Result<Option<Cursor>> {
    let mut last = Some(Cursor::default());
    for seq in 1..=last_number(disk, dir)? {
        let path = path(dir, seq);
        let what = path.display().to_string();
        let decoded = read(disk, &path).and_then(|bytes| match bytes {
            Some(bytes) => Root::decode_alone(&bytes, &what),
            None => Err(Error::at(&path)(ErrorKind::NotFound.into())),
        });
        let (root, after) = match decoded {
            Ok((_, _, after)) if after.seq != seq => {
                (Err(Error::damaged(what, "it has another number")), None)
            }
            // After one that cannot be read nobody can tell.
            Ok((root, follows, after)) if last.is_none_or(|last| last == follows) => {
                (Ok(root), Some(after))
            }
            Ok((_, _, after)) => {
                let why = "it does not follow the root before it";
                (Err(Error::damaged(what, why)), Some(after))
            }
            Err(error) => (Err(error), None),
        };
        each(seq, root);
        last = after;
    }
    Ok(last)
}
