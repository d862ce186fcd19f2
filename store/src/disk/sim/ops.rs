//! Counts of operations.

/// How often each operation was asked for, failures included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the operations")]
pub struct Ops {
    pub opens: u64,
    pub creates: u64,
    pub reopens: u64,
    pub maps: u64,
    pub reads: u64,
    pub read_bytes: u64,
    pub appends: u64,
    pub appended_bytes: u64,
    pub syncs: u64,
    pub dir_syncs: u64,
    pub renames: u64,
    pub removes: u64,
    pub create_dirs: u64,
    pub remove_dirs: u64,
    pub lists: u64,
    pub lens: u64,
    pub locks: u64,
}
