//! Names of hosts as requests and pages give them.

use std::net::IpAddr;

/// A host, and a port when one is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Host<'a> {
    name: &'a str,
    port: Option<u16>,
}

/// A configured name, with a port when only that one is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    name: String,
    port: Option<u16>,
}

/// Reads `name`, `name:port`, `1.2.3.4:port`, `[::1]:port`.
pub(super) fn parse(authority: &str) -> Option<Host<'_>> {
    let (name, port) = if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        let (name, rest) = authority.split_at(end);
        name.get(1..end - 1)?.parse::<std::net::Ipv6Addr>().ok()?;
        (name, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
    } else {
        match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        }
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let lawful = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '[' | ']' | ':');
    if name.is_empty() || name.len() > 255 || !name.chars().all(lawful) {
        return None;
    }
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
        None => None,
    };
    Some(Host { name, port })
}

/// The host of an `Origin`; `null` and other schemes have none.
pub(super) fn of_origin(origin: &str) -> Option<Host<'_>> {
    let (scheme, authority) = origin.split_once("://")?;
    let known = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if known { parse(authority) } else { None }
}

impl Host<'_> {
    /// The address, when it is one and no name.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        let plain = self.name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(self.name);
        plain.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
    }

    /// True for this machine's own names, which no foreign page can own.
    pub(super) fn is_loopback(&self) -> bool {
        self.name.eq_ignore_ascii_case("localhost") || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    pub(super) fn same_as(&self, other: &Host<'_>) -> bool {
        self.name.eq_ignore_ascii_case(other.name) && self.port == other.port
    }
}

impl AllowedHost {
    /// Reads `name` or `name:port`.
    ///
    /// # Errors
    /// What is wanted.
    pub fn new(text: &str) -> Result<Self, String> {
        let host = parse(text)
            .ok_or("want a host's name as in a URL, such as \"vp.example.org\" or \"box:8080\"")?;
        Ok(Self { name: host.name.to_ascii_lowercase(), port: host.port })
    }

    pub(super) fn is(&self, host: &Host<'_>) -> bool {
        self.name.eq_ignore_ascii_case(host.name) && (self.port.is_none() || self.port == host.port)
    }
}
