//! Who asks, and what he may do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use super::app::unknown;
use super::name::RepoName;
use super::tokens::{Grant, Secret, TokenFile, Tokens};
use crate::wire::{Caller, Refusal, RefusalKind, Rights};

/// Decides who may do what.
#[derive(Debug)]
pub struct Gate {
    /// Who has been let in already, as ssh does it: his name and where he comes from.
    known: Option<(String, String)>,
    tokens: Option<TokenFile>,
    /// What those may do who do not say who they are.
    anonymous: Option<Rights>,
    /// What nobody may exceed.
    most: Rights,
}

impl Gate {
    /// A gate for one who has been let in already.
    pub fn let_in(name: String, from: String, rights: Grant) -> Gate {
        Gate {
            known: Some((name, from)),
            tokens: None,
            anonymous: None,
            most: rights.into(),
        }
    }

    /// A gate for those with tokens, and for others what `anonymous` says.
    pub fn by_token(tokens: TokenFile, anonymous: Option<Grant>, most: Grant) -> Gate {
        Gate {
            known: None,
            tokens: Some(tokens),
            anonymous: anonymous.map(Rights::from),
            most: most.into(),
        }
    }

    /// The one who asks for `name`, with what he may do there.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        name: &RepoName,
        from: &str,
    ) -> Result<Caller, Refusal> {
        if let Some((who, from)) = &self.known {
            return Ok(self.caller(who, from, self.most));
        }
        let Some(secret) = presented(headers) else {
            let rights = self.anonymous.ok_or_else(unknown)?;
            return Ok(self.caller("anonymous", from, rights));
        };
        let tokens = self.tokens()?;
        let token = tokens.of(&secret).ok_or_else(unknown)?;
        if !token.covers(name.as_str()) {
            // As if nothing were there: a name is not confirmed to those who may not see it.
            let message = format!("the token {} is not for this repository", token.name);
            return Err(Refusal::new(RefusalKind::Forbidden, message));
        }
        Ok(self.caller(&token.name, from, token.rights.into()))
    }

    /// Whether a request shows no token where one might be shown: to whom that is refused which he asks for
    /// is asked who he is.
    pub(super) fn is_nameless(&self, headers: &HeaderMap) -> bool {
        self.tokens.is_some() && self.known.is_none() && !headers.contains_key(AUTHORIZATION)
    }

    /// Whether a request comes from somebody with a token for all repositories.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        let known = presented(headers).and_then(|secret| {
            let tokens = self.tokens().ok()?;
            tokens
                .of(&secret)
                .map(|token| token.repositories.is_empty())
        });
        known.unwrap_or(false)
    }

    fn tokens(&self) -> Result<std::sync::Arc<Tokens>, Refusal> {
        let file = self.tokens.as_ref().ok_or_else(unknown)?;
        file.load().map_err(|_| {
            let message = "the server cannot read its tokens";
            Refusal::new(RefusalKind::Internal, message)
        })
    }

    fn caller(&self, name: &str, from: &str, rights: Rights) -> Caller {
        Caller {
            name: name.to_owned(),
            from: from.to_owned(),
            rights: rights.min(self.most),
        }
    }
}

/// The token in a request: as it is, or as the password of HTTP basic.
fn presented(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Secret::parse(rest);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    Secret::parse(pair.split_once(':')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::tokens::NewToken;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        headers
    }

    struct Scene {
        _dir: tempfile::TempDir,
        file: TokenFile,
    }

    fn scene() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(&dir.path().join("tokens"));
        Scene { _dir: dir, file }
    }

    fn add(scene: &Scene, name: &str, rights: Grant, repositories: &[&str]) -> String {
        let new = NewToken {
            name: name.into(),
            rights,
            repositories: repositories.iter().map(|&text| text.into()).collect(),
        };
        scene.file.add(new).unwrap().reveal().to_owned()
    }

    #[test]
    fn a_token_is_good_for_its_repositories_and_rights() {
        let scene = scene();
        let ci = add(&scene, "ci", Grant::Append, &["team/*"]);
        let gate = Gate::by_token(scene.file.clone(), None, Grant::Write);
        let name = RepoName::new("team/game").unwrap();
        let basic = format!("Basic {}", STANDARD.encode(format!("anybody:{ci}")));
        for value in [format!("Bearer {ci}"), format!("bearer  {ci}"), basic] {
            let caller = gate.admit(&headers(&value), &name, "there").unwrap();
            assert_eq!(
                (caller.name.as_str(), caller.rights),
                ("ci", Rights::Append)
            );
            assert_eq!(caller.from, "there");
        }
        let other = RepoName::new("other").unwrap();
        let refusal = gate
            .admit(&headers(&format!("Bearer {ci}")), &other, "x")
            .unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Forbidden);
        let wrong = format!("Bearer lob_{}", "0".repeat(64));
        for value in [
            wrong.as_str(),
            "Bearer",
            "Basic !!",
            "Basic Og==",
            "Digest x",
        ] {
            let refusal = gate.admit(&headers(value), &name, "x").unwrap_err();
            assert_eq!(refusal.kind, RefusalKind::Unauthorized, "{value}");
        }
        let nobody = gate.admit(&HeaderMap::new(), &name, "x").unwrap_err();
        assert_eq!(nobody.kind, RefusalKind::Unauthorized);
    }

    #[test]
    fn nobody_exceeds_what_the_server_grants() {
        let scene = scene();
        let all = add(&scene, "all", Grant::Write, &[]);
        let gate = Gate::by_token(scene.file.clone(), Some(Grant::Append), Grant::Read);
        let name = RepoName::new("x").unwrap();
        let caller = gate
            .admit(&headers(&format!("Bearer {all}")), &name, "x")
            .unwrap();
        assert_eq!(caller.rights, Rights::Read);
        let caller = gate.admit(&HeaderMap::new(), &name, "x").unwrap();
        assert_eq!(
            (caller.name.as_str(), caller.rights),
            ("anonymous", Rights::Read)
        );
        // A wrong token does not fall back to what those may do who show none.
        let wrong = headers(&format!("Bearer lob_{}", "0".repeat(64)));
        assert!(gate.admit(&wrong, &name, "x").is_err());
        assert!(gate.is_known(&headers(&format!("Bearer {all}"))));
        assert!(!gate.is_known(&HeaderMap::new()));
    }

    #[test]
    fn a_token_that_is_revoked_is_good_for_nothing_at_once() {
        let scene = scene();
        let one = add(&scene, "one", Grant::Read, &[]);
        let gate = Gate::by_token(scene.file.clone(), None, Grant::Write);
        let name = RepoName::new("x").unwrap();
        let shown = headers(&format!("Bearer {one}"));
        assert!(gate.admit(&shown, &name, "x").is_ok());
        assert!(scene.file.revoke("one").unwrap());
        assert!(gate.admit(&shown, &name, "x").is_err());
    }
}
