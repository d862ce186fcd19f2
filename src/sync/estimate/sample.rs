//! Which versions stand for all, where all would be too many.

use std::collections::HashSet;

use super::{History, Version};

/// A file by its number in the group, and a version by its number in the file.
pub(super) type Place = (usize, usize);

/// Versions of one file that are taken before the next file has its turn.
const TURN: usize = 4;

/// The most of one version that is measured.
pub(super) fn piece(budget: Option<u64>) -> u64 {
    budget.map_or(u64::MAX, |budget| (budget / 4).max(1))
}

/// Versions of at most `budget` bytes together, in order of file and age, and of each file those
/// from the oldest on without a gap: each but the first of a file has the one before it. The same for
/// the same files.
pub(super) fn pick(files: &[History], budget: Option<u64>) -> Vec<Place> {
    let all = |(n, file): (usize, &History)| (0..file.versions.len()).map(move |v| (n, v));
    let Some(budget) = budget else {
        return files.iter().enumerate().flat_map(all).collect();
    };
    let piece = piece(Some(budget));
    let mut picked = HashSet::new();
    let mut spent = 0_u64;
    let order = shuffled(files);
    let lengths = files.iter().map(|file| file.versions.len());
    let most = lengths.max().unwrap_or_default();
    'all: for turn in (0..most).step_by(TURN) {
        for file in &order {
            for n in turn..turn + TURN {
                let Some(version) = find(files, (*file, n)) else {
                    break;
                };
                let cost = version.size.min(piece);
                if spent.saturating_add(cost) > budget {
                    break 'all;
                }
                spent += cost;
                let _ = picked.insert((*file, n));
            }
        }
    }
    let mut picked: Vec<Place> = picked.into_iter().collect();
    picked.sort_unstable();
    picked
}

/// Bytes that are measured of these.
pub(super) fn size(files: &[History], picked: &[Place], budget: Option<u64>) -> u64 {
    let piece = piece(budget);
    let versions = picked.iter().filter_map(|place| find(files, *place));
    versions.map(|version| version.size.min(piece)).sum()
}

/// The first versions, and the later ones by their number in the file: each of these is of another
/// commit, and those that are in one are added together.
pub(super) fn generations(picked: Vec<Place>) -> (Vec<Place>, Vec<Place>) {
    let (first, mut later): (Vec<_>, Vec<_>) = picked.into_iter().partition(|(_, n)| *n == 0);
    later.sort_by_key(|(_, n)| *n);
    (first, later)
}

/// The version at a place.
pub(super) fn find(files: &[History], (file, n): Place) -> Option<&Version> {
    files.get(file)?.versions.get(n)
}

/// The files in an order that has nothing to do with their names: those with several versions, which
/// tell more, before the others.
fn shuffled(files: &[History]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_cached_key(|n| {
        let is_alone = files.get(*n).is_none_or(|file| file.versions.len() < 2);
        (is_alone, *blake3::hash(&n.to_le_bytes()).as_bytes())
    });
    order
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    fn file(sizes: &[u64]) -> History {
        let version = |&size| Version {
            size,
            place: 0,
            source: Source::File("x".into()),
        };
        History {
            path: b"x".to_vec(),
            versions: sizes.iter().map(version).collect(),
        }
    }

    #[test]
    fn without_a_limit_all_are_measured() {
        let files = [file(&[1, 2]), file(&[]), file(&[3])];
        assert_eq!(pick(&files, None), [(0, 0), (0, 1), (2, 0)]);
        assert_eq!(pick(&files, Some(100)), [(0, 0), (0, 1), (2, 0)]);
    }

    #[test]
    fn a_limit_is_kept_and_used_and_leaves_no_gap() {
        let files: Vec<_> = (1..50).map(|n| file(&vec![10; n % 12])).collect();
        for budget in [40, 200, 1000] {
            let picked = pick(&files, Some(budget));
            let size = size(&files, &picked, Some(budget));
            assert!(size <= budget && size + 10 > budget, "{size} of {budget}");
            for &(file, n) in &picked {
                assert!(n == 0 || picked.contains(&(file, n - 1)), "{file} {n}");
            }
            assert!(picked.iter().any(|(_, n)| *n > 0), "later versions too");
            assert_eq!(picked, pick(&files, Some(budget)));
        }
    }

    #[test]
    fn of_what_is_longer_than_the_limit_a_part_is_measured() {
        let files = [file(&[1 << 40, 1 << 40, 1 << 40, 1 << 40, 1 << 40])];
        let picked = pick(&files, Some(1000));
        assert_eq!(picked, [(0, 0), (0, 1), (0, 2), (0, 3)]);
        assert_eq!(size(&files, &picked, Some(1000)), 1000);
    }
}
