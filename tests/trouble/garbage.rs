//! A filter process that is fed with anything but git's words.

use std::time::Instant;

use super::{pair, says, wire};
use crate::support::{Repo, Run, World, noise, pointer, run};

const STRANGER: &str = "no greeting of git's filter protocol came: is this process run by git";

fn feed(repo: &Repo, input: &[u8]) -> Run {
    run(repo.command("lob").arg("filter-process"), input)
}

#[test]
fn garbage_is_one_clear_error() {
    let world = World::new();
    let (_, work) = pair(&world);
    let hello = wire::hello().concat();
    let after = |text: &[u8]| [&hello, text].concat();
    let cases: &[(&str, Vec<u8>)] = &[
        (STRANGER, b"0".to_vec()),
        (STRANGER, b"0001".to_vec()),
        (STRANGER, b"0003".to_vec()),
        (STRANGER, b"0000".to_vec()),
        (STRANGER, b"zzzz".to_vec()),
        (STRANGER, b"ffff".to_vec()),
        (STRANGER, b"0016git-filter-cli".to_vec()),
        (
            STRANGER,
            [wire::line("git-filter-server"), wire::flush()].concat(),
        ),
        (
            "git offers no version 2",
            [
                wire::line("git-filter-client"),
                wire::line("version=1"),
                wire::flush(),
            ]
            .concat(),
        ),
        ("expected the length of a packet", after(b"wxyz")),
        ("the middle of a message", after(b"00ff")),
        ("does not understand: an empty list", after(b"0000")),
        (
            "does not understand: no command",
            after(&[wire::line("x=y"), wire::flush()].concat()),
        ),
        (
            "does not understand: clean without a path",
            after(&[wire::line("command=clean"), wire::flush()].concat()),
        ),
        (
            "does not understand: destroy",
            after(&wire::request("destroy", "a.bin", b"").concat()),
        ),
        (
            "a list without end",
            after(&wire::line("again=1").repeat(1000)),
        ),
    ];
    for (words, input) in cases {
        let said = feed(&work, input).fails(1);
        says(&said, &["lob: error: ", words]);
        assert_eq!(said.matches("lob: error").count(), 1, "{said}");
    }
    // What git does not offer is not taken, and what is unknown is passed over.
    let odd = [
        wire::line("git-filter-client"),
        wire::line("version=2"),
        wire::flush(),
        wire::line("capability=wibble"),
        wire::flush(),
    ]
    .concat();
    let answer = feed(&work, &odd);
    assert!(
        answer.success && answer.stdout.ends_with(b"0000"),
        "{answer:?}"
    );
    assert!(!String::from_utf8_lossy(&answer.stdout).contains("wibble"));
    work.write("a.bin", noise(1, 1000));
    work.commit("As if nothing had been");
}

#[test]
fn random_bytes_are_one_clear_error() {
    let world = World::new();
    let (_, work) = pair(&world);
    for seed in 0..20 {
        let random = noise(seed, 5000 * seed as usize + 1);
        says(&feed(&work, &random).fails(1), &[STRANGER]);
        // Where git may say what it likes, and where a packet begins.
        let ended = feed(&work, &[wire::hello().concat(), random].concat());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(!ended.stderr.contains("bug"), "{ended:?}");
    }
}

/// P2, P6: git ends, wherever that is: what it was told is kept, and the same again works.
#[test]
fn p2_p6_a_session_may_be_cut_at_every_packet() {
    let world = World::new();
    let (_, work) = pair(&world);
    let files = |n: u64| [noise(100 + n, 1000), noise(200 + n, 90_000)];
    let session = |n: u64| {
        let [a, b] = files(n);
        let requests = [
            wire::request("clean", "a.bin", &a),
            wire::request("clean", "b.bin", &b),
        ];
        wire::hello()
            .into_iter()
            .chain(requests.concat())
            .collect::<Vec<_>>()
    };
    let start = Instant::now();
    let packets = session(0).len();
    for n in 0..=packets {
        // In the middle of a packet, and after it.
        for less in [1, 0] {
            let seed = 2 * n as u64 + less as u64;
            let mut input = session(seed)[..n].concat();
            input.truncate(input.len().saturating_sub(less));
            let ended = feed(&work, &input);
            let answer = String::from_utf8_lossy(&ended.stdout).into_owned();
            for content in files(seed) {
                let pointer = pointer(&content);
                let mut smudge = work.command("lob");
                if answer.contains(&pointer) {
                    let kept = run(smudge.arg("smudge"), pointer.as_bytes());
                    assert_eq!(kept.stdout, content, "packet {n}");
                }
            }
            let whole = n == packets && less == 0;
            assert_eq!(
                answer.matches("oid blake3").count() == 2,
                whole,
                "packet {n}"
            );
        }
        let [a, b] = files(2 * n as u64);
        work.write("a.bin", a);
        work.write("b.bin", b);
        assert_eq!(work.try_git(&["add", "."]).ok_stderr(), "", "packet {n}");
        let stages = std::fs::read_dir(work.path().join(".git/lob/stage")).unwrap();
        assert_eq!(stages.count(), 0, "packet {n}");
    }
    assert!(start.elapsed().as_secs() < 60, "nobody waits for the dead");
}
