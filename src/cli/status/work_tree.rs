//! Files of the work tree that are still pointers.

use std::fs;
use std::path::Path;

use rayon::prelude::*;

use crate::git::path::path_buf;
use crate::git::scan::Tracked;

/// Of these lobs those whose file is exactly the pointer. A file that is not there, or is anything
/// else, is the user's.
pub(super) fn pointers(top: &Path, lobs: Vec<Tracked>) -> Vec<Tracked> {
    let lobs = lobs.into_par_iter();
    lobs.filter(|lob| is_pointer(top, lob)).collect()
}

fn is_pointer(top: &Path, lob: &Tracked) -> bool {
    let text = lob.pointer.print();
    let path = top.join(path_buf(&lob.path));
    // Most files are larger than a pointer: one look at the length is enough for them.
    let meta = path.symlink_metadata();
    meta.is_ok_and(|meta| meta.is_file() && meta.len() == text.len() as u64)
        && fs::read(&path).is_ok_and(|content| content == text)
}
