//! `lob serve` over HTTP as its users meet it: tokens, rights, logs, and its end.

use std::fs;
use std::path::Path;

use lob::remote::{Access, Error, Served};
use lob::sync::plan::Asking;
use lob::wire::RefusalKind;

use super::{Serving, means, over_http, patience};
use crate::served::{add, opened, read, replicate};
use crate::support::World;

pub fn token(world: &World, root: &Path, args: &[&str]) -> String {
    let mut command = world.command("lob");
    command.args(["serve", "token", "add"]).args(args);
    world.ok(command.arg("--root").arg(root)).trim().to_owned()
}

fn connect(world: &World, url: &str, access: Access) -> Result<Served, Error> {
    Served::connect(over_http(url, means(world, patience())), access, None)
}

fn kind(error: &Error) -> Option<RefusalKind> {
    match error {
        Error::Refused { refusal, .. } => Some(refusal.kind),
        _ => None,
    }
}

#[test]
fn a_token_opens_what_it_is_for_until_it_is_revoked() {
    let world = World::without_filter();
    let root = world.path().join("served");
    fs::create_dir_all(root.join("team")).unwrap();
    let append = token(
        &world,
        &root,
        &["alice", "--rights", "append", "--repository", "team/*"],
    );
    let read_only = token(&world, &root, &["ci"]);
    let server = Serving::start(&world, &root, &[]);
    let at = |token: &str, name: &str| format!("http://x:{token}@{}/{name}", server.address);
    let (alice, ci) = (at(&append, "team/game"), at(&read_only, "team/game"));
    let source = opened(&world.path().join("source"));
    let id = add(&source, b"a lob of the team");

    let error = connect(&world, &server.url("team/game"), Access::Write).unwrap_err();
    assert_eq!(kind(&error), Some(RefusalKind::Unauthorized));
    let error = connect(&world, &at(&append, "other"), Access::Write).unwrap_err();
    assert_eq!(kind(&error), Some(RefusalKind::Forbidden));
    let error = connect(&world, &at(&append, "team/none/deep"), Access::Write).unwrap_err();
    assert_eq!(kind(&error), Some(RefusalKind::NotFound));
    // Who may only read makes no store either.
    let error = connect(&world, &ci, Access::Read).unwrap_err();
    assert!(matches!(error, Error::NoStore(_)), "{error}");

    let remote = connect(&world, &alice, Access::Write).unwrap();
    assert_eq!(replicate(Asking::ToPush, &source, &remote), Ok(1));
    let there = opened(&root.join("team/game"));
    assert_eq!(read(&there, &id).unwrap(), b"a lob of the team");
    let reader = connect(&world, &ci, Access::Read).unwrap();
    let back = opened(&world.path().join("back"));
    assert_eq!(replicate(Asking::ToPull, &back, &reader), Ok(1));
    add(&source, b"one more");
    assert!(
        replicate(Asking::ToPush, &source, &reader)
            .unwrap_err()
            .contains("may not")
    );

    let mut list = world.command("lob");
    let list = world.ok(list.args(["serve", "token", "list", "--root"]).arg(&root));
    assert_eq!(list, "alice  append  team/*\nci  read  all repositories\n");
    let mut revoke = world.command("lob");
    world.ok(revoke
        .args(["serve", "token", "revoke", "ci", "--root"])
        .arg(&root));
    let error = connect(&world, &ci, Access::Read).unwrap_err();
    assert_eq!(kind(&error), Some(RefusalKind::Unauthorized));

    let own = root.join(".lob-serve");
    let tokens = fs::read_to_string(own.join("tokens.toml")).unwrap();
    let audit = fs::read_to_string(own.join("audit.log")).unwrap();
    assert!(
        audit.contains("\"who\":\"alice\"") && audit.contains(&id.to_string()),
        "{audit}"
    );
    for secret in [&append, &read_only] {
        let bare = secret.strip_prefix("lob_").unwrap();
        assert!(!tokens.contains(bare) && !audit.contains(bare));
    }
}

