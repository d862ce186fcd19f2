//! Who asks, and what he may do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use super::app::unknown;
use super::name::RepoName;
use super::tokens::{Grant, Secret, TokenFile};
use crate::wire::{Caller, Refusal, RefusalKind, Rights, Standing};

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
        let claim = Claim {
            tokens: self.tokens.clone().ok_or_else(unknown)?,
            secret,
            name: name.clone(),
            most: self.most,
        };
        let (who, rights) = claim.now()?;
        Ok(Caller {
            standing: Standing::told_by(move || claim.now().map(|(_, rights)| rights)),
            ..self.caller(&who, from, rights)
        })
    }

    /// Whether a request shows no token where one might be shown: to whom that is refused which he asks for
    /// is asked who he is.
    pub(super) fn is_nameless(&self, headers: &HeaderMap) -> bool {
        self.tokens.is_some() && self.known.is_none() && !headers.contains_key(AUTHORIZATION)
    }

    /// Whether a request comes from somebody with a token for all repositories.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        let known = presented(headers).and_then(|secret| {
            let tokens = self.tokens.as_ref()?.load().ok()?;
            tokens
                .of(&secret)
                .map(|token| token.repositories.is_empty())
        });
        known.unwrap_or(false)
    }

    fn caller(&self, name: &str, from: &str, rights: Rights) -> Caller {
        Caller {
            name: name.to_owned(),
            from: from.to_owned(),
            rights: rights.min(self.most),
            standing: Standing::default(),
        }
    }
}

/// A token that was shown for a repository.
struct Claim {
    tokens: TokenFile,
    secret: Secret,
    name: RepoName,
    most: Rights,
}

impl Claim {
    /// What the token is called, and what it grants now: it may be revoked while a request is under way.
    fn now(&self) -> Result<(String, Rights), Refusal> {
        let tokens = self.tokens.load().map_err(|_| {
            let message = "the server cannot read its tokens";
            Refusal::new(RefusalKind::Internal, message)
        })?;
        let token = tokens.of(&self.secret).ok_or_else(unknown)?;
        if !token.covers(self.name.as_str()) {
            // As if nothing were there: a name is not confirmed to those who may not see it.
            let message = format!("the token {} is not for this repository", token.name);
            return Err(Refusal::new(RefusalKind::Forbidden, message));
        }
        Ok((token.name.clone(), self.most.min(token.rights.into())))
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
        dir: tempfile::TempDir,
        file: TokenFile,
    }

    fn scene() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::at(&dir.path().join("tokens"));
        Scene { dir, file }
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
        let under_way = gate.admit(&shown, &name, "x").unwrap();
        under_way.may_still(Rights::Read).unwrap();
        let more = under_way.may_still(Rights::Append).unwrap_err();
        assert_eq!(more.kind, RefusalKind::Forbidden);
        assert!(scene.file.revoke("one").unwrap());
        let new = gate.admit(&shown, &name, "x").unwrap_err();
        assert_eq!(new.kind, RefusalKind::Unauthorized);
        // What began before hears the same.
        assert_eq!(under_way.may_still(Rights::Read).unwrap_err(), new);
    }

    #[test]
    fn what_is_granted_anew_is_what_holds() {
        let scene = scene();
        let one = add(&scene, "one", Grant::Write, &[]);
        let gate = Gate::by_token(scene.file.clone(), None, Grant::Append);
        let name = RepoName::new("x").unwrap();
        let shown = headers(&format!("Bearer {one}"));
        let under_way = gate.admit(&shown, &name, "x").unwrap();
        under_way.may_still(Rights::Append).unwrap();
        assert!(under_way.may_still(Rights::Write).is_err(), "nobody may");
        // The file is edited by hand, too.
        let path = scene.dir.path().join("tokens");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"write\"", "\"read\"")).unwrap();
        under_way.may_still(Rights::Read).unwrap();
        let refusal = under_way.may_still(Rights::Append).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Forbidden);
        let known = Gate::let_in("me".into(), "here".into(), Grant::Write);
        let known = known.admit(&HeaderMap::new(), &name, "x").unwrap();
        known.may_still(Rights::Write).unwrap();
        assert!(known.may_still(Rights::Admin).is_err());
    }
}
