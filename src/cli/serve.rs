//! `lob serve`: the stores of this machine for others.

mod handed;
mod signing;
mod token;

use std::ffi::OsStr;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;

use serde::Serialize;

use super::Outcome;
use crate::git::remotes::store_inside;
use crate::remote::http::ssh::words;
use crate::serve::service::Service;
use crate::serve::{
    App, Beneath, Config, Gate, Grant, Log, Only, Places, RepoName, Server, Shares, TokenFile,
    acceptor, appended, make_private,
};
use crate::sync::Home;
use crate::ui::bytes::Size;
use crate::ui::{Exit, Explain, Failure, Ui};
use signing::Signing;

/// Where a served directory keeps what is the server's own.
const OWN: &str = ".lob-serve";
/// What ssh tells a command that was set for a key of what the user asked for.
const ASKED: &str = "SSH_ORIGINAL_COMMAND";

/// Serve stores to others: over HTTP to a team, or to one over ssh
///
/// With --listen it serves the repositories and stores below --root over HTTP, and over TLS with a
/// certificate; a store that is not there yet is made by the first push into a directory that is. Who may
/// do what is said by tokens ('lob serve token add'), which git's credential helpers keep on the other
/// side. With --stdio it serves one store to whoever is at the other end of stdin and stdout: lob runs it
/// over ssh, so that 'lob push' to an ssh remote needs nothing there but lob itself.
/// docs/serve.md shows how to set up both. SIGTERM lets end what is under way.
/// With --json: the event "serving" with "address" and "tls" once it listens.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Examples:
  lob serve token add alice --root /srv/lob --rights append
  lob serve --root /srv/lob --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem
  lob serve --config /etc/lob/serve.toml
  lob serve --stdio team/game.git        # what lob runs over ssh")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The store, or the repository with it, that is served with --stdio
    #[arg(value_name = "PATH", requires = "stdio")]
    path: Option<PathBuf>,
    /// Serve stdin and stdout. With --root and no PATH: the repository that was asked for over ssh
    #[arg(long, conflicts_with = "listen")]
    stdio: bool,
    /// The directory whose repositories and stores are served
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Accept connections here; '-' is the socket that systemd hands over, by LISTEN_FDS or as stdin
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The server's certificate and those above it, in PEM; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A proxy in front speaks TLS: accept connections from elsewhere without it
    #[arg(long)]
    behind_proxy: bool,
    /// What those may do who show no token
    #[arg(long, value_enum, value_name = "RIGHTS")]
    anonymous: Option<Grant>,
    /// With --stdio: let who comes clean up and examine stores (lob gc and lob fsck with --remote)
    #[arg(long, requires = "stdio", conflicts_with_all = ["read_only", "append_only"])]
    admin: bool,
    /// Let nobody change anything
    #[arg(long, conflicts_with = "append_only")]
    read_only: bool,
    /// Let nobody delete anything
    #[arg(long)]
    append_only: bool,
    /// Read all of this and the limits from a file; options win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take at most so much of all pushes before it is verified, such as 200G
    #[arg(long, value_name = "SIZE")]
    stage_bytes: Option<Size>,
    /// Add a line of JSON for each request to this file; '-' is stdout
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// Add a line of JSON for each write to this file; in .lob-serve below the root without it
    #[arg(long, value_name = "FILE")]
    audit_log: Option<PathBuf>,
}

/// What else there is to do for a server.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Add, list and revoke the tokens that say who may do what
    #[command(subcommand)]
    Token(token::Command),
}

/// The event `serving`.
#[derive(Serialize)]
struct Serving {
    address: SocketAddr,
    tls: bool,
}

pub(super) fn run(args: Args, ui: &Ui) -> Outcome {
    if let Some(Verb::Token(command)) = args.verb {
        return token::run(command, ui);
    }
    let config = settled(&args)?;
    match (args.stdio, args.listen.as_deref(), config.listen) {
        (true, ..) => stdio(&args, &config),
        (false, Some("-"), _) => listen(&config, handed::over()?, ui),
        (false, Some(text), _) => listen(&config, bound(resolved(text)?)?, ui),
        (false, None, Some(address)) => listen(&config, bound(address)?, ui),
        (false, None, None) => Err(Failure::usage("nothing says how to serve")
            .hint("--listen ADDRESS:PORT over HTTP, or --stdio for one who comes by ssh")),
    }
}

