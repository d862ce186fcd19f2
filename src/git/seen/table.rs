//! Sorted records of one length, found by the object id that each begins with.

/// Records of `width` bytes, in the order of their ids.
#[derive(Debug)]
pub struct Table {
    bytes: Vec<u8>,
    width: usize,
    oid_len: usize,
    /// A bit for each record that was found.
    found: Vec<u64>,
}

impl Table {
    /// A table over whole records; `None` unless their ids are in strict order.
    pub fn new(bytes: Vec<u8>, oid_len: usize, width: usize) -> Option<Table> {
        let sound = bytes.len().is_multiple_of(width)
            && bytes
                .chunks_exact(width)
                .zip(bytes.chunks_exact(width).skip(1))
                .all(|(a, b)| a.get(..oid_len) < b.get(..oid_len));
        sound.then(|| Table {
            found: vec![0; (bytes.len() / width).div_ceil(64)],
            bytes,
            width,
            oid_len,
        })
    }

    /// How many bytes the records have.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Every record: its id, what follows it, and whether it was found before.
    pub fn records(&self) -> impl Iterator<Item = (&[u8], &[u8], bool)> {
        let records = self.bytes.chunks_exact(self.width).enumerate();
        records.filter_map(|(at, record)| {
            let (oid, value) = record.split_at_checked(self.oid_len)?;
            Some((oid, value, self.was_found(at)))
        })
    }

    /// What follows an id, and remembers that it was asked for.
    pub fn find(&mut self, oid: &[u8]) -> Option<&[u8]> {
        let mut low = 0;
        let mut high = self.bytes.len() / self.width;
        while low < high {
            let middle = low.midpoint(high);
            let start = middle * self.width;
            let key = self.bytes.get(start..start + self.oid_len)?;
            match key.cmp(oid) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    if let Some(word) = self.found.get_mut(middle / 64) {
                        *word |= 1 << (middle % 64);
                    }
                    return self.bytes.get(start + self.oid_len..start + self.width);
                }
            }
        }
        None
    }

    fn was_found(&self, at: usize) -> bool {
        let word = self.found.get(at / 64).copied().unwrap_or(0);
        word >> (at % 64) & 1 == 1
    }
}
