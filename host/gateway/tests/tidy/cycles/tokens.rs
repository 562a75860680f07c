//! A Rust source as words and punctuation; comments, literals and lifetimes are left out.

/// The tokens of a source. `::` is one token.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| string(rest)).or_else(|| character_or_lifetime(rest));
        let len = skipped.unwrap_or_else(|| token_len(rest, first));
        let (token, after) = rest.split_at(len);
        if skipped.is_none() && !first.is_whitespace() && !first.is_ascii_digit() {
            tokens.push(token);
        }
        rest = after;
    }
    tokens
}

/// Whether a token is a name or a keyword.
pub(super) fn is_word(token: &str) -> bool {
    token.starts_with(in_word)
}

fn in_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn token_len(text: &str, first: char) -> usize {
    match text {
        _ if in_word(first) => word_len(text),
        _ if text.starts_with("::") => 2,
        _ => first.len_utf8(),
    }
}

fn word_len(text: &str) -> usize {
    text.find(|c| !in_word(c)).unwrap_or(text.len())
}

/// The length of the comment that a text begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    text.starts_with("/*").then(|| block_comment_len(text))
}

/// The length of a block comment; these nest.
fn block_comment_len(text: &str) -> usize {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 {
        let Some(next) = text[at..].find("/*").into_iter().chain(text[at..].find("*/")).min() else {
            return text.len();
        };
        depth = if text[at + next..].starts_with("/*") { depth + 1 } else { depth - 1 };
        at += next + 2;
    }
    at
}

/// The length of the string that a text begins with, of any kind.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| text.starts_with(prefix))?;
    let hashes = match prefix.ends_with('r') {
        true => text[prefix.len()..].bytes().take_while(|byte| *byte == b'#').count(),
        false => 0,
    };
    let start = prefix.len() + hashes + 1;
    text[start - 1..].starts_with('"').then_some(())?;
    let len = match prefix.ends_with('r') {
        true => text[start..].find(&format!("\"{}", "#".repeat(hashes))).map(|end| end + 1 + hashes),
        false => quoted_len(&text[start..]),
    };
    Some(len.map_or(text.len(), |len| start + len))
}

/// The length of the rest of a string, up to and with the quote that ends it.
fn quoted_len(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    end.map(|end| end + 1)
}

/// The length of the character or the lifetime that a text begins with.
fn character_or_lifetime(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    if inner.starts_with('\\') {
        // The escaped character may itself be a quote, so it is skipped.
        return Some(inner[2..].find('\'').map_or(text.len(), |end| end + 4));
    }
    let first = inner.chars().next().map_or(0, char::len_utf8);
    Some(if inner[first..].starts_with('\'') { first + 2 } else { 1 + word_len(inner) })
}
