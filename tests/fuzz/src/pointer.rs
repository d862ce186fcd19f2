//! Pointers: what parses is printed as it was, and nothing else parses.

use lob::git::Pointer;
use lob_store::{LobId, limits};

use super::input::Input;

/// Parses the bytes as they are; then a pointer that was made of them, whole and changed.
pub fn run(data: &[u8]) {
    check(data);
    let mut input = Input::new(data);
    let made = make(&mut input);
    assert_eq!(Pointer::parse(&made.print()), Some(made));
    let mut text = made.print();
    while !input.is_empty() {
        let at = input.below(text.len() + 1);
        let edit = input.byte();
        match edit % 4 {
            0 => text.insert(at, input.byte()),
            1 if at < text.len() => text[at] = input.byte(),
            2 if at < text.len() => drop(text.remove(at)),
            _ => text.truncate(at.max(1)),
        }
        check(&text);
    }
}

fn make(input: &mut Input<'_>) -> Pointer {
    let kind = input.byte();
    let size = input.number();
    let mut id = [0; 32];
    for (byte, given) in id.iter_mut().zip(input.take(32)) {
        *byte = *given;
    }
    match kind % 3 {
        0 => Pointer::Lob {
            id: LobId::from_bytes(id),
            size: 1 + size % limits::LOB_MAX,
        },
        1 => Pointer::GitLob {
            sha1: *id.first_chunk().expect("32 bytes begin with 20"),
        },
        _ => Pointer::Lfs {
            sha256: id,
            size: size >> 1,
            extended: false,
        },
    }
}

fn check(text: &[u8]) {
    let parsed = Pointer::parse(text);
    let is_lob = matches!(parsed, Some(Pointer::Lob { .. }));
    assert_eq!(is_lob, is_canonical(text), "{}", text.escape_ascii());
    match parsed {
        None => {}
        Some(pointer @ (Pointer::Lob { .. } | Pointer::GitLob { .. })) => {
            assert_eq!(pointer.print(), text);
        }
        // Blank lines and extensions are not printed; the object is the same.
        Some(Pointer::Lfs { sha256, size, .. }) => {
            let plain = Pointer::Lfs {
                sha256,
                size,
                extended: false,
            };
            assert_eq!(Pointer::parse(&plain.print()), Some(plain));
            assert!(text.len() < Pointer::MAX_LEN);
        }
    }
}

/// Whether these bytes are a pointer of version 2, by another way than the parser's.
fn is_canonical(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    let [version, oid, size, ""] = *text.split('\n').collect::<Vec<_>>() else {
        return false;
    };
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let id = oid.strip_prefix("oid blake3:").unwrap_or_default();
    let size = size.strip_prefix("size ").unwrap_or_default();
    let number = size.parse::<u64>().unwrap_or(0);
    version == "version git-lob/2"
        && id.len() == 64
        && id.chars().all(is_hex)
        && number.to_string() == size
        && (1..=limits::LOB_MAX).contains(&number)
}
