//! lob's small files of state: what was written is read, another process' part too; and whatever
//! became of a file, it says what the page of its format says, or nothing.

use std::fs;
use std::path::Path;

use lob::sync::state::State;

use super::input::Input;
use super::scratch;

mod contacts;
mod ledger;
mod seen;

/// Works with one kind of file.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let dir = scratch::dir();
    match input.byte() % 3 {
        0 => ledger::run(&mut input, dir.path()),
        1 => contacts::run(&mut input, dir.path()),
        _ => seen::run(&mut input, dir.path()),
    }
}

/// The lines of a sealed file: all but the last line, which is their hash.
fn sealed(file: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(file).ok()?;
    let (lines, seal) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let lines = &text[..=lines.len()];
    let expected = blake3::hash(lines.as_bytes()).to_hex();
    (seal.strip_prefix("check ")? == expected.as_str()).then_some(lines)
}

/// Changes some bytes of a file of state, and seals it again or not.
fn change(dir: &Path, name: &str, input: &mut Input<'_>) {
    let path = dir.join("state").join(name);
    let Ok(file) = fs::read(&path) else {
        return;
    };
    let is_sealed = !input.byte().is_multiple_of(4);
    // An earlier change may have left what is no text.
    let lines = sealed(&file).map(str::len);
    let mut bytes = file;
    if let Some(len) = lines.filter(|_| is_sealed) {
        bytes.truncate(len);
    }
    flip(&mut bytes, input);
    match String::from_utf8(bytes) {
        Ok(lines) if is_sealed => State::of(dir).write(name, &lines).expect("nothing fails"),
        Ok(text) => fs::write(&path, text).expect("nothing fails"),
        Err(bad) => fs::write(&path, bad.into_bytes()).expect("nothing fails"),
    }
}

/// A few changes.
fn flip(bytes: &mut Vec<u8>, input: &mut Input<'_>) {
    for _ in 0..1 + input.below(4) {
        let at = input.below(bytes.len().clamp(1, 65_536));
        match input.byte() % 6 {
            0 if at < bytes.len() => bytes[at] = input.byte(),
            1 if at < bytes.len() => bytes[at] ^= 1 << (input.byte() % 8),
            2 => bytes.truncate(at),
            3 => bytes.insert(at.min(bytes.len()), input.byte()),
            4 => {
                let end = bytes.len().min(at + input.below(100));
                drop(bytes.drain(at.min(end)..end));
            }
            _ => {
                let end = bytes.len().min(at + input.below(100));
                let piece = bytes[at.min(end)..end].to_vec();
                bytes.extend(piece);
            }
        }
    }
}
