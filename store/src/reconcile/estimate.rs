//! How large a difference is, before its sketch can be taken apart.

use super::sketch::Cell;

/// Cells that are enough for each lob of a large difference; 1.35 in the limit, and seldom more than
/// this for a hundred or more.
const CELLS_EACH: f64 = 1.4;

/// About how many lobs a difference has, from some first cells of its sketch, where one side has
/// `excess` more than the other (negative for fewer).
///
/// Cell `i` holds each lob with the likelihood `p = 2 / (i + 2)`, and counts it as plus or minus one. So
/// its count is `excess * p` on average, with the variance `d * p * (1 - p)` for a difference of `d` lobs.
/// The mean over `n` cells tells `d` within a part `sqrt(2 / n)`, about two times in three.
pub(super) fn difference(cells: &[Cell], excess: i64) -> u64 {
    let varying = cells.iter().enumerate().skip(1);
    let squares = varying.map(|(place, cell)| {
        let p = 2.0 / (place as f64 + 2.0);
        let mean = (excess as f64 * p).round();
        // Counts come modulo 65,536; what they are off the mean is far less.
        let off = cell.count.wrapping_sub(mean as i64 as u16) as i16;
        f64::from(off) * f64::from(off) / (p * (1.0 - p))
    });
    let mean = squares.sum::<f64>() / cells.len().saturating_sub(1).max(1) as f64;
    (mean as u64).max(excess.unsigned_abs())
}

/// Cells to ask for, so that they are enough for a difference in about 19 of 20 cases, when it was
/// estimated from `known` cells.
pub(super) fn cells(difference: u64, known: usize) -> usize {
    let off = 2.0 * (2.0 / known.max(1) as f64).sqrt();
    let cells = difference as f64 * CELLS_EACH * (1.0 + off);
    let more = known + known / 4;
    (cells as usize).max(more)
}
