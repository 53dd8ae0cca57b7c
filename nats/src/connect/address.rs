use std::fmt;

use async_nats::ServerAddr;

use super::auth::{Auth, Secret};
use super::error::ConnectError;

/// The servers of a comma list, with the credentials taken out of their urls.
///
/// Printed without credentials.
#[derive(Debug)]
pub(super) struct Addresses {
    servers: Vec<ServerAddr>,
    auth: Auth,
}

impl Addresses {
    /// Reads `nats://`, `tls://` or bare `host:port` entries. Errors never repeat an entry: it may hold a password.
    pub(super) fn parse(list: &str) -> Result<Self, ConnectError> {
        let entries: Vec<&str> = list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
        if entries.is_empty() {
            return Err(ConnectError::bad_config(
                "the server url is empty; give one such as `nats://127.0.0.1:4222`",
            ));
        }
        let mut addresses = Self { servers: Vec::new(), auth: Auth::None };
        for (index, entry) in entries.into_iter().enumerate() {
            let (server, auth) = parse_entry(entry)
                .map_err(|reason| ConnectError::bad_config(format!("server url {}: {reason}", index + 1)))?;
            addresses.servers.push(server);
            // One connection has one identity; the first entry that names one decides.
            if matches!(addresses.auth, Auth::None) {
                addresses.auth = auth;
            }
        }
        Ok(addresses)
    }

    pub(super) fn servers(&self) -> Vec<ServerAddr> {
        self.servers.clone()
    }

    /// The credentials that were in the urls.
    pub(super) fn auth(&self) -> Auth {
        self.auth.clone()
    }
}

fn parse_entry(entry: &str) -> Result<(ServerAddr, Auth), String> {
    let address: ServerAddr = entry.parse().map_err(|error: std::io::Error| error.to_string())?;
    if address.host().is_empty() {
        return Err("it names no host".to_owned());
    }
    if !matches!(address.scheme(), "nats" | "tls") {
        return Err(format!("the scheme `{}` is not supported; use `nats` or `tls`", address.scheme()));
    }
    let auth = match (address.username(), address.password()) {
        (Some(user), Some(password)) => {
            Auth::UserPassword { user: decoded(user), password: Secret::new(decoded(password)) }
        }
        // As in the nats tool: a lone user part is a token.
        (Some(token), None) => Auth::Token(Secret::new(decoded(token))),
        (None, _) => Auth::None,
    };
    let mut url = address.into_inner();
    // These fail only for urls without a host, which was checked.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let server = ServerAddr::from_url(url).map_err(|error| error.to_string())?;
    Ok((server, auth))
}

/// Undoes percent encoding; what is not valid encoding stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.get(..2)).flatten();
        let value = escaped
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(value.unwrap_or(first));
        rest = if value.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, server) in self.servers.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let host = server.host();
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            write!(f, "{separator}{}://{host}:{}", server.scheme(), server.port())?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::{Addresses, Auth, decoded};

    #[test]
    fn a_comma_list_is_read_and_shown_with_scheme_and_port() {
        let addresses = Addresses::parse(" nats://a:4333, b ,tls://[::1]:7").unwrap();
        assert_eq!(addresses.to_string(), "nats://a:4333,nats://b:4222,tls://[::1]:7");
        assert!(matches!(addresses.auth(), Auth::None));
    }

    #[test]
    fn credentials_leave_the_url_and_are_never_shown() {
        let addresses = Addresses::parse("nats://ann:s%40crit@h:1,nats://bob:other@h:2").unwrap();
        let Auth::UserPassword { user, password } = addresses.auth() else { panic!("no user") };
        assert_eq!((user.as_str(), password.expose()), ("ann", "s@crit"));
        for text in [addresses.to_string(), format!("{addresses:?}")] {
            assert!(!text.contains("crit") && !text.contains("other"), "{text}");
        }
    }

    #[test]
    fn a_lone_user_part_is_a_token() {
        let addresses = Addresses::parse("nats://t0ken@h").unwrap();
        assert!(matches!(addresses.auth(), Auth::Token(token) if token.expose() == "t0ken"));
    }

    #[test]
    fn a_bad_list_is_refused_without_repeating_it() {
        for bad in ["", " , ", "nats://u:hunter2@h:99999", "ws://u:hunter2@h", "nats://u:hunter2@"] {
            let error = Addresses::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn percent_encoding_is_undone_and_garbage_is_kept() {
        for (text, plain) in
            [("a%40b", "a@b"), ("100%", "100%"), ("%zz", "%zz"), ("%4", "%4"), ("%C3%A9", "é")]
        {
            assert_eq!(decoded(text), plain);
        }
    }
}
