//! What the page docs/reconcile.md says, byte by byte.

use super::super::message::{Request, decode_found, decode_sketched, encode_found};
use super::super::sketch::{Cell, Head, Key, Mark, Places, Sketch, check};
use super::*;

const KEY: Key = [7; 32];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Three lobs: `0101..01` of 1 byte, `0202..02` of 2, `0303..03` of 3.
fn three() -> Vec<LobInfo> {
    let lob = |n: u8| LobInfo {
        id: LobId::from_bytes([n; 32]),
        size: u64::from(n),
    };
    (1..4).map(lob).collect()
}

/// The page without spaces and line ends.
fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reconcile.md");
    let page = std::fs::read_to_string(path).unwrap();
    page.split_whitespace().collect()
}

fn says(bytes: &[u8]) {
    let hex = hex(bytes);
    assert!(page().contains(&hex), "the page does not say {hex}");
}

#[test]
fn cells_and_checks_of_symbols() {
    let vectors = [
        (1, [0, 2, 4, 5, 6, 8, 11, 13], 0x8c62_1734),
        (
            0x0123_4567_89ab_cdef,
            [0, 1, 2, 5, 9, 130, 797, 1104],
            0xd08c_0bb4,
        ),
    ];
    for (symbol, places, its_check) in vectors {
        let found: Vec<_> = Places::of(symbol).take(8).collect();
        assert_eq!(found, places);
        assert_eq!(check(symbol), its_check, "{:08x}", check(symbol));
        let line = format!("`{symbol:016x}`|`{its_check:08x}`|{places:?}");
        let line: String = line.split_whitespace().collect();
        assert!(page().contains(&line), "the page does not say {line}");
    }
}

#[test]
fn marks_are_keyed_hashes() {
    let lob = three()[0];
    let bytes = [lob.id.as_bytes().as_slice(), &1u64.to_le_bytes()].concat();
    let mark = Mark::of(&KEY, &lob);
    assert_eq!(
        mark.to_bytes(),
        *blake3::keyed_hash(&KEY, &bytes).as_bytes()
    );
    says(&mark.to_bytes());
}

#[test]
fn a_sketch_is_asked_for_and_answered() {
    let mine = Head {
        count: 2,
        digest: Mark::from_bytes(&[9; 32]),
    };
    let request = Request::Sketch {
        key: KEY,
        mine,
        cells: 0..4,
    };
    says(&request.encode());
    assert_eq!(Request::decode(&request.encode()).unwrap(), request);
    let bytes = answer(&three(), &request.encode()).unwrap();
    says(&bytes);
    let sketch = decode_sketched(&bytes, &mine, 4).unwrap();
    assert_eq!(sketch, Sketch::of(&three(), &KEY, 0..4).unwrap());
    // Worked out by hand.
    let marks: Vec<_> = three().iter().map(|lob| Mark::of(&KEY, lob)).collect();
    let mut cells = vec![Cell::default(); 4];
    for mark in &marks {
        let symbol = mark.symbol();
        let places = Places::of(symbol).before(4);
        places.for_each(|place| cells[place].add(symbol, check(symbol), 1));
    }
    assert_eq!(sketch.cells, cells);
    let digest = marks.into_iter().reduce(|a, b| a ^ b).unwrap();
    assert_eq!(sketch.head, Head { count: 3, digest });
    // Who holds the same is told so without a cell.
    let request = Request::Sketch {
        key: KEY,
        mine: sketch.head,
        cells: 0..4,
    };
    assert_eq!(answer(&three(), &request.encode()).unwrap().len(), 48);
}

#[test]
fn lobs_are_asked_for_and_answered() {
    let mut symbols: Vec<_> = three()[..2]
        .iter()
        .map(|lob| Mark::of(&KEY, lob).symbol())
        .chain([4])
        .collect();
    symbols.sort_unstable();
    let request = Request::Find { key: KEY, symbols };
    says(&request.encode());
    assert_eq!(Request::decode(&request.encode()).unwrap(), request);
    let bytes = answer(&three(), &request.encode()).unwrap();
    says(&bytes);
    assert_eq!(bytes, encode_found(&three()[..2]));
    assert_eq!(decode_found(&bytes, 3).unwrap(), three()[..2]);
}
