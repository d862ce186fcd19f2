//! A set of small numbers, a bit each.

/// Numbers below a bound that was set when it was made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    len: usize,
    count: usize,
}

impl Bits {
    /// None of the numbers below `len`.
    pub(crate) fn none(len: usize) -> Bits {
        Bits {
            words: vec![0; len.div_ceil(64)],
            len,
            count: 0,
        }
    }

    /// Adds a number. Returns whether it is new.
    pub(crate) fn insert(&mut self, n: usize) -> bool {
        let Some(word) = self.words.get_mut(n / 64).filter(|_| n < self.len) else {
            return false;
        };
        let bit = 1 << (n % 64);
        let new = *word & bit == 0;
        *word |= bit;
        self.count += usize::from(new);
        new
    }

    /// Whether a number is in it.
    pub(crate) fn has(&self, n: usize) -> bool {
        let word = self.words.get(n / 64);
        word.is_some_and(|word| word >> (n % 64) & 1 == 1)
    }

    /// The bound.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many numbers are in it.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Whether no number is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_once_and_only_below_the_bound() {
        let mut bits = Bits::none(70);
        assert!(bits.is_empty() && !bits.has(69));
        assert_eq!(
            [69, 69, 70, 0].map(|n| bits.insert(n)),
            [true, false, false, true]
        );
        assert!(bits.has(69) && bits.has(0) && !bits.has(70) && !bits.has(1000));
    }
}
