//! Many at once.

use std::thread;

use lob::remote::{Access, Served};
use lob::sync::plan::Asking;

use super::{Serving, means, over_http, patience};
use crate::served::{add, opened, read, replicate};
use crate::support::{World, noise};

/// The most memory that a process has used, in KiB.
#[cfg(target_os = "linux")]
fn peak(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let digits: String = line.unwrap().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn many_push_and_fetch_at_once_and_nothing_is_lost() {
    const CLIENTS: u64 = 16;
    let world = World::in_memory();
    let server = Serving::start(&world, world.path(), &["--anonymous", "append"]);
    let url = server.url("store");
    let connect = || {
        let exchange = over_http(&url, means(&world, patience()));
        Served::connect(exchange, Access::Write, None).unwrap()
    };
    drop(connect());
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (world, connect) = (&world, &connect);
            scope.spawn(move || {
                let own = opened(&world.path().join(format!("client-{client}")));
                for round in 0..3 {
                    add(&own, &noise(client * 100 + round, 200_000));
                    let remote = connect();
                    replicate(Asking::ToPush, &own, &remote).unwrap();
                    replicate(Asking::ToPull, &own, &remote).unwrap();
                }
            });
        }
    });
    let all = opened(&world.path().join("all"));
    assert_eq!(replicate(Asking::ToPull, &all, &connect()), Ok(CLIENTS * 3));
    for client in 0..CLIENTS {
        for round in 0..3 {
            let content = noise(client * 100 + round, 200_000);
            assert!(read(&all, &lob_store::LobId::of(&content)).unwrap() == content);
        }
    }
    #[cfg(target_os = "linux")]
    assert!(peak(server.id()) < 512 << 10, "{} KiB", peak(server.id()));
}
