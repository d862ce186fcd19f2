//! The bytes of a simulated file: those that a process reads, and those that a power loss leaves.

use std::ops::Range;
use std::sync::Arc;

/// The content of a file. Clones are cheap until they change.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    durable: Arc<Vec<u8>>,
    live: Arc<Vec<u8>>,
    /// Live bytes from here on were not written yet.
    unwritten: usize,
    /// Parts that a failed sync dropped: taken for written, but zeros on the disk.
    lost: Vec<Range<usize>>,
}

impl Content {
    /// Content that is all on the disk.
    pub(super) fn durable(bytes: Arc<Vec<u8>>) -> Content {
        Content {
            unwritten: bytes.len(),
            durable: bytes.clone(),
            live: bytes,
            lost: Vec::new(),
        }
    }

    /// What a process reads.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.live
    }

    /// The same, to be held on to.
    pub(super) fn live(&self) -> &Arc<Vec<u8>> {
        &self.live
    }

    /// The length that a process sees.
    pub(super) fn len(&self) -> u64 {
        self.live.len() as u64
    }

    /// Whether a power loss changes nothing.
    pub(super) fn is_clean(&self) -> bool {
        Arc::ptr_eq(&self.durable, &self.live)
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        Arc::make_mut(&mut self.live).extend_from_slice(bytes);
    }

    pub(super) fn cut(&mut self, len: usize) {
        Arc::make_mut(&mut self.live).truncate(len);
        self.unwritten = self.unwritten.min(len);
        for range in &mut self.lost {
            range.end = range.end.min(len);
        }
        self.lost.retain(|range| range.start < range.end);
    }

    pub(super) fn sync(&mut self) {
        self.durable = self.writable();
        self.unwritten = self.live.len();
    }

    /// A failed sync.
    pub(super) fn lose(&mut self) {
        if self.unwritten < self.live.len() {
            self.lost.push(self.unwritten..self.live.len());
            self.unwritten = self.live.len();
        }
    }

    /// What a power loss may leave of this file: the old bytes, the new ones, a part of the new
    /// ones, and the new length with zeros or garbage in it, as file systems do that allocate
    /// before they write. Distinct, at least one.
    pub(super) fn remains(&self) -> Vec<Arc<Vec<u8>>> {
        let all = self.writable();
        let half = self.unwritten + (all.len() - self.unwritten) / 2;
        let mut zeros = all.to_vec();
        zeros[self.unwritten..].fill(0);
        let mut garbage = all.to_vec();
        for (offset, byte) in garbage.iter_mut().enumerate().skip(half) {
            *byte ^= (offset % 255) as u8 + 1;
        }
        let candidates = [
            self.durable.clone(),
            Arc::new(all[..half].to_vec()),
            Arc::new(zeros),
            Arc::new(garbage),
            all,
        ];
        let mut remains: Vec<Arc<Vec<u8>>> = Vec::new();
        for candidate in candidates {
            if !remains.contains(&candidate) {
                remains.push(candidate);
            }
        }
        remains
    }

    /// The live bytes as far as they can still reach the disk.
    fn writable(&self) -> Arc<Vec<u8>> {
        let mut bytes = self.live.clone();
        for range in &self.lost {
            Arc::make_mut(&mut bytes)[range.clone()].fill(0);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remains(content: &Content) -> Vec<Vec<u8>> {
        content.remains().iter().map(|r| r.to_vec()).collect()
    }

    #[test]
    fn unsynced_bytes_may_be_missing_partial_or_wrong() {
        let mut content = Content::default();
        content.append(b"old ");
        content.sync();
        assert!(content.is_clean());
        content.append(b"new!");
        let remains = remains(&content);
        assert_eq!(remains.len(), 5);
        assert_eq!(remains[0], b"old ");
        assert_eq!(remains[1], b"old ne");
        assert_eq!(remains[2], b"old \0\0\0\0");
        assert_eq!(remains[3].len(), 8);
        assert!(remains[3].starts_with(b"old ne"));
        assert_eq!(remains[4], b"old new!");
    }

    #[test]
    fn a_cut_may_be_undone() {
        let mut content = Content::durable(Arc::new(b"whole torn".to_vec()));
        content.cut(5);
        assert_eq!(content.bytes(), b"whole");
        assert_eq!(
            remains(&content),
            [b"whole torn".to_vec(), b"whole".to_vec()]
        );
        content.sync();
        assert_eq!(remains(&content), [b"whole".to_vec()]);
    }

    #[test]
    fn bytes_of_a_failed_sync_never_arrive() {
        let mut content = Content::default();
        content.append(b"lost");
        content.lose();
        content.append(b"kept");
        content.sync();
        assert_eq!(content.bytes(), b"lostkept");
        assert!(!content.is_clean());
        for remains in remains(&content) {
            assert_eq!(remains, b"\0\0\0\0kept");
        }
    }
}
