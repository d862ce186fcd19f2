//! What a remote is known to hold.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use lob::git::Oid;
use lob::sync::ledger::{Horizon, Ledger};
use lob::sync::state::State;
use lob_store::{Cursor, Epoch, StoreId};

use super::super::input::Input;
use super::{change, sealed};

/// Of whom a ledger is, and whose history it speaks of.
#[derive(Clone, Copy)]
struct Whose {
    store: StoreId,
    horizon: Horizon,
}

impl Whose {
    fn of(input: &mut Input<'_>) -> Whose {
        Whose {
            store: StoreId::from_bytes([input.byte() % 2; 32]),
            horizon: Horizon::of_shallow(input.pick(&[b"", b"cut"])),
        }
    }

    fn empty(self) -> Ledger {
        Ledger::new(self.store, self.horizon)
    }

    fn load(self, dir: &Path) -> Ledger {
        Ledger::load(&State::of(dir), self.store, self.horizon)
    }

    fn file(self) -> String {
        format!("ledger-{}", self.store)
    }
}

/// What a ledger must say.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    cursor: Cursor,
    epoch: Epoch,
    tips: Vec<Oid>,
}

impl Said {
    fn nothing() -> Said {
        Said {
            cursor: Cursor::default(),
            epoch: Epoch::from_bytes([0; 32]),
            tips: Vec::new(),
        }
    }

    fn by(ledger: &Ledger) -> Said {
        Said {
            cursor: ledger.cursor(),
            epoch: ledger.epoch(),
            tips: ledger.tips().to_vec(),
        }
    }

    /// What stands in the file.
    fn on_page(file: &[u8], whose: Whose) -> Option<Said> {
        let mut lines = sealed(file)?.lines();
        let mut field = |name: &str| lines.next()?.strip_prefix(name);
        (field("lob ledger 2")?.is_empty()).then_some(())?;
        (field("store ")? == whose.store.to_string()).then_some(())?;
        (field("horizon ")? == whose.horizon.to_string()).then_some(())?;
        let epoch = Epoch::from_bytes(hex(field("epoch ")?)?.try_into().ok()?);
        let (seq, hash) = field("cursor ")?.split_once(' ')?;
        let cursor = Cursor {
            seq: seq.parse().ok()?,
            hash: hex(hash)?.try_into().ok()?,
        };
        let tips = lines.map(|line| Oid::from_bytes(&hex(line.strip_prefix("tip ")?)?));
        let tips = tips.collect::<Option<_>>()?;
        Some(Said {
            cursor,
            epoch,
            tips,
        })
    }
}

/// The bytes that pairs of lower-case digits are.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().map(|digit| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    });
    let digits: Vec<u8> = digits.collect::<Option<_>>()?;
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| Some(pair.first()? << 4 | pair.get(1)?))
        .collect()
}

fn oid(input: &mut Input<'_>) -> Oid {
    let number = input.byte() % 12;
    let len = if number < 9 { 20 } else { 32 };
    Oid::from_bytes(&vec![number; len]).expect("a length that ids have")
}

fn cursor(input: &mut Input<'_>) -> Cursor {
    let seq = match input.byte() {
        0xff => u64::MAX,
        near => u64::from(near % 4),
    };
    Cursor {
        seq,
        hash: [input.byte() % 2; 16],
    }
}

pub fn run(input: &mut Input<'_>, dir: &Path) {
    let whose = Whose::of(input);
    let (mut ledger, mut said) = (whose.empty(), Said::nothing());
    for _ in 0..input.below(16) {
        match input.byte() % 6 {
            0 | 1 => record(&mut ledger, &mut said, input),
            2 => meet(&mut ledger, &mut said, input),
            3 => {
                ledger.save(&State::of(dir)).expect("nothing fails");
                let file = fs::read(dir.join("state").join(whose.file())).expect("it is there");
                assert_eq!(Said::on_page(&file, whose).as_ref(), Some(&said));
                assert_eq!(whose.load(dir), ledger);
            }
            kind => {
                if kind == 5 {
                    change(dir, &whose.file(), input);
                }
                for whose in [Whose::of(input), whose] {
                    let file = fs::read(dir.join("state").join(whose.file())).unwrap_or_default();
                    ledger = whose.load(dir);
                    said = Said::on_page(&file, whose).unwrap_or_else(Said::nothing);
                    assert_eq!(Said::by(&ledger), said);
                }
            }
        }
        assert_eq!(Said::by(&ledger), said);
        assert!(said.tips.iter().all(|tip| ledger.holds(tip)));
        assert!(!ledger.holds(&Oid::from_bytes(&[77; 20]).expect("20 bytes")));
    }
}

fn record(ledger: &mut Ledger, said: &mut Said, input: &mut Input<'_>) {
    let tips: Vec<Oid> = (0..input.below(4)).map(|_| oid(input)).collect();
    let covered: HashSet<Oid> = (0..input.below(4)).map(|_| oid(input)).collect();
    let now = cursor(input);
    ledger.record(&tips, &covered, now);
    said.cursor = now;
    said.tips
        .retain(|tip| !covered.contains(tip) && !tips.contains(tip));
    for tip in tips {
        if !said.tips.contains(&tip) {
            said.tips.push(tip);
        }
    }
}

/// A store that is where it was, or further, still has what it had.
fn meet(ledger: &mut Ledger, said: &mut Said, input: &mut Input<'_>) {
    let (now, epoch) = (cursor(input), Epoch::from_bytes([input.byte() % 2; 32]));
    let is_further = now.seq > said.cursor.seq || now == said.cursor;
    let forgets = !is_further || epoch != said.epoch;
    assert_eq!(ledger.meet(now, epoch), forgets);
    (said.cursor, said.epoch) = (now, epoch);
    if forgets {
        said.tips.clear();
    }
}
