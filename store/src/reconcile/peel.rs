//! Taking the sketch of a difference apart.

use std::collections::HashSet;

use super::sketch::{Cell, Places, check};

/// Steps for each cell after which the sketch cannot be that of any set: each symbol that is found
/// empties a cell for good, and is in some `2 ln n` of `n` cells.
const STEPS_MAX: usize = 64;

/// What cells say of a difference.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Peeled {
    /// All of it, sorted.
    Whole {
        /// Symbols that count once.
        there: Vec<u64>,
        /// Symbols that count minus once.
        here: Vec<u64>,
    },
    /// Too little: more cells are needed.
    Short,
    /// Nothing: they are not the sketch of a difference.
    Nonsense,
}

/// Takes the first cells of the sketch of a difference apart: a cell with one symbol alone gives it
/// away, and without it other cells may be left with one. The work is bounded by the number of cells,
/// whatever is in them.
pub(super) fn peel(cells: &[Cell]) -> Peeled {
    let mut cells = cells.to_vec();
    let (mut there, mut here, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    let mut steps = cells.len().saturating_mul(STEPS_MAX);
    let mut open: Vec<usize> = (0..cells.len()).rev().collect();
    while let Some(place) = open.pop() {
        let Some(symbol) = alone(&cells, place) else {
            continue;
        };
        let sign = cells[place].count;
        if !seen.insert(symbol) {
            return Peeled::Nonsense;
        }
        match sign {
            1 => there.push(symbol),
            _ => here.push(symbol),
        }
        for place in Places::of(symbol).before(cells.len()) {
            let Some(left) = steps.checked_sub(1) else {
                return Peeled::Nonsense;
            };
            steps = left;
            let cell = &mut cells[place];
            cell.add(symbol, check(symbol), sign.wrapping_neg());
            if is_alone(cell) {
                open.push(place);
            }
        }
    }
    if cells.iter().any(|cell| *cell != Cell::default()) {
        return Peeled::Short;
    }
    there.sort_unstable();
    here.sort_unstable();
    Peeled::Whole { there, here }
}

fn is_alone(cell: &Cell) -> bool {
    matches!(cell.count, 1 | u16::MAX) && cell.checks == check(cell.symbols)
}

/// The symbol of a cell that is in it alone.
fn alone(cells: &[Cell], place: usize) -> Option<u64> {
    let cell = cells.get(place).filter(|cell| is_alone(cell))?;
    // By chance a sum looks like a symbol; then it is seldom one of this cell.
    let is_its = Places::of(cell.symbols)
        .before(place + 1)
        .any(|own| own == place);
    is_its.then_some(cell.symbols)
}
