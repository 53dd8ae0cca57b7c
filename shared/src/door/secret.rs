//! Tokens, of which only digests are kept.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::ids::SessionId;

/// The shortest token, in bytes: what is shorter can be guessed.
pub const MIN_TOKEN: usize = 16;
/// The longest token, in bytes.
pub const MAX_TOKEN: usize = 512;

/// What is kept of a token: enough to know it again.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

/// A token that speaks for one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// For which.
    pub session_id: SessionId,
    token: TokenDigest,
}

/// Says what is wrong with a token, and nothing of what it is.
///
/// # Errors
/// What is wanted.
pub fn check_token(token: &str) -> Result<(), String> {
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if !(MIN_TOKEN..=MAX_TOKEN).contains(&token.len()) {
        return Err(format!("want a token of {MIN_TOKEN} to {MAX_TOKEN} characters"));
    }
    if token.bytes().all(lawful) {
        Ok(())
    } else {
        Err("want only letters, digits and `-._~+/=` in a token".to_owned())
    }
}

impl TokenDigest {
    /// The digest of a token.
    ///
    /// # Errors
    /// See [`check_token`].
    pub fn new(token: &str) -> Result<Self, String> {
        check_token(token)?;
        Ok(Self(Sha256::digest(token.as_bytes()).into()))
    }

    /// True for the same token. How long it takes says nothing of the token: digests are compared, in full.
    pub fn matches(&self, token: &str) -> bool {
        same(&self.0, &Sha256::digest(token.as_bytes()).into())
    }

    /// What a browser keeps instead of the token; it cannot be turned back into it.
    pub(super) fn cookie(&self) -> String {
        self.cookie_bytes().iter().fold(String::with_capacity(64), |mut text, byte| {
            for half in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
            }
            text
        })
    }

    pub(super) fn is_cookie(&self, cookie: &str) -> bool {
        let digest = |text: &str| -> [u8; 32] { Sha256::digest(text.as_bytes()).into() };
        same(&digest(&self.cookie()), &digest(cookie))
    }

    fn cookie_bytes(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"vp door cookie\0").chain_update(self.0).finalize().into()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

impl Credential {
    /// A token for a session.
    ///
    /// # Errors
    /// See [`check_token`].
    pub fn new(session_id: SessionId, token: &str) -> Result<Self, String> {
        Ok(Self { session_id, token: TokenDigest::new(token)? })
    }

    /// Reads `SESSION:TOKEN`, parted at the last colon; the error shows nothing of the text.
    ///
    /// # Errors
    /// What is wanted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (session, token) = text.rsplit_once(':').ok_or("want \"SESSION:TOKEN\"")?;
        let session_id = SessionId::new(session).map_err(|error| error.to_string())?;
        Self::new(session_id, token)
    }

    pub(super) fn matches(&self, token: &str) -> bool {
        self.token.matches(token)
    }
}

/// Looks at all bytes, whatever the first ones say.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

/// The token of `Bearer TOKEN`.
pub(super) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The value of the cookie of that name.
pub(super) fn cookie<'a>(cookies: &'a str, name: &str) -> Option<&'a str> {
    cookies.split(';').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}
