//! Over a way that takes its time, much goes in several streams.

use std::time::Duration;

use super::{Serving, logged};
use crate::support::link::Link;
use crate::support::{World, noise};

#[test]
fn a_long_file_goes_and_comes_in_streams_where_the_server_is_far() {
    let world = World::new();
    let (origin, work) = world.pair();
    work.track(&["*.bin"]);
    let content = noise(1, 70 << 20);
    work.write("a.bin", &content);
    work.commit("first");
    let log = world.path().join("access.log");
    let options = [
        "--anonymous",
        "append",
        "--access-log",
        log.to_str().unwrap(),
    ];
    let server = Serving::start(&world, world.path(), &options);
    let link = Link {
        delay: Duration::from_millis(6),
        rate: 1 << 30,
    };
    let ends = link.to(server.address).unwrap();
    let url = format!("http://{}/origin.git", ends.address);
    work.git(&["config", "remote.origin.lobUrl", &url]);
    work.git(&["push", "-q", "origin", "main"]);
    assert_eq!(logged(&log, "put").len(), 2, "70 MiB are two streams of 32");
    // Its content comes with the pull, and not from the directory of the remote.
    let to = world.path().join("clone");
    let [from, to] = [origin.path(), &to].map(|path| path.to_str().unwrap());
    work.git(&["-c", "lob.smudge=pointer", "clone", "-q", from, to]);
    let clone = world.repo("clone");
    clone.git(&["config", "remote.origin.lobUrl", &url]);
    clone.lob(&["pull"]);
    assert!(clone.read("a.bin") == content);
    assert_eq!(logged(&log, "frames").len(), 2);
    let [up, down] = ends.moved();
    assert!(
        up.min(down) > 70 << 20,
        "{up} and {down} bytes over the link"
    );
    clone.lob(&["fsck", "--deep"]);
}