/// The file, with the options over it.
fn settled(args: &Args) -> Result<Config, Failure> {
    let mut config = match &args.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    for (place, option) in [
        (&mut config.root, &args.root),
        (&mut config.tls_cert, &args.tls_cert),
        (&mut config.tls_key, &args.tls_key),
        (&mut config.access_log, &args.access_log),
        (&mut config.audit_log, &args.audit_log),
    ] {
        if option.is_some() {
            place.clone_from(option);
        }
    }
    config.anonymous = args.anonymous.or(config.anonymous);
    config.behind_proxy |= args.behind_proxy;
    config.read_only |= args.read_only;
    config.append_only |= args.append_only;
    config.admin |= args.admin;
    if let Some(Size(most)) = args.stage_bytes {
        config.limits.stage_bytes = Some(most);
    }
    Ok(config)
}

/// What nobody may exceed; `usual` is for those who have neither more nor less.
fn most(config: &Config, usual: Grant) -> Grant {
    match (config.read_only, config.append_only) {
        (true, _) => Grant::Read,
        (_, true) => Grant::Append,
        _ if config.admin => Grant::Admin,
        _ => usual,
    }
}

/// What one may do who comes by ssh, or has this run himself: whoever says what runs has the whole account,
/// and may do what it may. Whom a forced command or a root keeps to something may do what that says.
fn usual(config: &Config) -> Grant {
    match config.root.is_none() && std::env::var_os(ASKED).is_none() {
        true => Grant::Admin,
        false => Grant::Write,
    }
}

fn listen(config: &Config, listener: TcpListener, ui: &Ui) -> Outcome {
    let root = root(config)?;
    let address = listener.local_addr()?;
    let (sender, troubles) = mpsc::channel();
    let over = sender.clone();
    // Who waits for a connection does not wait for stderr.
    let tell = move |text| drop(sender.send(Some(text)));
    let tls = match (&config.tls_cert, &config.tls_key) {
        (Some(certificate), Some(key)) => Some(acceptor(certificate, key, tell)?),
        (None, None) => None,
        _ => return Err(Failure::usage("a certificate and its key go together")),
    };
    if tls.is_none() && !address.ip().is_loopback() && !config.behind_proxy {
        let failure = Failure::usage(format_args!(
            "without TLS, what comes to {address} would be read and changed on the way"
        ));
        return Err(failure.hint(
            "--tls-cert and --tls-key; or --listen 127.0.0.1:PORT or --behind-proxy where a proxy in \
             front speaks TLS",
        ));
    }
    let tokens = config.tokens.clone().unwrap_or_else(|| token::file(&root));
    if config.anonymous == Some(Grant::Admin) {
        return Err(Failure::usage("nobody looks after stores without a token")
            .hint("lob serve token add NAME --rights admin"));
    }
    // Here only tokens give the right to look after stores, so that none is more than they say.
    let most = most(config, Grant::Admin);
    let gate = Gate::by_token(TokenFile::at(&tokens), config.anonymous, most);
    let log = Arc::new(log(config, Some(&root))?);
    let limits = limits(config)?;
    let signing = Arc::new(Signing(log.clone()));
    let places = Beneath::new(&root, signing.clone()).with_cleaner(signing);
    let places = Box::new(places.with_stage(limits.stage_bytes));
    let app = App::new(places, gate, limits, log).behind_proxy(config.behind_proxy);
    let server = Server::new(app)?;
    server.stop_on_signals()?;
    let tls_is_on = tls.is_some();
    let scheme = if tls_is_on { "https" } else { "http" };
    ui.event(
        "serving",
        Serving {
            address,
            tls: tls_is_on,
        },
    )?;
    ui.say(format_args!(
        "serving {} at {scheme}://{address}",
        root.display()
    ));
    ui.flush()?;
    thread::scope(|scope| {
        scope.spawn(|| warn_of(troubles, ui));
        let served = server.listen(listener, tls);
        drop(over.send(None));
        served
    })?;
    Ok(Exit::Done)
}

/// Says each trouble of a server that goes on all the same, until there is none any more.
fn warn_of(troubles: mpsc::Receiver<Option<String>>, ui: &Ui) {
    for trouble in troubles.into_iter().map_while(|trouble| trouble) {
        ui.warn(trouble);
        // Who reads events may be gone; that stops no server.
        let _ = ui.flush();
    }
}

