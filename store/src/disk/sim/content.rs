//! The bytes and the time of a simulated file: those that a process sees, and those that a power loss
//! leaves.

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
    /// When it was last written to or touched, in seconds since 1970.
    time: u64,
    durable_time: u64,
    /// Whether the time can still reach the disk.
    pends_time: bool,
}

/// What a power loss leaves of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remains {
    bytes: Arc<Vec<u8>>,
    time: u64,
}

impl Content {
    /// An empty file. Where its name is on the disk, so is the time when it was made.
    pub(super) fn made_at(time: u64) -> Content {
        Content::durable(Remains {
            bytes: Arc::default(),
            time,
        })
    }

    /// Content that is all on the disk.
    pub(super) fn durable(remains: Remains) -> Content {
        let Remains { bytes, time } = remains;
        Content {
            unwritten: bytes.len(),
            durable: bytes.clone(),
            live: bytes,
            lost: Vec::new(),
            time,
            durable_time: time,
            pends_time: false,
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

    /// When it was last written to or touched, as a process sees it.
    pub(super) fn time(&self) -> u64 {
        self.time
    }

    /// Whether a power loss changes no byte.
    pub(super) fn is_clean(&self) -> bool {
        Arc::ptr_eq(&self.durable, &self.live)
    }

    /// Whether a power loss may change when it was written.
    pub(super) fn is_dated(&self) -> bool {
        self.time == self.durable_time
    }

    pub(super) fn touch(&mut self, time: u64) {
        self.time = time;
        self.pends_time = time != self.durable_time;
    }

    pub(super) fn append(&mut self, bytes: &[u8], time: u64) {
        Arc::make_mut(&mut self.live).extend_from_slice(bytes);
        self.touch(time);
    }

    pub(super) fn cut(&mut self, len: usize, time: u64) {
        self.touch(time);
        Arc::make_mut(&mut self.live).truncate(len);
        self.unwritten = self.unwritten.min(len);
        for range in &mut self.lost {
            range.end = range.end.min(len);
        }
        self.lost.retain(|range| range.start < range.end);
    }

    /// A sync of the bytes, and of what is needed to read them. The length is, and is written together
    /// with the time; by itself the time is not.
    pub(super) fn sync(&mut self) {
        if !self.is_clean() {
            self.sync_time();
        }
        self.durable = self.writable();
        self.unwritten = self.live.len();
    }

    /// A sync of all that there is of it.
    pub(super) fn sync_all(&mut self) {
        self.sync();
        self.sync_time();
    }

    fn sync_time(&mut self) {
        if std::mem::take(&mut self.pends_time) {
            self.durable_time = self.time;
        }
    }

    /// A failed sync.
    pub(super) fn lose(&mut self) {
        self.pends_time = false;
        if self.unwritten < self.live.len() {
            self.lost.push(self.unwritten..self.live.len());
            self.unwritten = self.live.len();
        }
    }

    /// What a power loss may leave of this file: the old bytes, the new ones, a part of the new
    /// ones, and the new length with zeros or garbage in it, as file systems do that allocate
    /// before they write. With the old bytes comes the old time. Distinct, at least one.
    pub(super) fn remains(&self) -> Vec<Remains> {
        let all = self.writable();
        let half = self.unwritten + (all.len() - self.unwritten) / 2;
        let mut zeros = all.to_vec();
        zeros[self.unwritten..].fill(0);
        let mut garbage = all.to_vec();
        for (offset, byte) in garbage.iter_mut().enumerate().skip(half) {
            *byte ^= (offset % 255) as u8 + 1;
        }
        let old = Remains {
            bytes: self.durable.clone(),
            time: self.durable_time,
        };
        let time = match self.pends_time {
            true => self.time,
            false => self.durable_time,
        };
        let new = [
            Arc::new(all[..half].to_vec()),
            Arc::new(zeros),
            Arc::new(garbage),
            all,
        ];
        let new = new.into_iter().map(|bytes| Remains { bytes, time });
        let mut remains: Vec<Remains> = Vec::new();
        for candidate in [old].into_iter().chain(new) {
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
        let remains = content.remains().into_iter();
        remains.map(|remains| remains.bytes.to_vec()).collect()
    }

    fn times(content: &Content) -> Vec<u64> {
        content
            .remains()
            .iter()
            .map(|remains| remains.time)
            .collect()
    }

    #[test]
    fn unsynced_bytes_may_be_missing_partial_or_wrong() {
        let mut content = Content::default();
        content.append(b"old ", 0);
        content.sync();
        assert!(content.is_clean());
        content.append(b"new!", 0);
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
        let mut content = Content::durable(Remains {
            bytes: Arc::new(b"whole torn".to_vec()),
            time: 0,
        });
        content.cut(5, 0);
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
        content.append(b"lost", 0);
        content.lose();
        content.append(b"kept", 0);
        content.sync();
        assert_eq!(content.bytes(), b"lostkept");
        assert!(!content.is_clean());
        for remains in remains(&content) {
            assert_eq!(remains, b"\0\0\0\0kept");
        }
    }

    #[test]
    fn a_time_is_durable_with_the_bytes_or_once_all_is_synced() {
        let mut content = Content::made_at(1);
        assert_eq!(times(&content), [1]);
        content.append(b"bytes", 2);
        assert_eq!((content.time(), &times(&content)[..2]), (2, &[1, 2][..]));
        content.sync();
        assert_eq!(times(&content), [2]);
        content.touch(3);
        content.sync();
        assert_eq!((content.time(), times(&content)), (3, vec![2, 3]));
        content.sync_all();
        assert_eq!(times(&content), [3]);
    }

    #[test]
    fn a_time_of_a_failed_sync_never_arrives() {
        let mut content = Content::made_at(1);
        content.touch(2);
        content.lose();
        content.sync_all();
        assert_eq!((content.time(), times(&content)), (2, vec![1]));
        content.touch(3);
        content.sync_all();
        assert_eq!(times(&content), [3]);
    }
}
