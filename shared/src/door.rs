//! Who may come in over HTTP: one guard for the dispatcher's door and the bridge's console.
//!
//! It reads what a request says of itself and answers [`Admitted`] or a [`Refusal`]; it does no I/O.
//!
//! - On a loopback address only loopback names are answered, and those that are configured: a page that makes its own
//!   name point here (DNS rebinding) is refused by its `Host`, a page that posts across by its `Origin`.
//! - On any other address there is no door without a token ([`Guard::new`] says so at the start).
//! - With a token or credentials, every request needs one: as `Authorization: Bearer`, or, in a browser, as the cookie
//!   that a login with it set ([`Guard::login`]).
//! - A credential may be bound to a session; then what comes in with it speaks for that session and no other.

mod host;
mod secret;

use std::net::SocketAddr;

use crate::api::{ErrorCode, ToolError};
use crate::ids::SessionId;

pub use host::AllowedHost;
pub use secret::{Credential, MAX_TOKEN, MIN_TOKEN, TokenDigest, check_token};

/// The cookie a login sets.
pub const COOKIE: &str = "vp_door";
/// Says for which session a caller speaks that is not bound to one; its own configuration sets it.
pub const SESSION_HEADER: &str = "vp-session";

/// What is configured of the doors.
#[derive(Debug, Clone, Default)]
pub struct DoorKeys {
    /// Opens everything, bound to no session.
    pub token: Option<TokenDigest>,
    /// Each opens the tools for its session, and nothing of others.
    pub credentials: Vec<Credential>,
    /// Names beside the loopback ones under which the door may be addressed, such as a reverse proxy's.
    pub allowed_hosts: Vec<AllowedHost>,
}

/// What a request says of itself: the headers as they came, `None` when absent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// `Host`.
    pub host: Option<&'a str>,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Authorization`.
    pub authorization: Option<&'a str>,
    /// `Cookie`.
    pub cookie: Option<&'a str>,
    /// `Vp-Session`.
    pub session: Option<&'a str>,
}

/// Who came in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admitted {
    /// The session it speaks for, when one is known.
    pub session_id: Option<SessionId>,
    /// True when its credential is bound to that session: it must not see what is another one's.
    pub bound: bool,
}

impl Admitted {
    /// True when it may read what is meant for that session.
    pub fn may_read(&self, session_id: &SessionId) -> bool {
        !self.bound || self.session_id.as_ref() == Some(session_id)
    }
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No `Host`, more than one, or none that can be read.
    #[error("the request names no host that can be read")]
    BadHost,
    /// A name under which this door is not known.
    #[error("this door does not answer to the host that the request names")]
    ForeignHost,
    /// A page of another place.
    #[error("requests from pages of another origin are refused")]
    ForeignOrigin,
    /// No token.
    #[error("a token is needed")]
    NoToken,
    /// Not one of ours.
    #[error("the token is not accepted")]
    WrongToken,
    /// `Vp-Session` is no session id.
    #[error("the header `Vp-Session` is no session id")]
    BadSession,
    /// `Vp-Session` is not the credential's.
    #[error("this credential is bound to another session than the header `Vp-Session` names")]
    ForeignSession,
}

impl Refusal {
    /// The HTTP status. A 401 goes with `WWW-Authenticate: Bearer`.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadHost | Self::BadSession => 400,
            Self::NoToken | Self::WrongToken => 401,
            Self::ForeignHost | Self::ForeignOrigin | Self::ForeignSession => 403,
        }
    }

    /// As every door says it.
    pub fn as_error(self) -> ToolError {
        let code = match self {
            Self::BadHost | Self::BadSession => ErrorCode::ValidationError,
            _ => ErrorCode::Forbidden,
        };
        let hint = match self {
            Self::BadHost => return ToolError::new(code, self.to_string()),
            Self::ForeignHost | Self::ForeignOrigin => {
                "address it as localhost or 127.0.0.1, or add the name to `http.allowed_hosts`"
            }
            Self::NoToken | Self::WrongToken => {
                "send `Authorization: Bearer` with `http.token` or one of `http.credentials`"
            }
            Self::BadSession | Self::ForeignSession => {
                "leave the header out, or name the session that is yours"
            }
        };
        ToolError::new(code, self.to_string()).hint(hint)
    }
}

/// A door that must not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} can be reached from elsewhere, and neither `http.token` nor `http.credentials` is set")]
pub struct OpenDoor {
    /// Where it was to be.
    pub address: SocketAddr,
}

/// The guard of one door. Cheap to clone where it is in an `Arc`.
#[derive(Debug, Clone)]
pub struct Guard {
    bind: SocketAddr,
    keys: DoorKeys,
    session_id: Option<SessionId>,
}

impl Guard {
    /// A guard of a door at that address; `session_id` is spoken for by those whose credential says nothing else.
    ///
    /// # Errors
    /// [`OpenDoor`] when the address is not a loopback one and there is neither a token nor a credential.
    pub fn new(bind: SocketAddr, keys: DoorKeys, session_id: Option<SessionId>) -> Result<Self, OpenDoor> {
        if !bind.ip().to_canonical().is_loopback() && !keys.are_needed() {
            return Err(OpenDoor { address: bind });
        }
        Ok(Self { bind, keys, session_id })
    }

