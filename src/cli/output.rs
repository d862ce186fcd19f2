//! Where a verb leaves the one file that it makes: a new file, whole or not at all, or stdout.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::git::pipes;
use crate::ui::Failure;

/// The place that the user named.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The file to write; stdout without it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    force: bool,
}

/// A file in the making.
pub(super) enum Output {
    Stdout(BufWriter<std::fs::File>),
    File(BufWriter<NamedTempFile>, Place),
}

impl Place {
    /// Whether it is stdout, which nothing else may be printed to then.
    pub(super) fn is_stdout(&self) -> bool {
        self.output.is_none()
    }

    /// Begins to write there. Nothing has that name before [`Output::publish`].
    pub(super) fn begin(self) -> Result<Output, Failure> {
        let Some(path) = &self.output else {
            if io::stdout().is_terminal() {
                let failure = Failure::usage("this is no text for a terminal");
                return Err(failure.hint("name a file with -o FILE, or redirect stdout"));
            }
            return Ok(Output::Stdout(BufWriter::new(pipes::output()?)));
        };
        if path.symlink_metadata().is_ok() && !self.force {
            return Err(exists(path));
        }
        let dir = match path.parent() {
            Some(dir) if dir != Path::new("") => dir,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        // As others make files; the umask has its say.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder
            .prefix(".lob-")
            .tempfile_in(dir)
            .map_err(|error| Failure::new(format_args!("{}: {error}", path.display())))?;
        Ok(Output::File(BufWriter::new(file), self))
    }
}

impl Output {
    /// Makes what was written durable, and gives it its name.
    pub(super) fn publish(self) -> Result<(), Failure> {
        let (writer, place) = match self {
            Output::Stdout(mut writer) => return writer.flush().map_err(Failure::stdout),
            Output::File(writer, place) => (writer, place),
        };
        let path = place.output.unwrap_or_default();
        let at = |error: io::Error| Failure::new(format_args!("{}: {error}", path.display()));
        let file = writer
            .into_inner()
            .map_err(|error| at(error.into_error()))?;
        file.as_file().sync_all().map_err(at)?;
        let placed = match place.force {
            true => file.persist(&path),
            false => file.persist_noclobber(&path),
        };
        match placed {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(&path)),
            Err(error) => Err(at(error.error)),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Stdout(writer) => writer.write(bytes),
            Output::File(writer, _) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Stdout(writer) => writer.flush(),
            Output::File(writer, _) => writer.flush(),
        }
    }
}

fn exists(path: &Path) -> Failure {
    Failure::new(format_args!("{} exists", path.display())).hint("replace it with --force")
}
