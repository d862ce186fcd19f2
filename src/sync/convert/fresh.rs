//! The pointers that git is about to store: with many of them, lob stores them for it.

use crate::git::objects::Objects;
use crate::git::{Pointer, Repo};

/// New pointers of one run from which on lob stores them. So many objects git, too, keeps in a pack
/// when it receives them (`fetch.unpackLimit`).
const MANY: usize = 100;
/// Most pointers that go into a pack; git packs the rest when it finds it worth while.
const PACKED_MAX: usize = 1 << 20;

/// The pointers to content that was not kept before.
pub(super) struct Fresh<'a> {
    repo: &'a Repo,
    /// No two are the same: the content of the second would have been known.
    pointers: Vec<Pointer>,
    objects: Option<Objects<'a>>,
}

impl<'a> Fresh<'a> {
    pub(super) fn in_repo(repo: &'a Repo) -> Fresh<'a> {
        Fresh {
            repo,
            pointers: Vec::new(),
            objects: None,
        }
    }

    /// Notes a pointer that git gets next.
    pub(super) fn add(&mut self, pointer: Pointer) {
        if self.pointers.len() < PACKED_MAX {
            self.pointers.push(pointer);
        }
        if self.pointers.len() == MANY {
            // For `git status` and `git diff`, which only compare, git has stored none of those before.
            let is_stored = |objects: &Objects<'_>| {
                let mut before = self.pointers.iter().rev().skip(1);
                before.any(|pointer| objects.is_loose(&pointer.print()))
            };
            self.objects = Objects::of(self.repo).ok().filter(is_stored);
        }
        if let Some(objects) = &self.objects
            && objects.put(&pointer.print()).is_err()
        {
            // Git says better than lob could what is wrong with its own database.
            self.objects = None;
        }
    }

    /// Stores many of them once more, in a pack: as loose objects, which `git gc` removes, they
    /// would be read and compressed one by one for every push.
    pub(super) fn pack(&mut self) {
        if let Some(objects) = self.objects.take() {
            // Only a shortcut: without it git packs them.
            let _ = objects.pack(self.pointers.iter().map(Pointer::print));
        }
    }
}
