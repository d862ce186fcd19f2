//! Stores of other machines: through ssh, whose place a script takes that runs the far side here, and
//! through a server on this machine.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Child;

use super::*;

/// What ssh does with `[options] HOST COMMAND`, without another machine: the far side begins in the home
/// directory. Writes down what it was asked to run.
const SSH: &str = "#!/bin/sh
while :; do
    case $1 in
    -o | -p) shift 2 ;;
    -*) shift ;;
    *) break ;;
    esac
done
shift
echo \"$*\" >>\"$HOME/asked\"
cd && exec sh -c \"$*\"
";

/// A world where git and lob reach other machines by the script.
fn far() -> (World, Repo, Repo) {
    let world = World::without_filter();
    let script = world.path().join("bin/ssh");
    fs::create_dir(world.path().join("bin")).unwrap();
    fs::write(&script, SSH).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let config = ["config", "--global", "core.sshCommand"];
    world.ok(world.command("git").args(config).arg(&script));
    let (origin, work) = world.pair();
    (world, origin, work)
}

fn asked(world: &World) -> Vec<String> {
    let text = fs::read_to_string(world.path().join("asked")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_git_remote_behind_ssh_keeps_its_lobs_with_nothing_configured() {
    for url in ["me@far:origin.git", "ssh://far/~/origin.git"] {
        let (world, origin, work) = far();
        work.git(&["remote", "set-url", "origin", url]);
        let content = noise(1, 900_000);
        let lob = keep(&work, "a.bin", &content);
        work.commit("first");
        // Through the hook, and by itself.
        work.git(&["push", "-q", "origin", "main"]);
        assert!(holds(&remote_store(&origin), lob), "{url}");
        let users = origin.path().join("lob/state/users");
        assert!(!users.exists(), "whose refs count is known");
        let lob = keep(&work, "b.bin", &noise(2, 10));
        work.commit("second");
        let said = work.try_lob(&["push"]).ok_stderr();
        assert!(said.contains("pushed 1 lob"), "{said}");
        assert!(holds(&remote_store(&origin), lob), "{url}");
        work.git(&["push", "-q", "origin", "main"]);

        let clone = world.path().join("clone");
        world.ok(world.command("git").args(["clone", "-q", url]).arg(&clone));
        let clone = world.repo("clone");
        clone.lob(&["init"]);
        let said = clone.try_lob(&["pull"]).ok_stderr();
        assert!(said.contains("in sync with origin"), "{said}");
        assert_eq!(clone.read("a.bin"), content);
        clone.lob(&["fsck", "--deep"]);
        let lob_asked = |line: &&String| line.starts_with("lob ");
        let before = asked(&world).iter().filter(lob_asked).count();
        let again = clone.try_lob(&["pull"]).ok_stderr();
        assert_eq!(again, "nothing to fetch from origin\n");
        assert_eq!(
            asked(&world).iter().filter(lob_asked).count(),
            before,
            "what is here already needs nobody to be asked"
        );
    }
}

#[test]
fn what_is_done_to_the_files_of_a_store_is_not_done_from_afar() {
    let (_world, origin, work) = far();
    work.git(&["remote", "set-url", "origin", "far:origin.git"]);
    keep(&work, "a.bin", &noise(1, 1000));
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]);
    let said = work.try_lob(&["repack", "--remote", "origin"]).fails(1);
    assert!(
        said.contains("far:origin.git is reached over a network"),
        "{said}"
    );
    assert!(said.contains("hint: run it where that store is"), "{said}");
    // The lob there does these by itself.
    work.lob(&["fsck", "--remote", "origin", "--deep"]);
    work.lob(&["gc", "--remote", "origin"]);
    assert_eq!(remote_store(&origin).broken_roots(), None);
}

