//! Who to be on a server: what the URL says, else what git's credential helpers know.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;

use super::fault::lasting;
use super::place::HttpPlace;
use crate::git::Git;
use crate::git::credential::{self, About, Login};
use crate::wire::ExchangeError;

/// How often somebody is asked for another password.
const ASK_MAX: u32 = 3;

/// What is known about a login to one origin.
#[derive(Debug, Default)]
pub(super) struct Logins {
    current: Option<Known>,
    asked: u32,
}

#[derive(Debug)]
struct Known {
    header: HeaderValue,
    /// What the helpers said; `None` where it stood in the URL.
    login: Option<Login>,
    is_good: bool,
}

impl Logins {
    /// What stands in the URL.
    pub(super) fn of(place: &HttpPlace) -> Logins {
        let pair = place.user.as_deref().zip(place.password.as_deref());
        let current = pair.and_then(|(user, password)| {
            Some(Known {
                header: basic(user, password)?,
                login: None,
                is_good: false,
            })
        });
        Logins { current, asked: 0 }
    }

    /// The header to send.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        self.current.as_ref().map(|known| known.header.clone())
    }

    /// The server asked who this is, though `sent` was said. Returns whether there is something else to
    /// say now.
    pub(super) fn refused(
        &mut self,
        git: &Git,
        place: &HttpPlace,
        sent: Option<&HeaderValue>,
    ) -> Result<bool, ExchangeError> {
        // Before all: what must not be sent is as good as nothing.
        if !place.tls && !place.is_loopback() {
            let message =
                format!("{place} wants a password, which would go over the network in the clear");
            return Err(lasting(
                message,
                Some("use https, or a tunnel to this machine"),
            ));
        }
        let current = self.current.as_ref().map(|known| &known.header);
        if current != sent {
            // Another request has found out meanwhile.
            return Ok(true);
        }
        if let Some(login) = self.current.take().and_then(|known| known.login) {
            // A helper that can't forget changes nothing here.
            let _ = credential::reject(git, &login);
        }
        if self.asked >= ASK_MAX {
            return Ok(false);
        }
        self.asked += 1;
        let about = About {
            protocol: place.scheme(),
            host: place.authority(),
            path: place.path.trim_start_matches('/').to_owned(),
            username: place.user.clone(),
        };
        let filled = credential::fill(git, &about).map_err(|error| lasting(error, None))?;
        self.current = filled.and_then(|login| {
            Some(Known {
                header: basic(&login.username, &login.password)?,
                login: Some(login),
                is_good: false,
            })
        });
        Ok(self.current.is_some())
    }

    /// The server took it.
    pub(super) fn accepted(&mut self, git: &Git) {
        if let Some(known) = &mut self.current
            && !known.is_good
        {
            known.is_good = true;
            self.asked = 0;
            if let Some(login) = &known.login {
                // A helper that can't keep it asks again next time.
                let _ = credential::approve(git, login);
            }
        }
    }
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    let mut header = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Fixture;

    #[test]
    fn nothing_is_said_in_the_clear_to_another_machine() {
        let git = Fixture::new();
        let place = HttpPlace::parse("http://me:s3cret@host.example/x").unwrap();
        let mut logins = Logins::of(&place);
        // It was not sent, and is not to be: not asked again for ever either.
        let error = logins.refused(git.git(), &place, None).unwrap_err();
        assert!(error.to_string().contains("in the clear"), "{error}");
        assert!(!error.to_string().contains("s3cret") && !error.is_transient());
    }
}
