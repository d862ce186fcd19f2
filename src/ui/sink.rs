//! Output that is kept in memory.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// What a [`super::Ui`] made by [`super::Ui::captured`] has printed so far.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    out: Sink,
    err: Sink,
}

impl Captured {
    /// All data so far.
    pub fn stdout(&self) -> String {
        self.out.text()
    }

    /// All talk so far.
    pub fn stderr(&self) -> String {
        self.err.text()
    }

    pub(super) fn out(&self) -> Box<dyn Write + Send> {
        Box::new(self.out.clone())
    }

    pub(super) fn err(&self) -> Box<dyn Write + Send> {
        Box::new(self.err.clone())
    }
}

#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