/// A server of everything beneath a directory, ended with the value.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(world: &World) -> Server {
        let mut command = world.command("lob");
        command.args(["--json", "serve", "--listen", "127.0.0.1:0"]);
        command.args(["--anonymous", "write", "--root"]);
        let mut child = command
            .arg(world.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["event"], "serving", "{line}");
        let address = event["address"].as_str().unwrap().to_owned();
        Server { child, address }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_store_of_a_server_is_pushed_to_and_fetched_from() {
    let (world, origin, work) = pair();
    let server = Server::start(&world);
    // In a git repository, and a store by itself, which the first push makes.
    for place in ["origin.git", "plain"] {
        let url = server.url(place);
        work.git(&["config", "remote.origin.lobUrl", &url]);
        let name = format!("{place}.bin");
        let content = noise(place.len() as u64, 3_000_000);
        let lob = keep(&work, &name, &content);
        work.commit("one more");
        let dry = work.lob(&["--json", "push", "--dry-run"]);
        assert!(!events(&dry, "lob").is_empty(), "{dry}");
        let said = work.try_lob(&["push"]).ok_stderr();
        assert!(said.contains("in sync with origin"), "{said}");
        work.git(&["push", "-q", "origin", "main"]);
        let dir = match place {
            "plain" => world.path().join("plain"),
            _ => origin.path().join("lob"),
        };
        assert!(holds(&store(&dir), lob));
        let clone = clone(&world, &origin, &format!("clone of {place}"));
        clone.git(&["config", "remote.origin.lobUrl", &url]);
        clone.lob(&["pull"]);
        assert_eq!(clone.read(&name), content);
        let said = clone.try_lob(&["sync", "--mode", "complete"]).ok_stderr();
        assert!(said.contains("nothing to"), "{said}");
    }
    // The commits went by another way to the repository, as far as anybody can tell.
    let said = world.repo("origin.git").try_lob(&["gc"]).fails(1);
    assert!(said.contains("through lob serve"), "{said}");
    let forget = ["gc", "--forget", "lob serve", "--dry-run"];
    world.repo("origin.git").lob(&forget);
    // Who pushed through a service cannot be asked, whoever else has signed.
    let plain = world.path().join("plain");
    work.git(&["config", "remote.origin.lobUrl", plain.to_str().unwrap()]);
    keep(&work, "near.bin", &noise(77, 900_000));
    work.commit("near");
    work.git(&["push", "-q", "origin", "main"]);
    let said = work.try_lob(&["gc", "--remote", "origin"]).fails(1);
    assert!(said.contains("through lob serve"), "{said}");
    work.lob(&["gc", "--remote", "origin", "--forget", "lob serve"]);
    work.git(&["config", "remote.origin.lobUrl", &server.url("plain")]);
    // The store of another place under the same name is noticed.
    let (met, other) = (server.url("plain"), world.path().join("other store"));
    fs::rename(world.path().join("plain"), &other).unwrap();
    let said = work.try_lob(&["sync", "--mode", "complete"]).fails(1);
    assert!(said.contains("was at") && said.contains(&met), "{said}");
    assert!(
        !world.path().join("plain").exists(),
        "nothing new takes its place"
    );
}

#[test]
fn a_version_goes_to_a_server_and_back_as_its_difference() {
    let (world, origin, work) = pair();
    let server = Server::start(&world);
    let url = server.url("origin.git");
    let contents = crate::store::deltas::versions(3, 3_000_000);
    let mut clones: Vec<Repo> = Vec::new();
    for (n, content) in contents.iter().enumerate() {
        work.git(&["config", "remote.origin.lobUrl", &url]);
        keep(&work, "a.bin", content);
        work.commit("one more");
        let moved = |stdout: &str| events(stdout, "summary")[0]["bytes"].as_u64().unwrap();
        let pushed = moved(&work.lob(&["--json", "push"]));
        work.git(&["push", "-q", "origin", "main"]);
        match n {
            0 => {
                clones.push(clone(&world, &origin, "clone"));
                clones[0].git(&["config", "remote.origin.lobUrl", &url]);
            }
            _ => {
                assert!(pushed < 100_000, "push {n}: {pushed}");
                clones[0].git(&["pull", "-q"]);
            }
        }
        let fetched = moved(&clones[0].lob(&["--json", "fetch"]));
        assert!(n == 0 || fetched < 100_000, "fetch {n}: {fetched}");
        clones[0].lob(&["checkout"]);
        assert_eq!(clones[0].read("a.bin"), *content);
    }
}