fn stdio(args: &Args, config: &Config) -> Outcome {
    let log = match (&config.audit_log, &config.root) {
        (None, None) => Log::none(),
        _ => log(config, config.root.as_deref())?,
    };
    let (log, limits) = (Arc::new(log), limits(config)?);
    let signing = Arc::new(Signing(log.clone()));
    let places: Box<dyn Places> = match (&config.root, &args.path) {
        (None, Some(path)) => {
            let service = Service::of_dir(store_at(&expanded(path)?))
                .with_witness(signing.clone())
                .with_cleaner(signing)
                .with_shares(Arc::new(Shares::with_stage(limits.stage_bytes)));
            Box::new(Only::new(service))
        }
        (None, None) => {
            return Err(Failure::usage("nothing says what to serve")
                .hint("a PATH, or --root DIR where ssh says what was asked for"));
        }
        (Some(_), path) => {
            let name = asked(path.as_deref())?;
            let root = root(config)?;
            let places = Beneath::new(&root, signing.clone()).with_cleaner(signing);
            Box::new(places.with_stage(limits.stage_bytes).only(name))
        }
    };
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let from = std::env::var("SSH_CONNECTION").unwrap_or_default();
    let from = from.split(' ').next().unwrap_or_default();
    let gate = Gate::let_in(
        user.unwrap_or_else(|_| "somebody".into()),
        if from.is_empty() {
            "here".into()
        } else {
            from.to_owned()
        },
        most(config, usual(config)),
    );
    Server::new(App::new(places, gate, limits, log))?.stdio();
    Ok(Exit::Done)
}

/// The repository below the root that was asked for: by PATH, else as the user of ssh said it, whose
/// command a forced one replaced.
fn asked(path: Option<&Path>) -> Result<RepoName, Failure> {
    let text = match path {
        Some(path) => path.to_string_lossy().into_owned(),
        None => {
            let command = std::env::var(ASKED).unwrap_or_default();
            let asked = words(&command).unwrap_or_default();
            match asked.as_slice() {
                [_, serve, stdio, path] if serve == "serve" && stdio == "--stdio" => path.clone(),
                _ => {
                    let failure = Failure::usage("this account only serves lob");
                    return Err(failure.hint("use its URL as a remote of lob"));
                }
            }
        }
    };
    let name = text.strip_prefix("~/").unwrap_or(&text).trim_matches('/');
    RepoName::new(name)
        .ok_or_else(|| Failure::new(format_args!("{text:?} is not the name of a repository")))
}

/// A path as ssh's users write it: relative to where they log in, or with `~/` in front.
fn expanded(path: &Path) -> Result<PathBuf, Failure> {
    let Ok(rest) = path.strip_prefix("~") else {
        let is_other = path.as_os_str().as_encoded_bytes().first() == Some(&b'~');
        return match is_other {
            true => Err(Failure::new(
                "homes of other users are not looked up; write the path out",
            )),
            false => Ok(path.to_path_buf()),
        };
    };
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or_else(|| Failure::new("there is no home directory for the ~"))?;
    Ok(PathBuf::from(home).join(rest))
}

/// The store at a path: that of the repository there, wherever it keeps its lobs, else the path itself.
fn store_at(path: &Path) -> PathBuf {
    store_inside(path).map_or_else(|| path.to_path_buf(), Home::behind)
}

fn root(config: &Config) -> Result<PathBuf, Failure> {
    let Some(root) = &config.root else {
        return Err(Failure::usage("nothing says what to serve").hint("--root DIR"));
    };
    root.canonicalize()
        .because(format_args!("cannot serve {}", root.display()))
}

fn limits(config: &Config) -> Result<crate::serve::Limits, Failure> {
    config.limits.limits().map_err(Failure::usage)
}

fn log(config: &Config, root: Option<&Path>) -> Result<Log, Failure> {
    let cannot = |path: &Path| format!("cannot write {}", path.display());
    let mut log = Log::none();
    match &config.access_log {
        None => {}
        Some(path) if path.as_os_str() == OsStr::new("-") => log = log.with_access(io::stdout()),
        Some(path) => log = log.with_access(appended(path).because(cannot(path))?),
    }
    let own = root.filter(|_| !config.read_only);
    let audit = config.audit_log.clone();
    let audit = match (audit, own) {
        (Some(path), _) => Some(path),
        (None, Some(root)) => {
            let own = root.join(OWN);
            make_private(&own).because(cannot(&own))?;
            Some(own.join("audit.log"))
        }
        (None, None) => None,
    };
    match audit {
        Some(path) => log.with_audit(&path).because(cannot(&path)),
        None => Ok(log),
    }
}

fn resolved(text: &str) -> Result<SocketAddr, Failure> {
    text.parse().map_err(|_| {
        Failure::usage(format_args!("{text:?} is no address with a port"))
            .hint("such as 127.0.0.1:8080, 0.0.0.0:8443 or [::]:8443")
    })
}

fn bound(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).because(format_args!("cannot accept connections at {address}"))
}
