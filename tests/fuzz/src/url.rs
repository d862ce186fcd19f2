//! Places of stores: what is taken for a directory is one, and no message tells a password.

use std::path::{Component, Path};

use lob::remote::url::{Location, shown};

use super::input::Input;

const BASE: &str = "/repo";
const HOME: &str = "/home/me";
const SECRET: &str = "hunter2";
const SCHEMES: [&str; 8] = [
    "file", "FILE", "https", "ssh", "s3", "git+ssh", "foo", "x-y.z",
];

/// Parses the bytes as they are, then as parts of a URL with a password.
pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        check(text);
    }
    let mut input = Input::new(data);
    let scheme = input.pick(&SCHEMES);
    let user = String::from_utf8_lossy(input.some(256)).replace(['/', '@'], "u");
    let host = String::from_utf8_lossy(input.some(64)).replace('@', "a");
    if user.contains(SECRET) || host.contains(SECRET) {
        return;
    }
    let url = format!("{scheme}://{user}:{SECRET}@{host}");
    check(&url);
    let said = match parse(&url) {
        Ok(Location::Dir(_)) => panic!("{url} is no directory"),
        Ok(place) => format!("{} {place:?} {:?}", place.text(), shown(&url)),
        Err(error) => format!("{error} {:?} {:?}", error.hint(), shown(&url)),
    };
    assert!(!said.contains(SECRET), "{said}");
}

fn parse(text: &str) -> Result<Location, lob::remote::Error> {
    Location::parse(text, Path::new(BASE), Some(Path::new(HOME)))
}

fn check(text: &str) {
    let Ok(Location::Dir(path)) = parse(text) else {
        return;
    };
    assert!(path.is_absolute(), "{text:?} is {path:?}");
    let bytes = path.as_os_str().as_encoded_bytes();
    assert!(
        !bytes.iter().any(u8::is_ascii_control),
        "{text:?} is {path:?}"
    );
    assert!(
        !text.starts_with('-'),
        "{text:?} would be an option to others"
    );
    let is_file_url = text
        .get(..7)
        .is_some_and(|head| head.eq_ignore_ascii_case("file://"));
    if !is_file_url && !text.starts_with(['/', '~']) {
        // Relative to the repository, and nothing else was made of it.
        let rest = path.strip_prefix(BASE).expect("beneath the base");
        let same = |path: &Path| {
            let parts = path.components().filter(|part| *part != Component::CurDir);
            parts
                .map(|part| part.as_os_str().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(same(rest), same(Path::new(text)));
    }
}
