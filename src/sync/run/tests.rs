use super::*;
use crate::remote::fixture::Memory;
use crate::sync::plan::{Asking, Why};
use crate::sync::wanted::{Reason, Want};

fn want(lob: LobInfo, path: &str) -> Want {
    Want {
        id: lob.id,
        size: lob.size,
        path: path.as_bytes().into(),
        reason: Reason::Committed,
    }
}

fn plan(local: &Memory, remote: &Memory, wanted: &[Want]) -> Plan {
    let sides = Sides {
        local,
        remote,
        reserve: 0,
    };
    let (from, to) = sides.ends(Direction::Push);
    Plan::make(Asking::ToPush, wanted.to_vec(), from, to).unwrap()
}

#[test]
fn a_plan_tells_what_moves_what_is_there_and_what_cannot_be_had() {
    let (local, remote) = (Memory::default(), Memory::default());
    let new = local.add(b"new");
    let old = local.add(b"old");
    remote.add(b"old");
    let far = remote.add(b"only far");
    let nowhere = LobInfo {
        id: LobId::of(b"x"),
        size: 1,
    };
    let wrong = LobInfo { size: 9, ..new };
    let all = [new, old, far, nowhere, wrong].map(|lob| want(lob, "a"));
    let plan = plan(&local, &remote, &all);
    assert_eq!(plan.lobs, [want(new, "a")]);
    assert_eq!(plan.held.len(), 2);
    let why: Vec<Why> = plan
        .missing
        .iter()
        .map(|missing| missing.why.clone())
        .collect();
    assert_eq!(why, [Why::Nowhere, Why::OtherSize { found: 3 }]);
}

#[test]
fn what_was_planned_is_what_moves_and_both_sides_prove_it() {
    let (local, remote) = (Memory::default(), Memory::default());
    let wanted: Vec<Want> = (0..9_u8)
        .map(|n| want(local.add(&[n; 100]), &format!("{n}")))
        .collect();
    let sides = Sides {
        local: &local,
        remote: &remote,
        reserve: 0,
    };
    let mut plan = plan(&local, &remote, &wanted);
    survey(&mut plan, sides).unwrap();
    let cost = plan.cost.unwrap();
    let pace = Pace::unlimited();
    let report = carry_out(&mut plan, sides, &pace, &()).unwrap();
    assert_eq!((report.lobs, report.size), (9, 900));
    // Each lob is six times the same chunk and a shorter one.
    assert_eq!((report.chunks, cost.bytes), (cost.chunks, 9 * 20));
    // Such short chunks take less than what tells of them.
    assert_eq!(report.bytes, 180 + 18 * 68);
    assert_eq!(report.saved(), 0);
    assert!(report.digest.is_some());
    assert!(self::plan(&local, &remote, &wanted).is_empty());
}

/// Git sends its refs when a push has brought what they need.
#[test]
fn a_push_fails_for_what_went_away_since_it_was_planned_and_a_fetch_notes_it() {
    for direction in [Direction::Push, Direction::Pull] {
        let (from, to) = (Memory::default(), Memory::default());
        let (lost, kept) = (from.add(b"lost"), from.add(b"kept"));
        let wanted = [want(lost, "lost"), want(kept, "kept")];
        let asking = match direction {
            Direction::Push => Asking::ToPush,
            Direction::Pull => Asking::ToPull,
        };
        let mut plan = Plan::make(asking, wanted, &from, &to).unwrap();
        from.forget(&lost.id);
        let (local, remote): (&Memory, &Memory) = match direction {
            Direction::Push => (&from, &to),
            Direction::Pull => (&to, &from),
        };
        let done = carry_out(
            &mut plan,
            Sides {
                local,
                remote,
                reserve: 0,
            },
            &Pace::unlimited(),
            &(),
        );
        match (direction, done) {
            (
                Direction::Push,
                Err(Error::Unsendable {
                    count: 1, example, ..
                }),
            ) => {
                assert!(example.contains("lost"), "{example}");
            }
            (Direction::Pull, Ok(report)) => assert_eq!(report.lobs, 1),
            (_, done) => panic!("{done:?}"),
        }
        assert_eq!(plan.lobs, [want(kept, "kept")]);
        assert_eq!(plan.missing[0].want, want(lost, "lost"));
        assert!(
            to.get(&kept.id).is_some(),
            "what is there went all the same"
        );
    }
}

const RESERVE: u64 = 64 << 20;

#[test]
fn a_full_receiver_is_noticed_before_anything_moves() {
    let local = Memory::default();
    let lob = local.add(&[1; 1000]);
    for (free, fits) in [
        (RESERVE, false),
        (RESERVE + 100, true),
        (RESERVE + 1000, true),
    ] {
        let remote = Memory {
            free: Some(free),
            ..Memory::default()
        };
        let sides = Sides {
            local: &local,
            remote: &remote,
            reserve: RESERVE,
        };
        let mut plan = plan(&local, &remote, &[want(lob, "a")]);
        let done = carry_out(&mut plan, sides, &Pace::unlimited(), &());
        match done {
            Ok(_) => assert!(fits),
            Err(error @ Error::NoSpace { .. }) => {
                assert!(!fits, "{error}");
                let said = error.to_string();
                let reserve = RESERVE >> 20;
                let room = format!(
                    "1 MiB are needed, and {reserve} MiB are to stay free; {reserve} MiB are free now"
                );
                assert!(said.ends_with(&room), "{said}");
                // What a push has no way to do is not offered.
                let hint = error.hint().unwrap();
                assert!(
                    hint.contains("lob gc") && !hint.contains("--mode"),
                    "{hint}"
                );
                assert_eq!(remote.count("receive"), 0);
            }
            Err(error) => panic!("{error}"),
        }
    }
}
