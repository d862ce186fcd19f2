//! P3, never wrong: whatever happens to a byte of a store, a read gives the content or an error.

use std::fs;
use std::path::Path;

use super::builder::{Frame, Pack, store};
use super::pack::hash;
use super::{open, read_by_engine};
use crate::store::noise;

/// A store of one pack with every kind of frame, and what it holds.
fn made(dir: &Path) -> Vec<Vec<u8>> {
    let (one, two) = (noise(1, 100), b"text and text ".repeat(20));
    let mut edited = two.clone();
    edited.splice(33..33, *b"an edit");
    let mut pack = Pack::new([1; 16]);
    pack.frame(&Frame::raw(&[&one]));
    pack.frame(&Frame::zstd(&[&two]));
    pack.frame(&Frame::delta(1, &[&edited], &[&two]));
    pack.lob_of(&[&one, &two]);
    pack.lob_of(&[&edited]);
    store(dir, &[&pack]);
    vec![[one.as_slice(), &two].concat(), edited]
}

/// Reads all that the store held; how many of the contents came back. Others are errors.
fn readable(dir: &Path, contents: &[Vec<u8>]) -> usize {
    let Ok(store) = open(dir) else { return 0 };
    let came_back = |content: &&Vec<u8>| match read_by_engine(&store, &hash(content)) {
        Ok(read) => {
            assert!(read == **content, "a read gave something else");
            true
        }
        Err(_) => false,
    };
    contents.iter().filter(came_back).count()
}

/// The one file of a directory with this extension.
fn find(dir: &Path, extension: &str) -> std::path::PathBuf {
    let entries = fs::read_dir(dir).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.find(|path| path.extension().unwrap_or_default() == extension);
    found.unwrap()
}

#[test]
fn a_changed_byte_is_an_error_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let contents = made(dir.path());
    let (packs, roots) = (dir.path().join("packs"), dir.path().join("roots"));
    let table = find(&packs, "idx");
    let table_len = fs::read(&table).unwrap().len();
    for file in [&table, &find(&packs, "pack"), &find(&roots, "")] {
        let whole = fs::read(file).unwrap();
        let records_end = whole.len().saturating_sub(24 + table_len);
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(file, &bad).unwrap();
            let count = readable(dir.path(), &contents);
            // Of the two copies of the table, either serves; and without roots all packs count.
            let spare = at >= records_end || !file.starts_with(&packs) || file == &table;
            assert!(!spare || count == 2, "{} byte {at}", file.display());
        }
        fs::write(file, &whole).unwrap();
    }
    assert_eq!(readable(dir.path(), &contents), 2);
}

#[test]
fn a_cut_off_file_is_an_error_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let contents = made(dir.path());
    let packs = dir.path().join("packs");
    for (file, with_table) in [
        (find(&packs, "idx"), true),
        (find(&packs, "pack"), true),
        (find(&packs, "pack"), false),
    ] {
        if !with_table {
            fs::remove_file(find(&packs, "idx")).unwrap();
        }
        let whole = fs::read(&file).unwrap();
        let mut least = 2;
        for len in 0..whole.len() {
            fs::write(&file, &whole[..len]).unwrap();
            least = least.min(readable(dir.path(), &contents));
        }
        let spare = file.extension() == Some("idx".as_ref());
        assert_eq!(least, if spare { 2 } else { 0 });
        fs::write(&file, &whole).unwrap();
        assert_eq!(readable(dir.path(), &contents), 2);
    }
}
