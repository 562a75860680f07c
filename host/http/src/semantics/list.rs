//! The members of a list-based field (RFC 9110 section 5.6.1), in one pass over its bytes.
//!
//! Every parser of a list is built on this one, so that parsing takes time linear in the length: however a line is
//! malformed, each of its bytes is looked at twice at most.

/// Which quoted forms a list may hold: a comma within them ends no member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// None: the members are tokens, and every comma ends one.
    None,
    /// Quoted strings, in which a backslash escapes the byte behind it (RFC 9110 section 5.6.4).
    Strings,
    /// Entity tags: a member begins with its quotes, and a backslash is a byte like any other (RFC 9110 section 8.8.3).
    Tags,
}

/// An iterator over the members of a line, without the white space around them, including empty ones.
///
/// Where a quote never ends, the rest of the line is split at each comma, and [`Self::is_sound`] becomes false.
#[derive(Clone, Debug)]
pub(crate) struct Members<'a> {
    /// The rest of the line, from the next member on; none after the last member.
    rest: Option<&'a [u8]>,
    quotes: Quotes,
    is_sound: bool,
}

impl<'a> Members<'a> {
    /// The members of `line`.
    pub(crate) const fn of(line: &'a [u8], quotes: Quotes) -> Self {
        Self { rest: Some(line), quotes, is_sound: true }
    }

    /// Whether every quote so far was closed.
    pub(crate) const fn is_sound(&self) -> bool {
        self.is_sound
    }

    /// Where the member at the beginning of `rest` ends.
    fn end(&mut self, rest: &[u8]) -> usize {
        let quoted = match self.quotes {
            Quotes::None => Ok(0),
            Quotes::Tags => behind_tag(rest),
            Quotes::Strings => behind_strings(rest),
        };
        let from = quoted.unwrap_or_else(|Unclosed { at }| {
            // No closing quote follows, so quotes are ignored from here on. Otherwise each member would begin a search
            // of its own to the end of the line.
            self.is_sound = false;
            self.quotes = Quotes::None;
            at
        });
        comma(&rest[from..]).map_or(rest.len(), |comma| from + comma)
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let end = self.end(rest);
        self.rest = rest.get(end + 1..);
        Some(rest[..end].trim_ascii())
    }
}

/// A quote that never ends.
struct Unclosed {
    /// Where to go on: a place at or after the quote.
    at: usize,
}

/// Where the search for the comma may begin: at the first one outside of quoted strings, or at the end of the line.
fn behind_strings(rest: &[u8]) -> Result<usize, Unclosed> {
    let mut opened = None;
    let mut escaped = false;
    for (index, byte) in rest.iter().enumerate() {
        match (opened, byte) {
            _ if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(_), b'"') => opened = None,
            (None, b'"') => opened = Some(index),
            (None, b',') => return Ok(index),
            _ => {}
        }
    }
    opened.map_or(Ok(rest.len()), |at| Err(Unclosed { at }))
}

/// Where the search for the comma may begin in a list of entity tags: behind the tag, where the member begins with one.
fn behind_tag(rest: &[u8]) -> Result<usize, Unclosed> {
    let member = rest.trim_ascii_start();
    let Some(inner) = member.strip_prefix(b"W/").unwrap_or(member).strip_prefix(b"\"") else { return Ok(0) };
    let at = rest.len() - inner.len();
    inner.iter().position(|byte| *byte == b'"').map_or(Err(Unclosed { at }), |close| Ok(at + close + 1))
}

fn comma(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| *byte == b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(quotes: Quotes, line: &str, expected: &[&str], is_sound: bool) {
        let mut members = Members::of(line.as_bytes(), quotes);
        let found: Vec<_> = members.by_ref().map(|member| String::from_utf8_lossy(member).into_owned()).collect();
        assert_eq!(found, expected, "{quotes:?}: {line:?}");
        assert_eq!(members.is_sound(), is_sound, "{quotes:?}: {line:?}");
    }

    #[test]
    fn a_line_is_cut_at_commas_outside_of_quotes() {
        for (quotes, line, expected, is_sound) in [
            (Quotes::None, "", &[""][..], true),
            (Quotes::None, " a ,\t,b,", &["a", "", "b", ""], true),
            (Quotes::None, "\"a, b\"", &["\"a", "b\""], true),
            (Quotes::Strings, "a=\"b, c\" , d", &["a=\"b, c\"", "d"], true),
            (Quotes::Strings, "\"a\\\", b\", c", &["\"a\\\", b\"", "c"], true),
            (Quotes::Strings, "\"a\"\"b, c\", d", &["\"a\"\"b, c\"", "d"], true),
            (Quotes::Strings, "a\\, b", &["a\\", "b"], true),
            (Quotes::Strings, "\"a\\", &["\"a\\"], false),
            (Quotes::Strings, "a, \"b, c, d", &["a", "\"b", "c", "d"], false),
            (Quotes::Strings, "\"a, b\" \"c, d", &["\"a, b\" \"c", "d"], false),
            (Quotes::Strings, "\"\\\", \\\", x", &["\"\\\"", "\\\"", "x"], false),
            (Quotes::Tags, "\"a, b\", W/\"c,\\\",d", &["\"a, b\"", "W/\"c,\\\"", "d"], true),
            (Quotes::Tags, "a\"b, \"c\"", &["a\"b", "\"c\""], true),
            (Quotes::Tags, "\"a\" x, \"b\"", &["\"a\" x", "\"b\""], true),
            (Quotes::Tags, "\"a\", \"b, c", &["\"a\"", "\"b", "c"], false),
        ] {
            check(quotes, line, expected, is_sound);
        }
    }
}
