//! Paths as bytes: git's paths are bytes with `/`, the system's are not everywhere.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The system's form of bytes that git gave. Lossless on unix; elsewhere git writes UTF-8, and what
/// is not UTF-8 is replaced.
pub fn os_string(bytes: &[u8]) -> OsString {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        OsStr::from_bytes(bytes).to_os_string()
    }
    #[cfg(not(unix))]
    {
        OsString::from(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// The path whose bytes git gave.
pub fn path_buf(bytes: &[u8]) -> PathBuf {
    PathBuf::from(os_string(bytes))
}

/// The bytes that git is given for a word or a path. Lossless on unix.
pub fn bytes(text: &OsStr) -> Vec<u8> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        text.as_bytes().to_vec()
    }
    #[cfg(not(unix))]
    {
        text.to_string_lossy().into_owned().into_bytes()
    }
}

/// A path relative to the top of the work tree as git writes it: with `/` on every system.
pub fn git_bytes(path: &Path) -> Vec<u8> {
    let mut bytes = bytes(path.as_os_str());
    if std::path::MAIN_SEPARATOR != '/' {
        for byte in &mut bytes {
            if *byte == std::path::MAIN_SEPARATOR as u8 {
                *byte = b'/';
            }
        }
    }
    bytes
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_survive() {
        let odd = b"caf\xe9/\xff \n";
        assert_eq!(bytes(path_buf(odd).as_os_str()), odd);
    }
}