#[test]
fn a_server_without_tls_is_for_its_own_machine() {
    let world = World::without_filter();
    let root = world.path();
    let serve = |options: &[&str]| {
        let mut command = world.command("lob");
        command.args(["serve", "--root"]).arg(root).args(options);
        crate::support::run(&mut command, b"")
    };
    let said = serve(&["--listen", "0.0.0.0:0"]).fails(2);
    assert!(
        said.contains("without TLS") && said.contains("--behind-proxy"),
        "{said}"
    );
    let said = serve(&["--listen", "localhost"]).fails(2);
    assert!(said.contains("no address with a port"), "{said}");
    let said = serve(&["--listen", "-"]).fails(1);
    assert!(said.contains("stdin is no socket"), "{said}");
    let said = serve(&[]).fails(2);
    assert!(said.contains("nothing says how to serve"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_socket_can_be_handed_over_and_a_signal_ends_it() {
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;

    let world = World::without_filter();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut command = world.command("lob");
    command
        .args([
            "--json",
            "serve",
            "--listen",
            "-",
            "--anonymous",
            "append",
            "--root",
        ])
        .arg(world.path())
        .stdin(OwnedFd::from(listener));
    let server = Serving::run(&mut command);
    assert_eq!(server.address, address);
    let remote = connect(&world, &server.url("store"), Access::Write).unwrap();
    let source = opened(&world.path().join("source"));
    add(&source, b"anybody may");
    assert_eq!(replicate(Asking::ToPush, &source, &remote), Ok(1));
    drop(remote);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn who_may_read_without_a_token_is_asked_for_one_when_he_pushes() {
    let world = World::without_filter();
    let root = world.path().join("served");
    fs::create_dir_all(root.join("team")).unwrap();
    let alice = token(&world, &root, &["alice", "--rights", "append"]);
    let server = Serving::start(&world, &root, &["--anonymous", "read"]);
    let url = server.url("team/game");
    let source = opened(&world.path().join("source"));
    add(&source, b"a lob of the team");
    // Nobody knows a token.
    let error = connect(&world, &url, Access::Write).unwrap_err();
    assert_eq!(kind(&error), Some(RefusalKind::Unauthorized), "{error}");
    let known = world.path().join("known");
    fs::write(&known, format!("http://alice:{alice}@{}\n", server.address)).unwrap();
    let helper = format!("store --file '{}'", known.display());
    let mut config = world.command("git");
    world.ok(config.args(["config", "--global", "credential.helper", &helper]));
    // A store is made, and one that is there is pushed to.
    for content in [&b"one lob"[..], b"another"] {
        add(&source, content);
        let remote = connect(&world, &url, Access::Write).unwrap();
        assert!(replicate(Asking::ToPush, &source, &remote).is_ok());
    }
    fs::remove_file(&known).unwrap();
    let reader = connect(&world, &url, Access::Read).unwrap();
    let back = opened(&world.path().join("back"));
    assert_eq!(replicate(Asking::ToPull, &back, &reader), Ok(3));
}

/// With systemd's own program for that, as a socket unit would.
#[cfg(target_os = "linux")]
#[test]
fn a_socket_comes_from_systemd() {
    use std::net::TcpListener;
    use std::process::{Command, Stdio};

    let program = Path::new("/usr/bin/systemd-socket-activate");
    if !program.is_file() {
        println!("skipped: there is no systemd-socket-activate on this machine (Debian: systemd)");
        return;
    }
    for inetd in [false, true] {
        let world = World::without_filter();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = Command::new(program);
        command.args(["-l", &address.to_string()]);
        if inetd {
            command.arg("--inetd");
        }
        command.arg(env!("CARGO_BIN_EXE_lob"));
        command.args(["serve", "--listen", "-", "--anonymous", "append", "--root"]);
        command.arg(world.path());
        let quiet = [Stdio::null(), Stdio::null(), Stdio::null()];
        let [stdin, stdout, stderr] = quiet;
        let mut child = command
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        // Until it accepts, the client comes again.
        let remote = connect(&world, &format!("http://{address}/store"), Access::Write);
        let source = opened(&world.path().join("source"));
        add(&source, b"anybody may");
        let done = remote.map(|remote| replicate(Asking::ToPush, &source, &remote));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(done.unwrap(), Ok(1));
    }
}
