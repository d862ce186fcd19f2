//! `lob serve token`: who may do what on a server.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use super::{OWN, Outcome};
use crate::serve::{Grant, NewToken, TokenFile};
use crate::ui::{Exit, Explain, Failure, Ui};

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token and print it: this once, as only its hash is kept
    Add(Add),
    /// List the tokens: names, rights and repositories
    List(List),
    /// Take a token back: from now on it is good for nothing
    Revoke(Revoke),
}

/// Where the tokens are.
#[derive(Debug, clap::Args)]
struct Place {
    /// The directory that is served
    #[arg(long, value_name = "DIR", required_unless_present = "tokens")]
    root: Option<PathBuf>,
    /// The file of the tokens, where the server has it elsewhere
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// What it is called in logs and lists
    name: String,
    /// What may be done with it
    #[arg(long, value_enum, default_value_t = Grant::Read)]
    rights: Grant,
    /// Only for this repository, or all beneath with 'team/*'; may be given more than once
    #[arg(long, value_name = "NAME")]
    repository: Vec<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub(super) struct Revoke {
    /// Which
    name: String,
    #[command(flatten)]
    place: Place,
}

/// The events `token`: of a new one with itself, of those that are listed without.
#[derive(Serialize)]
struct Event<'a> {
    name: &'a str,
    rights: Grant,
    repositories: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<u64>,
}

/// The file of the tokens of a served directory.
pub(super) fn file(root: &Path) -> PathBuf {
    root.join(OWN).join("tokens.toml")
}

impl Place {
    fn open(&self) -> Result<TokenFile, Failure> {
        match (&self.tokens, &self.root) {
            (Some(path), _) => Ok(TokenFile::at(path)),
            (None, Some(root)) if root.is_dir() => Ok(TokenFile::at(&file(root))),
            (None, Some(root)) => Err(Failure::new(format_args!(
                "{} is no directory",
                root.display()
            ))),
            (None, None) => Err(Failure::usage("--root DIR says whose tokens")),
        }
    }
}

pub(super) fn run(command: Command, ui: &Ui) -> Outcome {
    match command {
        Command::Add(args) => add(args, ui),
        Command::List(args) => list(&args, ui),
        Command::Revoke(args) => revoke(&args, ui),
    }
}

fn add(args: Add, ui: &Ui) -> Outcome {
    let is_word = |c: char| c.is_alphanumeric() || "-_.@+".contains(c);
    if args.name.is_empty() || !args.name.chars().all(is_word) {
        return Err(Failure::usage(
            "a token's name is letters, digits, and any of -_.@+",
        ));
    }
    let file = args.place.open()?;
    let new = NewToken {
        name: args.name.clone(),
        rights: args.rights,
        repositories: args.repository.clone(),
    };
    let secret = file.add(new).because("no token was made")?;
    if ui.is_json() {
        ui.event(
            "token",
            Event {
                name: &args.name,
                rights: args.rights,
                repositories: &args.repository,
                token: Some(secret.reveal()),
                created: None,
            },
        )?;
    } else {
        ui.line(secret.reveal())?;
        ui.hint("this is shown only now. It is the password for git's credential helpers, with any user");
    }
    Ok(Exit::Done)
}

fn list(args: &List, ui: &Ui) -> Outcome {
    for token in args.place.open()?.load()?.list() {
        if ui.is_json() {
            ui.event(
                "token",
                Event {
                    name: &token.name,
                    rights: token.rights,
                    repositories: &token.repositories,
                    token: None,
                    created: Some(token.created),
                },
            )?;
            continue;
        }
        let repositories = match token.repositories.as_slice() {
            [] => "all repositories".to_owned(),
            some => some.join(", "),
        };
        ui.line(format_args!(
            "{}  {}  {repositories}",
            token.name, token.rights
        ))?;
    }
    Ok(Exit::Done)
}

fn revoke(args: &Revoke, ui: &Ui) -> Outcome {
    if !args.place.open()?.revoke(&args.name)? {
        return Err(
            Failure::new(format_args!("there is no token {:?}", args.name))
                .hint("'lob serve token list' shows them"),
        );
    }
    ui.say(format_args!("{} is good for nothing any more", args.name));
    Ok(Exit::Done)
}
