//! Over ssh: a real server of it on a port of this machine, with keys and a configuration of its own.

#[cfg(target_os = "linux")]
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lob::remote::http::ssh::Program;
use lob::remote::http::{Network, SshPlace};
use lob::remote::{Access, Error, Served};
use lob::sync::plan::Asking;
use lob::wire::{Body, Exchange, Verb};

use super::{means, patience};
use crate::served::{add, contents, opened, read, replicate};
use crate::support::World;

/// A server of ssh that lets one key in.
pub struct Sshd {
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Sshd {
    /// Starts one; `None`, and said aloud, where the machine has none or lets none run.
    pub fn start(world: &World, more: &str) -> Option<Sshd> {
        let program = ["/usr/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd"]
            .into_iter()
            .find(|path| Path::new(path).is_file());
        let Some(program) = program else {
            println!("skipped: there is no sshd on this machine (Debian: openssh-server)");
            return None;
        };
        let dir = world.path().join("sshd");
        fs::create_dir_all(&dir).unwrap();
        for key in ["host", "user"] {
            let file = dir.join(key);
            world.ok(world
                .command("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(&file));
        }
        fs::copy(dir.join("user.pub"), dir.join("authorized_keys")).unwrap();
        let port = free_port();
        let path = world_path();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host\nPidFile none\n\
             AuthorizedKeysFile {dir}/authorized_keys\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\n\
             SetEnv PATH={path} HOME={home}\n{more}\n",
            dir = dir.display(),
            home = world.path().display(),
        );
        fs::write(dir.join("sshd_config"), config).unwrap();
        // What the daemon wants to find as root; elsewhere it does without.
        let _ = fs::create_dir_all("/run/sshd");
        let child = Command::new(program)
            .args(["-D", "-e", "-f"])
            .arg(dir.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut sshd = Sshd { child, port, dir };
        sshd.wait();
        Some(sshd)
    }

    /// Until it accepts connections.
    fn wait(&mut self) {
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = self.child.try_wait().unwrap();
            let log = || fs::read_to_string(self.dir.join("log")).unwrap();
            assert!(ended.is_none(), "sshd ended: {}", log());
            assert!(begin.elapsed() < Duration::from_secs(60), "{}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The command with which it is reached.
    pub fn client(&self) -> String {
        self.client_by(self.port)
    }

    /// The command with which it is reached by another port.
    pub fn client_by(&self, port: u16) -> String {
        let known = self.dir.join("known_hosts");
        let key = fs::read_to_string(self.dir.join("host.pub")).unwrap();
        fs::write(&known, format!("[127.0.0.1]:{port} {key}")).unwrap();
        format!(
            "ssh -F none -o UserKnownHostsFile='{}' -o IdentitiesOnly=yes -i '{}/user'",
            known.display(),
            self.dir.display()
        )
    }

    pub fn url(&self, path: &Path) -> String {
        format!("ssh://127.0.0.1:{}{}", self.port, path.display())
    }

    fn place(&self, path: &Path) -> SshPlace {
        SshPlace::parse(&self.url(path)).unwrap()
    }

    fn network(&self, world: &World, path: &Path) -> Arc<dyn Exchange> {
        let mut means = means(world, patience());
        means.ssh.program = Program::Shell(self.client().into());
        Arc::new(Network::over_ssh(&self.place(path), means).unwrap())
    }

    /// Lets only this command run, whatever is asked for.
    pub fn force(&self, command: &str) {
        let key = fs::read_to_string(self.dir.join("user.pub")).unwrap();
        let line = format!("command=\"{command}\",restrict {key}");
        fs::write(self.dir.join("authorized_keys"), line).unwrap();
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn world_path() -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_lob")).parent().unwrap();
    format!("{}:/usr/bin:/bin", programs.display())
}

fn connect(exchange: Arc<dyn Exchange>) -> Result<Served, Error> {
    Served::connect(exchange, Access::Write, None)
}

#[test]
fn a_push_and_a_fetch_need_only_lob_on_the_far_side() {
    let world = World::without_filter();
    let Some(sshd) = Sshd::start(&world, "") else {
        return;
    };
    let far = world.path().join("far store");
    let exchange = sshd.network(
        &world,
        &PathBuf::from(far.display().to_string().replace(' ', "%20")),
    );
    let remote = connect(exchange).unwrap();
    let source = opened(&world.path().join("source"));
    let ids: Vec<_> = contents()
        .iter()
        .map(|content| add(&source, content))
        .collect();
    assert_eq!(replicate(Asking::ToPush, &source, &remote), Ok(5));
    assert_eq!(replicate(Asking::ToPush, &source, &remote), Ok(0));
    let there = opened(&far);
    for (id, content) in ids.iter().zip(contents()) {
        assert!(read(&there, id).unwrap() == content);
    }
    let back = opened(&world.path().join("back"));
    assert_eq!(replicate(Asking::ToPull, &back, &remote), Ok(5));
    for (id, content) in ids.iter().zip(contents()) {
        assert!(read(&back, id).unwrap() == content);
    }
}

/// The processes below `top` that are not the server of ssh itself, with their names.
#[cfg(target_os = "linux")]
fn programs(top: u32) -> BTreeMap<u32, String> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let id = entry.file_name().to_string_lossy().parse::<u32>();
        // Those that end meanwhile have no more to say.
        let stat = fs::read_to_string(entry.path().join("stat"));
        if let (Ok(id), Ok(stat)) = (id, stat) {
            let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(')').unwrap();
            let parent = rest.split_whitespace().nth(1).unwrap().parse::<u32>();
            parents.insert(id, (parent.unwrap(), name.to_owned()));
        }
    }
    let is_below = |mut id: u32| {
        while let Some((parent, _)) = parents.get(&id) {
            if *parent == top {
                return true;
            }
            id = *parent;
        }
        false
    };
    let below = parents.iter().filter(|(id, _)| is_below(**id));
    let own = below.filter(|(_, (_, name))| !name.starts_with("sshd"));
    own.map(|(id, (_, name))| (*id, name.clone())).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn a_push_and_a_fetch_run_two_programs_on_the_far_side_at_most() {
    let world = World::without_filter();
    let Some(sshd) = Sshd::start(&world, "") else {
        return;
    };
    let source = opened(&world.path().join("source"));
    for content in contents() {
        add(&source, &content);
    }
    let is_over = AtomicBool::new(false);
    let (most, seen) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let (mut most, mut seen) = (0, BTreeMap::new());
            while !is_over.load(Ordering::Relaxed) {
                let now = programs(sshd.child.id());
                most = most.max(now.len());
                seen.extend(now);
            }
            (most, seen)
        });
        for (asking, name) in [(Asking::ToPush, "source"), (Asking::ToPull, "back")] {
            let remote = connect(sshd.network(&world, &world.path().join("far"))).unwrap();
            let local = opened(&world.path().join(name));
            assert_eq!(replicate(asking, &local, &remote), Ok(5));
        }
        is_over.store(true, Ordering::Relaxed);
        watching.join().unwrap()
    });
    // The service, and the shell that ssh begins it with, of each of the two.
    assert!((1..=2).contains(&most), "{most} at once: {seen:?}");
    assert!(seen.values().any(|name| name == "lob"), "{seen:?}");
    let others = seen.values().filter(|name| *name != "lob").count();
    assert!(others <= 2, "{seen:?}");
}

#[test]
fn a_host_whose_key_is_unknown_is_not_believed() {
    let world = World::without_filter();
    let Some(sshd) = Sshd::start(&world, "") else {
        return;
    };
    let client = sshd.client();
    fs::write(sshd.dir.join("known_hosts"), "").unwrap();
    let mut means = means(&world, patience());
    means.ssh.program = Program::Shell(client.into());
    let network = Network::over_ssh(&sshd.place(Path::new("/x")), means).unwrap();
    let error = network
        .exchange(Verb::Hello, Body::Bytes(Vec::new()))
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("Host key verification failed"),
        "{error}"
    );
    assert!(!error.is_transient());
}

