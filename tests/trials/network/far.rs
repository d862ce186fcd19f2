//! What carries requests to a store in a trial, with a proxy on the way that harms its bytes.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lob::remote::http::ssh::Program;
use lob::remote::http::{Authorities, Network, Patience, SshPlace};
use lob::wire::Exchange;

use crate::network::ssh::Sshd;
use crate::network::{Serving, certificate, means, over_http};
use crate::support::World;
use crate::support::proxy::Proxy;

/// How requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// HTTP/1.1 over TCP.
    Http,
    /// HTTP/2 over TLS, with the proxy below it.
    Tls,
    /// HTTP/2 over the standard streams of a program, as over ssh, but in the clear.
    Pipe,
    /// The same over a real ssh, with the proxy between it and its server.
    Ssh,
}

impl Carrier {
    pub const ALL: [Carrier; 4] = [Carrier::Http, Carrier::Tls, Carrier::Pipe, Carrier::Ssh];

    /// What its faults are called in the figures.
    pub fn figure(self) -> &'static str {
        match self {
            Carrier::Http => "faults of HTTP/1.1",
            Carrier::Tls => "faults of HTTP/2 below TLS",
            Carrier::Pipe => "faults of HTTP/2 over a pipe",
            Carrier::Ssh => "faults of ssh",
        }
    }

    /// So short that a stall is over soon, and long enough for a connection on a busy machine.
    pub fn patience(self) -> Patience {
        let limit = match self {
            Carrier::Http => Duration::from_millis(400),
            Carrier::Tls | Carrier::Pipe => Duration::from_millis(800),
            Carrier::Ssh => Duration::from_secs(4),
        };
        Patience {
            connect: limit * 2,
            first_byte: limit,
            stall: limit,
            first_wait: Duration::from_millis(1),
            longest_wait: Duration::from_millis(4),
            budget: Duration::from_secs(20),
        }
    }
}

/// Ten times as much of it.
pub fn long(patience: Patience) -> Patience {
    Patience {
        connect: patience.connect * 10,
        first_byte: patience.first_byte * 10,
        stall: patience.stall * 10,
        ..patience
    }
}

/// The far side, reached through the proxy.
pub struct Far {
    carrier: Carrier,
    pub proxy: Proxy,
    ends: Ends,
}

enum Ends {
    /// A server, and the certificate that it shows.
    Serving(Serving, Option<PathBuf>),
    Piped(Piped),
    Sshd(Sshd),
}

impl Far {
    /// Serves the stores beneath a world; `None`, and said aloud, where this machine cannot.
    pub fn start(carrier: Carrier, world: &World) -> Option<Far> {
        let root = world.path();
        let anybody = ["--anonymous", "append"];
        let ends = match carrier {
            Carrier::Http => Ends::Serving(Serving::start(world, root, &anybody), None),
            Carrier::Tls => {
                let [cert, key] = certificate(root);
                let tls = ["--tls-cert", text(&cert), "--tls-key", text(&key)];
                let server = Serving::start(world, root, &[&anybody[..], &tls].concat());
                Ends::Serving(server, Some(cert))
            }
            Carrier::Pipe => Ends::Piped(Piped::start(world)),
            // Connections that break are what it refuses to take more of from the same place.
            Carrier::Ssh => Ends::Sshd(Sshd::start(world, "MaxStartups 100")?),
        };
        let proxy = Proxy::to(match &ends {
            Ends::Serving(server, _) => server.address,
            Ends::Piped(piped) => piped.address,
            Ends::Sshd(sshd) => sshd.address(),
        });
        Some(Far {
            carrier,
            proxy,
            ends,
        })
    }

    /// The service of a store, which is reached with as much patience as given.
    pub fn exchange(&self, world: &World, name: &str, patience: Patience) -> Arc<dyn Exchange> {
        let mut means = means(world, patience);
        let address = self.proxy.address;
        let path = world.path().join(name);
        let over_ssh = |url: String, means| -> Arc<dyn Exchange> {
            let place = SshPlace::parse(&url).unwrap();
            Arc::new(Network::over_ssh(&place, means).unwrap())
        };
        match &self.ends {
            Ends::Serving(_, cert) => {
                let scheme = if cert.is_some() { "https" } else { "http" };
                means.roots = cert.clone().map(|file| Authorities {
                    file,
                    named_by: "http.sslCAInfo",
                });
                over_http(&format!("{scheme}://{address}/{name}"), means)
            }
            Ends::Piped(piped) => {
                piped.path.lock().unwrap().clone_from(&path);
                means.ssh.program = Program::Shell(piped.carry(address).into());
                over_ssh(format!("ssh://far{}", path.display()), means)
            }
            Ends::Sshd(sshd) => {
                means.ssh.program = Program::Shell(sshd.client_by(address.port()).into());
                over_ssh(format!("ssh://{address}{}", path.display()), means)
            }
        }
    }

    pub fn carrier(&self) -> Carrier {
        self.carrier
    }

    pub fn patience(&self) -> Patience {
        self.carrier.patience()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Takes the place of ssh: carries its streams to a port.
const CARRY: &str = r#"
use IO::Socket::INET;
my $far = IO::Socket::INET->new(PeerAddr => $ARGV[0]) or exit 255;
sub carry {
    my ($from, $to) = @_;
    while (sysread($from, my $some, 65536)) {
        while (length $some) {
            my $sent = syswrite($to, $some) or return;
            $some = substr($some, $sent);
        }
    }
}
if (!fork) { carry(STDIN, $far); shutdown($far, 1); exit 0 }
carry($far, STDOUT);
"#;

/// Runs `lob serve --stdio` for each connection.
struct Piped {
    address: SocketAddr,
    /// The store that is served next.
    path: Arc<Mutex<PathBuf>>,
    script: PathBuf,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Piped {
    fn start(world: &World) -> Piped {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let script = world.path().join("carry");
        fs::write(&script, CARRY).unwrap();
        let path = Arc::<Mutex<PathBuf>>::default();
        let is_over = Arc::<AtomicBool>::default();
        let (world, served, over) = (world.clone(), path.clone(), is_over.clone());
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let path = served.lock().unwrap().clone();
                serve(&world, &path, stream.unwrap());
            }
        });
        Piped {
            address,
            path,
            script,
            is_over,
            accepting: Some(accepting),
        }
    }

    /// The command that takes the place of ssh.
    fn carry(&self, to: SocketAddr) -> String {
        format!("exec perl '{}' {to}", self.script.display())
    }
}

fn serve(world: &World, path: &Path, stream: TcpStream) {
    let back = stream.try_clone().unwrap();
    let mut command = world.command("lob");
    command.args(["serve", "--stdio"]).arg(path);
    let mut child = command
        .stdin(Stdio::from(OwnedFd::from(stream)))
        .stdout(Stdio::from(OwnedFd::from(back)))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(command);
    // It ends with its streams.
    thread::spawn(move || child.wait().unwrap());
}

impl Drop for Piped {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes up who accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
    }
}
