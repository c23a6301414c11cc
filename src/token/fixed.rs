//! Static credentials: a token that somebody gave us, or a name and a password (RFC 7617).
//!
//! Invariant: what was read is in force as long as the files say so; it never expires by itself.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::inputs::Inputs;
use super::request::{read, unfit};
use super::source::{FetchContext, FetchError, TokenSource};
use super::{AccessToken, LifetimeFrom, response};
use crate::clock::Clock;
use crate::config::profile::{ProfileConfig, ProfileKind};
use crate::secret::Secret;

/// A hundred years: longer than any process.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The source of a static credential.
#[derive(Debug)]
pub struct Fixed {
    profile: Arc<ProfileConfig>,
    clock: Clock,
    inputs: Inputs,
}

impl Fixed {
    /// A source for this profile, which is `static_token` or `user_credentials`.
    pub fn new(profile: Arc<ProfileConfig>, clock: Clock) -> Self {
        let inputs = Inputs::of(&profile);
        Self { profile, clock, inputs }
    }

    fn text(&self) -> Result<Secret, FetchError> {
        match &self.profile.kind {
            ProfileKind::StaticToken(token) => read(token, "token"),
            ProfileKind::UserCredentials { user, password } => {
                let (user, password) = (read(user, "user")?, read(password, "password")?);
                if user.expose().contains(':') {
                    return Err(unfit("user: a name with a colon does not fit into Basic".to_owned()));
                }
                let pair = Zeroizing::new([user.expose(), ":", password.expose()].concat());
                let mut text = String::with_capacity(pair.len().div_ceil(3) * 4);
                STANDARD.encode_string(pair.as_bytes(), &mut text);
                Ok(Secret::new(text))
            }
            _ => Err(unfit("this profile is of another type".to_owned())),
        }
    }
}

impl TokenSource for Fixed {
    async fn fetch(&self, _context: FetchContext) -> Result<AccessToken, FetchError> {
        self.inputs.remember();
        let text = self.text()?;
        response::check_fit(text.expose())?;
        Ok(AccessToken::new(text, self.clock.now(), (FOR_EVER, LifetimeFrom::Never)))
    }

    fn inputs_changed(&self) -> bool {
        self.inputs.changed()
    }

    fn follows_inputs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::source::FetchReason;
    use crate::token::testing::{literal, of_kind};

    fn fixed(kind: ProfileKind) -> Fixed {
        Fixed::new(Arc::new(of_kind(kind)), Clock::system())
    }

    async fn fetch(source: &Fixed) -> Result<AccessToken, FetchError> {
        source.fetch(FetchContext { why: FetchReason::First, previous: None }).await
    }

    #[tokio::test]
    async fn a_static_token_follows_its_file_and_never_expires() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "one\n").unwrap();
        let source = fixed(ProfileKind::StaticToken(crate::config::SecretSource::File(file.clone())));
        let token = fetch(&source).await.unwrap();
        assert_eq!((token.text.expose(), token.lifetime_from), ("one", LifetimeFrom::Never));
        assert!(!source.inputs_changed() && source.follows_inputs());
        std::fs::write(&file, "two\n").unwrap();
        assert!(source.inputs_changed());
        assert_eq!(fetch(&source).await.unwrap().text.expose(), "two");
    }

    #[tokio::test]
    async fn user_and_password_become_basic() {
        let kind = |user: &str| ProfileKind::UserCredentials {
            user: literal(user),
            password: literal("open:sesame"),
        };
        // RFC 7617 section 2
        let password = literal("open sesame");
        let aladdin = fixed(ProfileKind::UserCredentials { user: literal("Aladdin"), password });
        assert_eq!(fetch(&aladdin).await.unwrap().text.expose(), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(fetch(&fixed(kind("a"))).await.is_ok());
        assert!(fetch(&fixed(kind("a:b"))).await.unwrap_err().message.contains("colon"));
    }

    #[tokio::test]
    async fn the_fingerprint_of_a_password_confirms_no_guess() {
        let kind =
            |password: &str| ProfileKind::UserCredentials { user: literal("a"), password: literal(password) };
        let token = fetch(&fixed(kind("secret"))).await.unwrap();
        let guess = AccessToken { lifetime_from: LifetimeFrom::Default, ..token.clone() };
        assert_ne!(token.fingerprint(), guess.fingerprint(), "what everybody can compute");
        assert_eq!(token.fingerprint(), fetch(&fixed(kind("secret"))).await.unwrap().fingerprint());
        assert_ne!(token.fingerprint(), fetch(&fixed(kind("other"))).await.unwrap().fingerprint());
    }

    #[tokio::test]
    async fn a_token_that_no_header_can_carry_is_refused() {
        let source = fixed(ProfileKind::StaticToken(literal("two words")));
        assert_eq!(fetch(&source).await.unwrap_err().code, crate::token::source::FetchErrorCode::Unfit);
    }
}