#[test]
fn a_far_side_without_lob_is_told_how_to_get_it() {
    let world = World::without_filter();
    let Some(sshd) = Sshd::start(&world, "SetEnv PATH=/usr/bin:/bin") else {
        return;
    };
    // The first SetEnv of a variable counts, so the path is taken away with the programs' directory.
    let config = fs::read_to_string(sshd.dir.join("sshd_config")).unwrap();
    assert!(config.contains("SetEnv PATH="));
    sshd.force("PATH=/usr/bin:/bin; eval \\\"$SSH_ORIGINAL_COMMAND\\\"");
    let exchange = sshd.network(&world, Path::new("/x"));
    let error = connect(exchange).unwrap_err();
    assert!(error.to_string().contains("has no lob"), "{error}");
    assert!(error.hint().unwrap().contains("install lob there"));
}

#[test]
fn a_forced_command_serves_what_it_says_and_no_more() {
    let world = World::without_filter();
    let Some(sshd) = Sshd::start(&world, "") else {
        return;
    };
    let root = world.path().join("served");
    fs::create_dir_all(root.join("team")).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    let command = |rights: &str| format!("lob serve --stdio --root {} {rights}", root.display());
    let source = opened(&world.path().join("source"));
    let id = add(&source, b"a lob of the team");

    sshd.force(&command("--append-only"));
    let remote = connect(sshd.network(&world, Path::new("/team/game"))).unwrap();
    assert_eq!(replicate(Asking::ToPush, &source, &remote), Ok(1));
    let there = opened(&root.join("team/game"));
    assert_eq!(read(&there, &id).unwrap(), b"a lob of the team");
    let audit = fs::read_to_string(root.join(".lob-serve/audit.log")).unwrap();
    assert!(audit.contains(&id.to_string()), "{audit}");
    assert!(audit.contains("\"from\":\"127.0.0.1\""), "{audit}");
    for path in ["/../etc", "/.lob-serve", "/etc/passwd/x/../../y"] {
        let error = connect(sshd.network(&world, Path::new(path))).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("is not the name of a repository"),
            "{path}: {error}"
        );
    }

    sshd.force(&command("--read-only"));
    let remote = Served::connect(
        sshd.network(&world, Path::new("/team/game")),
        Access::Read,
        None,
    );
    let remote = remote.unwrap();
    add(&source, b"one more");
    let refused = replicate(Asking::ToPush, &source, &remote).unwrap_err();
    assert!(refused.contains("may not"), "{refused}");
    let back = opened(&world.path().join("back"));
    assert_eq!(replicate(Asking::ToPull, &back, &remote), Ok(1));
}
