//! An open file of the simulation.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::state::{Inode, Op};
use super::{DiskFile, SimDisk};

/// An open file: it stays what it is when its name goes to another.
#[derive(Debug)]
pub(super) struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: Inode,
    appends: bool,
}

impl SimFile {
    pub(super) fn boxed(
        disk: &SimDisk,
        path: &Path,
        inode: Inode,
        appends: bool,
    ) -> Box<dyn DiskFile> {
        Box::new(SimFile {
            disk: disk.clone(),
            path: path.to_path_buf(),
            inode,
            appends,
        })
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.disk.run(&self.path, |machine| {
            machine.ops.reads += 1;
            machine.ops.read_bytes += buf.len() as u64;
            machine.read()?;
            let bytes = machine.now.content(self.inode)?.bytes();
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let part = bytes.get(from..).and_then(|rest| rest.get(..buf.len()));
            match part {
                Some(part) => buf.copy_from_slice(part),
                None if buf.is_empty() => {}
                None => return Err(ErrorKind::UnexpectedEof.into()),
            }
            Ok(())
        })
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk.run(&self.path, |machine| {
            machine.ops.appends += 1;
            machine.ops.appended_bytes += bytes.len() as u64;
            if !self.appends {
                return Err(ErrorKind::PermissionDenied.into());
            }
            if bytes.is_empty() {
                return Ok(());
            }
            let room = machine.room(bytes.len());
            let (fitting, rest) = bytes.split_at(room);
            let words = format!("append {room} bytes to {}", self.path.display());
            let clock = machine.clock;
            machine.change(Op::Append(self.inode, fitting.into(), clock), words)?;
            match rest.is_empty() {
                true => Ok(()),
                false => Err(ErrorKind::StorageFull.into()),
            }
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.run(&self.path, |machine| {
            machine.ops.lens += 1;
            machine.read()?;
            Ok(machine.now.content(self.inode)?.len())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.run(&self.path, |machine| {
            machine.ops.syncs += 1;
            let words = format!("sync {}", self.path.display());
            machine.sync(Op::Sync(self.inode), words)
        })
    }
}
