//! The client that proxies name in `Forwarded` (RFC 7239) and `X-Forwarded-For`.
//!
//! Each proxy appends the address that it got the request from, so only the right end of the list is known to be true:
//! the elements left of an untrusted address were written by that address. Reading takes time linear in the fields'
//! length.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue, header};

use super::TrustedProxies;

/// What `Forwarded` and `X-Forwarded-For` say of a request's client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The client's address.
    Address(IpAddr),
    /// The proxy did not name the client, or hides it (RFC 7239 section 6).
    Nothing,
    /// The fields are malformed, or contradict each other.
    Nonsense,
}

/// The client that the fields name. A proxy may know only one of the two fields and pass the other one on as the client
/// wrote it, so where both are present they must name the same address.
pub(super) fn told(fields: &HeaderMap, trusted: &TrustedProxies) -> Told {
    let forwarded = fields.get_all(header::FORWARDED);
    let x_forwarded_for = fields.get_all("x-forwarded-for");
    let by_forwarded = || forwarded.iter().rev().flat_map(forwarded_nodes);
    let by_x_forwarded_for = || x_forwarded_for.iter().rev().flat_map(listed_nodes);
    match (fields.contains_key(header::FORWARDED), fields.contains_key("x-forwarded-for")) {
        (false, false) => Told::Nothing,
        (true, false) => right_most(by_forwarded(), trusted),
        (false, true) => right_most(by_x_forwarded_for(), trusted),
        (true, true) => match (right_most(by_forwarded(), trusted), right_most(by_x_forwarded_for(), trusted)) {
            (one, other) if one == other => one,
            _ => Told::Nonsense,
        },
    }
}

/// The first element that is not a trusted proxy; where all are trusted, the last one, which is the left-most.
fn right_most(from_the_right: impl Iterator<Item = Told>, trusted: &TrustedProxies) -> Told {
    let mut told = Told::Nothing;
    for node in from_the_right {
        told = node;
        match node {
            Told::Address(address) if trusted.contains(address) => {}
            _ => break,
        }
    }
    told
}

/// The elements of a line of `X-Forwarded-For`, from the right.
fn listed_nodes(line: &HeaderValue) -> Box<dyn Iterator<Item = Told> + '_> {
    let Ok(line) = line.to_str() else { return Box::new(std::iter::once(Told::Nonsense)) };
    // RFC 9110 section 5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list elements".
    let elements = line.rsplit(',').map(|element| element.trim_matches([' ', '\t'])).filter(|text| !text.is_empty());
    Box::new(elements.map(|element| match element.parse::<IpAddr>() {
        Ok(address) => Told::Address(address.to_canonical()),
        Err(_) => node(element),
    }))
}

/// The elements of a line of `Forwarded`, from the right.
fn forwarded_nodes(line: &HeaderValue) -> impl Iterator<Item = Told> + use<> {
    let elements = line.to_str().ok().and_then(Elements::all).unwrap_or_else(|| vec![Told::Nonsense]);
    elements.into_iter().rev()
}

/// Reads a node (RFC 7239 section 6): `IPv4address`, `"[" IPv6address "]"`, "unknown" or an obfuscated name, with a
/// port or without.
fn node(text: &str) -> Told {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok();
    if let Ok(address) = text.parse::<std::net::Ipv4Addr>() {
        return Told::Address(address.into());
    }
    if let Some(address) = bracketed() {
        return Told::Address(IpAddr::from(address).to_canonical());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Told::Address(address.ip().to_canonical());
    }
    // A port may be obfuscated too.
    match text.rsplit_once(":_") {
        Some((node_name, _)) if !node_name.contains(":_") => node(node_name),
        _ if text.eq_ignore_ascii_case("unknown") || text.starts_with('_') => Told::Nothing,
        _ => Told::Nonsense,
    }
}

/// A parser of the elements of a line. RFC 7239 section 4:
/// `forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )`.
struct Elements<'a> {
    rest: &'a str,
}

impl<'a> Elements<'a> {
    /// What each element of a line says, from the left, empty elements left out; none where the line is malformed.
    fn all(line: &'a str) -> Option<Vec<Told>> {
        let mut elements = Self { rest: line };
        let mut all = Vec::new();
        loop {
            let told = elements.element()?;
            all.extend(told);
            match elements.rest.strip_prefix(',') {
                Some(rest) => elements.rest = rest,
                None => return elements.rest.is_empty().then_some(all),
            }
        }
    }

    /// Reads one element: `Some(None)` where it is empty, `None` where it is malformed.
    fn element(&mut self) -> Option<Option<Told>> {
        let (mut told, mut is_empty) = (None, true);
        loop {
            self.skip_space();
            if !self.rest.starts_with([',', ';']) && !self.rest.is_empty() {
                is_empty = false;
                let (name, value) = self.pair()?;
                if name.eq_ignore_ascii_case("for") {
                    // "Each parameter MUST NOT occur more than once per field-value" of an element.
                    let first = told.replace(node(&value)).is_none();
                    first.then_some(())?;
                }
            }
            self.skip_space();
            match self.rest.strip_prefix(';') {
                Some(rest) => self.rest = rest,
                None => return Some(if is_empty { None } else { Some(told.unwrap_or(Told::Nothing)) }),
            }
        }
    }

    /// `token "=" ( token / quoted-string )`
    fn pair(&mut self) -> Option<(&'a str, String)> {
        let name = self.token()?;
        self.rest = self.rest.strip_prefix('=')?;
        let value = match self.rest.strip_prefix('"') {
            Some(rest) => self.quoted(rest)?,
            None => self.token()?.to_owned(),
        };
        Some((name, value))
    }

    fn token(&mut self) -> Option<&'a str> {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// The content of a quoted-string, whose first quote has been read.
    fn quoted(&mut self, text: &'a str) -> Option<String> {
        let mut content = String::new();
        let mut chars = text.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &text[at + 1..];
                    return Some(content);
                }
                '\\' => content.push(chars.next()?.1),
                c => content.push(c),
            }
        }
        None
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }
}
