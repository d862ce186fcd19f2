//! A section as a table for people, which Markdown understands too.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::time::Duration;

use lob::ui::bytes::{Size, duration};

use crate::figures::{Measure, Unit};
use crate::report::{BASE, Outcome, Section};

/// A row for each measure, a column for each tool.
pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
    failed: Vec<String>,
}

impl Table {
    /// The table of a section.
    pub fn of(section: &Section) -> Table {
        let runs = section.results.iter().map(|result| result.runs.len());
        let title = format!(
            "{}: {}. Medians of {} runs; in brackets relative to {BASE}.",
            section.workload,
            section.about,
            runs.max().unwrap_or(0)
        );
        let (done, failed): (Vec<_>, Vec<_>) = section
            .results
            .iter()
            .partition(|result| !result.runs.is_empty());
        let measures: BTreeSet<_> = done
            .iter()
            .flat_map(|result| result.medians.measures())
            .collect();
        let names = done.iter().map(|result| result.tool.to_owned());
        let head = std::iter::once(section.workload.to_owned()).chain(names);
        let rows = measures.into_iter().map(|measure| {
            let cells = done.iter().map(|result| cell(result, measure));
            std::iter::once(measure.label().to_owned())
                .chain(cells)
                .collect()
        });
        Table {
            title,
            rows: std::iter::once(head.collect()).chain(rows).collect(),
            failed: failed.iter().map(|result| result.tool.to_owned()).collect(),
        }
    }

    /// The width of each column.
    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(String::len).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

/// A figure and its ratio.
fn cell(result: &Outcome, measure: Measure) -> String {
    let Some(value) = result.medians.get(measure) else {
        return "-".to_owned();
    };
    let value = match measure.unit() {
        Unit::Time if value < 1.0 => format!("{:.0} ms", value * 1000.0),
        Unit::Time => duration(Duration::from_secs_f64(value)).to_string(),
        Unit::Size => Size(value as u64).to_string(),
    };
    match result.ratios.get(measure) {
        Some(ratio) if result.tool == BASE || ratio == 0.0 => value,
        Some(ratio) if ratio < 0.1 => format!("{value} ({ratio:.4})"),
        Some(ratio) => format!("{value} ({ratio:.2})"),
        None => value,
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        writeln!(f, "\n{}\n", self.title)?;
        for (nth, row) in self.rows.iter().enumerate() {
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    write!(f, "| {cell:width$} ")?;
                } else {
                    write!(f, "| {cell:>width$} ")?;
                }
            }
            writeln!(f, "|")?;
            if nth == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    let end = if column == 0 { '-' } else { ':' };
                    write!(f, "|-{:-<width$}{end}", "")?;
                }
                writeln!(f, "|")?;
            }
        }
        for tool in &self.failed {
            writeln!(f, "\n{tool} failed; see above.")?;
        }
        Ok(())
    }
}
