//! Where the stores are that a server serves.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::app::Places;
use super::name::RepoName;
use super::service::{Cleaner, Service, Shares, Witness};
use crate::wire::{Refusal, RefusalKind, Rights, Serve};

/// Stores that are kept open.
const OPEN_MAX: usize = 256;

/// The stores below a directory: each in a git repository, bare or with a work tree, or by itself.
pub struct Beneath {
    root: PathBuf,
    witness: Arc<dyn Witness>,
    cleaner: Arc<dyn Cleaner>,
    open: Mutex<HashMap<PathBuf, Open>>,
    shares: Arc<Shares>,
}

/// A store that is open, and which directory it was.
struct Open {
    mark: Option<Mark>,
    service: Arc<Service>,
}

/// What tells a directory from another that took its name.
type Mark = (u64, u64);

impl Beneath {
    /// The stores below `root`; what is stored in them `witness` is told.
    pub fn new(root: &Path, witness: Arc<dyn Witness>) -> Beneath {
        Beneath {
            root: root.to_path_buf(),
            witness,
            cleaner: Arc::new(()),
            open: Mutex::default(),
            shares: Arc::default(),
        }
    }

    /// With at most so many bytes in the stages of all.
    pub fn with_stage(self, most: u64) -> Beneath {
        Beneath {
            shares: Arc::new(Shares::with_stage(most)),
            ..self
        }
    }

    /// Which `cleaner` cleans up.
    pub fn with_cleaner(self, cleaner: Arc<dyn Cleaner>) -> Beneath {
        Beneath { cleaner, ..self }
    }

    /// Only one of them, whatever it is called by those who ask.
    pub fn only(self, name: RepoName) -> impl Places {
        Renamed(self, name)
    }

    /// The directory of the store of `name`, which may not be there yet.
    fn dir(&self, name: &RepoName) -> io::Result<PathBuf> {
        let place = name.beneath(&self.root)?;
        // Whoever may make a store must not make one among what is git's, or another store's.
        let above = place.ancestors().skip(1);
        let mut above = above.take_while(|above| above.starts_with(&self.root));
        if above.any(|above| is_bare(above) || is_dir(&above.join(".git")) || is_store(above)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !is_dir(&place) {
            // As git finds it.
            let with_git = RepoName::new(&format!("{name}.git"));
            let with_git = with_git.map(|name| name.beneath(&self.root)).transpose()?;
            if let Some(bare) = with_git.filter(|place| is_bare(place)) {
                return inside(&bare);
            }
            return Ok(place);
        }
        let work_tree = place.join(".git");
        match () {
            () if is_bare(&place) => inside(&place),
            () if is_dir(&work_tree) && is_bare(&work_tree) => inside(&work_tree),
            () => Ok(place),
        }
    }

    fn service(&self, dir: PathBuf) -> Arc<Service> {
        let mark = mark(&dir);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = open.get(&dir).filter(|known| known.mark == mark) {
            return known.service.clone();
        }
        if open.len() >= OPEN_MAX {
            // Those that are in use stay open until their requests end.
            open.clear();
        }
        let service = Service::of_dir(dir.clone())
            .with_witness(self.witness.clone())
            .with_cleaner(self.cleaner.clone())
            .with_shares(self.shares.clone());
        let service = Arc::new(service);
        let kept = Open {
            mark,
            service: service.clone(),
        };
        open.insert(dir, kept);
        service
    }
}

impl Places for Beneath {
    fn staged(&self) -> u64 {
        self.shares.stage.bytes()
    }

    fn open(&self, name: &RepoName, _: Rights) -> Result<Arc<dyn Serve>, Refusal> {
        let dir = self.dir(name).map_err(|_| {
            let message = format!("no store is at {name}");
            Refusal::new(RefusalKind::NotFound, message)
        })?;
        Ok(self.service(dir))
    }
}

/// One repository of many.
struct Renamed(Beneath, RepoName);

impl Places for Renamed {
    fn staged(&self) -> u64 {
        self.0.staged()
    }