    /// True when requests need a token.
    pub fn needs_token(&self) -> bool {
        self.keys.are_needed()
    }

    /// Lets a request in or says why not.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn admit(&self, asked: &Asked<'_>) -> Result<Admitted, Refusal> {
        self.place(asked)?;
        let bound = self.credential(asked)?;
        let named = match asked.session {
            Some(name) => Some(SessionId::new(name).map_err(|_| Refusal::BadSession)?),
            None => None,
        };
        match (bound, named) {
            (Some(bound), Some(named)) if bound != named => Err(Refusal::ForeignSession),
            (Some(bound), _) => Ok(Admitted { session_id: Some(bound), bound: true }),
            (None, named) => {
                Ok(Admitted { session_id: named.or_else(|| self.session_id.clone()), bound: false })
            }
        }
    }

    /// Looks only at where a request comes from and goes to, as for a login page: no token is asked for.
    ///
    /// # Errors
    /// [`Refusal`] for a foreign host or origin.
    pub fn place(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let authority = asked.host.ok_or(Refusal::BadHost)?;
        let host = host::parse(authority).ok_or(Refusal::BadHost)?;
        if !self.answers_to(&host) {
            return Err(Refusal::ForeignHost);
        }
        match asked.origin {
            None => Ok(()),
            // The page that we served, whatever the scheme a proxy gave it; no other, not even of this machine.
            Some(origin) => match host::of_origin(origin) {
                Some(of_page) if of_page.same_as(&host) || self.is_allowed(&of_page) => Ok(()),
                _ => Err(Refusal::ForeignOrigin),
            },
        }
    }

    /// The text of a `Set-Cookie` that opens this door to a browser whose user gave the token; `None` when it is not
    /// `http.token`. The cookie holds a digest, not the token. `secure` says that the browser came over TLS.
    pub fn login(&self, token: &str, secure: bool) -> Option<String> {
        let key = self.keys.token.as_ref().filter(|key| key.matches(token))?;
        let secure = if secure { "; Secure" } else { "" };
        Some(format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000{secure}", key.cookie()))
    }

    fn answers_to(&self, host: &host::Host<'_>) -> bool {
        if host.is_loopback() || self.is_allowed(host) {
            return true;
        }
        // An address cannot be made to point elsewhere, as a name can.
        let bound = self.bind.ip().to_canonical();
        !bound.is_loopback() && host.ip().is_some_and(|ip| bound.is_unspecified() || ip == bound)
    }

    fn is_allowed(&self, host: &host::Host<'_>) -> bool {
        self.keys.allowed_hosts.iter().any(|allowed| allowed.is(host))
    }

    /// The session that the credential is bound to.
    fn credential(&self, asked: &Asked<'_>) -> Result<Option<SessionId>, Refusal> {
        if !self.keys.are_needed() {
            return Ok(None);
        }
        if let Some(authorization) = asked.authorization {
            let token = secret::bearer(authorization).ok_or(Refusal::WrongToken)?;
            return self.keys.session_of(token);
        }
        let cookie = asked.cookie.and_then(|cookies| secret::cookie(cookies, COOKIE));
        match (cookie, &self.keys.token) {
            (Some(cookie), Some(key)) if key.is_cookie(cookie) => Ok(None),
            (Some(_), _) => Err(Refusal::WrongToken),
            (None, _) => Err(Refusal::NoToken),
        }
    }
}

impl DoorKeys {
    fn are_needed(&self) -> bool {
        self.token.is_some() || !self.credentials.is_empty()
    }

    /// Compares with every key, so that the time says nothing of which one is near.
    fn session_of(&self, token: &str) -> Result<Option<SessionId>, Refusal> {
        let general = self.token.as_ref().is_some_and(|key| key.matches(token));
        let bound = self.credentials.iter().fold(None, |found, credential| {
            if credential.matches(token) { Some(credential.session_id.clone()) } else { found }
        });
        if bound.is_some() || general { Ok(bound) } else { Err(Refusal::WrongToken) }
    }
}

#[cfg(feature = "http")]
mod headers {
    use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, ORIGIN};

    use super::{Asked, Refusal, SESSION_HEADER};

    impl<'a> Asked<'a> {
        /// What the headers say. One that comes twice, or is no text, is as wrong as a foreign one.
        ///
        /// # Errors
        /// [`Refusal`] for such a header.
        pub fn of_headers(headers: &'a HeaderMap) -> Result<Self, Refusal> {
            let session = HeaderName::from_static(SESSION_HEADER);
            Ok(Self {
                host: single(headers, &HOST, Refusal::BadHost)?,
                origin: single(headers, &ORIGIN, Refusal::ForeignOrigin)?,
                authorization: single(headers, &AUTHORIZATION, Refusal::WrongToken)?,
                cookie: single(headers, &COOKIE, Refusal::WrongToken)?,
                session: single(headers, &session, Refusal::BadSession)?,
            })
        }
    }

    fn single<'a>(
        headers: &'a HeaderMap,
        name: &HeaderName,
        wrong: Refusal,
    ) -> Result<Option<&'a str>, Refusal> {
        let mut values = headers.get_all(name).iter();
        let Some(first) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(wrong);
        }
        first.to_str().map(Some).map_err(|_| wrong)
    }
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
