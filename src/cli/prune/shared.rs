//! `lob prune --shared`: all who have the store in common are asked first.

use lob_store::Store;

use super::Args;
use crate::cli::transfer::count;
use crate::git::Repo;
use crate::sync::sharers::Sharers;
use crate::sync::users::{Forgotten, Use, Users};
use crate::sync::{Error, Home};
use crate::ui::{Failure, Ui};

/// Whether `--shared` is said where it must be, and only there.
pub(super) fn check(args: &Args, home: &Home) -> Result<(), Failure> {
    let place = home.dir().display();
    match (home.is_shared(), args.shared) {
        (true, false) => {
            let users = Users::of(home.dir());
            let users = users.list().map_err(failed(home.dir()))?;
            let sharing = users.iter().filter(|known| known.user.by == Use::Share);
            let clones = count(sharing.count() as u64, "clone");
            Err(
                Failure::usage(format_args!("the store {place} is shared by {clones}"))
                    .hint("to prune it by what all of them need: lob prune --shared"),
            )
        }
        (false, true) => Err(Failure::usage(format_args!(
            "the store {place} is of this repository alone"
        ))
        .hint("to prune it: lob prune")),
        _ => Ok(()),
    }
}

/// Asks all who use the store what they need.
///
/// # Errors
/// Where somebody cannot be asked.
pub(super) fn ask(
    args: &Args,
    repo: &Repo,
    store: &Store,
    now: u64,
    ui: &Ui,
) -> Result<Sharers, Failure> {
    forget(args, store, ui)?;
    let sharers = Sharers::ask(repo, store.root(), &args.forget, now)?;
    let users = Users::of(store.root());
    let away = sharers.away.iter().map(|user| (user, Some(now)));
    let back = sharers.back.iter().map(|user| (user, None));
    for (user, since) in away.chain(back).filter(|_| !args.dry_run) {
        let marked = users.mark_away(user, since);
        marked.map_err(failed(store.root()))?;
    }
    for known in &sharers.released {
        ui.say(format_args!(
            "{} is not there since {} days, and is done without",
            known.user.describe(),
            now.saturating_sub(known.away.unwrap_or(now)) / 86_400
        ));
    }
    if sharers.unknown.is_empty() {
        let clones = count(sharers.clones.len() as u64 + 1, "clone");
        ui.say(format_args!("the store is shared by {clones}"));
        return Ok(sharers);
    }
    for one in &sharers.unknown {
        ui.warn(format_args!(
            "it cannot be told what is needed: {}",
            one.why
        ));
        ui.hint(&one.way);
    }
    Err(Failure::new(
        "a clone that shares this store cannot be asked what must stay, so nothing goes",
    ))
}

/// Forgets those whom the user names.
fn forget(args: &Args, store: &Store, ui: &Ui) -> Result<(), Failure> {
    let users = Users::of(store.root());
    let forgotten = users.forget_at(&args.forget, args.dry_run);
    match forgotten.map_err(failed(store.root()))? {
        Forgotten::Nobody(place) => Err(Failure::usage(format_args!(
            "nobody at {place:?} uses this store"
        ))
        .hint("run it without --forget: it names those who cannot be asked")),
        Forgotten::Users(users) => {
            for user in users {
                ui.say(format_args!("{} is forgotten", user.describe()));
            }
            Ok(())
        }
    }
}

/// Forgets the clones that were done without, unless one of them is back.
pub(super) fn release(sharers: &Sharers, store: &Store) -> Result<(), Failure> {
    let users = Users::of(store.root());
    for known in users.list().map_err(failed(store.root()))? {
        if sharers.released.contains(&known) {
            users.forget(&known.user).map_err(failed(store.root()))?;
        }
    }
    Ok(())
}

fn failed(root: &std::path::Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    Error::state(&root.join("state/users"))
}