    fn open(&self, _: &RepoName, rights: Rights) -> Result<Arc<dyn Serve>, Refusal> {
        self.0.open(&self.1, rights)
    }
}

/// The one store that is served, whatever it is called.
pub struct Only(Arc<Service>);

impl Only {
    /// The store of this service.
    pub fn new(service: Service) -> Only {
        Only(Arc::new(service))
    }
}

impl Places for Only {
    fn open(&self, _: &RepoName, _: Rights) -> Result<Arc<dyn Serve>, Refusal> {
        Ok(self.0.clone())
    }
}

/// The store in a git directory. Not through a link: it would lead out of what is served.
fn inside(git_dir: &Path) -> io::Result<PathBuf> {
    let dir = git_dir.join("lob");
    match dir.symlink_metadata() {
        Ok(meta) if !meta.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
        _ => Ok(dir),
    }
}

fn is_dir(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
}

fn is_bare(path: &Path) -> bool {
    path.join("HEAD").symlink_metadata().is_ok() && path.join("objects").is_dir()
}

fn is_store(path: &Path) -> bool {
    path.join("state/format").symlink_metadata().is_ok()
}

fn mark(dir: &Path) -> Option<Mark> {
    let meta = dir.metadata().ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Some((meta.dev(), meta.ino()))
    }
    #[cfg(not(unix))]
    {
        let made = meta
            .created()
            .ok()?
            .duration_since(std::time::UNIX_EPOCH)
            .ok()?;
        Some((made.as_secs(), u64::from(made.subsec_nanos())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn beneath(root: &Path) -> Beneath {
        Beneath::new(root, Arc::new(()))
    }

    fn dir(places: &Beneath, name: &str) -> Option<PathBuf> {
        places.dir(&RepoName::new(name).unwrap()).ok()
    }

    fn bare(path: &Path) {
        fs::create_dir_all(path.join("objects")).unwrap();
        fs::write(path.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    }

    #[test]
    fn a_store_is_in_its_repository_or_by_itself() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        bare(&at("bare.git"));
        bare(&at("work/.git"));
        fs::create_dir_all(at("plain")).unwrap();
        let places = beneath(root.path());
        for (name, store) in [
            ("bare.git", "bare.git/lob"),
            ("bare", "bare.git/lob"),
            ("work", "work/.git/lob"),
            ("plain", "plain"),
            ("new", "new"),
            ("team/new", "team/new"),
        ] {
            assert_eq!(dir(&places, name), Some(at(store)), "{name}");
        }
    }

    #[test]
    fn p10_no_store_is_made_inside_a_repository_or_a_store() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        bare(&at("bare.git"));
        fs::create_dir_all(at("bare.git/refs/tags")).unwrap();
        bare(&at("work/.git"));
        fs::create_dir_all(at("plain/state")).unwrap();
        fs::write(at("plain/state/format"), "").unwrap();
        let places = beneath(root.path());
        for name in [
            "bare.git/refs/tags",
            "bare.git/refs/tags/new",
            "bare.git/lob",
            "work/new",
            "plain/packs",
            "plain/stage/1",
        ] {
            assert_eq!(dir(&places, name), None, "{name}");
        }
        assert_eq!(dir(&places, "plain"), Some(at("plain")));
    }

    #[cfg(unix)]
    #[test]
    fn p10_no_link_inside_a_repository_leads_out() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        bare(&root.path().join("x.git"));
        bare(outside.path());
        fs::create_dir(root.path().join("y")).unwrap();
        let link =
            |to: &str| std::os::unix::fs::symlink(outside.path(), root.path().join(to)).unwrap();
        link("x.git/lob");
        link("z.git");
        link("y/.git");
        let places = beneath(root.path());
        assert_eq!(dir(&places, "x.git"), None);
        assert_eq!(dir(&places, "x"), None);
        assert_eq!(dir(&places, "z"), None);
        assert_eq!(
            dir(&places, "y"),
            Some(root.path().join("y")),
            "no repository"
        );
    }

    #[test]
    fn a_directory_that_took_the_place_of_another_is_opened_anew() {
        let root = tempfile::tempdir().unwrap();
        let places = beneath(root.path());
        fs::create_dir(root.path().join("a")).unwrap();
        let first = places.service(root.path().join("a"));
        assert!(Arc::ptr_eq(&first, &places.service(root.path().join("a"))));
        fs::rename(root.path().join("a"), root.path().join("old")).unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        assert!(!Arc::ptr_eq(&first, &places.service(root.path().join("a"))));
    }
}
