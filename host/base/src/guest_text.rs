//! Text that a guest wrote, made safe to show.
//!
//! A guest chooses the text of its log lines, panics and refusals, and the names of its functions, exports and imports.
//! They reach logs, terminals, the admin API and error texts, where a line break could forge a line, and an escape
//! sequence move a cursor. So they are passed on as a [`GuestText`], which only [`GuestText::new`] and
//! [`GuestText::within`] make: one line, without invisible characters, and of a bounded length.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// Text of a guest that is safe to show: one line of visible characters, at most [`GuestText::BYTES_MAX`] bytes long.
/// Control characters and invisible ones are written as escapes (`\n`, `\u{1b}`), and a text that was cut ends with
/// `…`.
///
/// ```
/// use sandbar_base::GuestText;
///
/// let said = GuestText::new("no price\r\nERROR all is lost \x1b[2J");
/// assert_eq!(&*said, r"no price\r\nERROR all is lost \u{1b}[2J");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct GuestText(Box<str>);

/// Stands for the rest of a text that is too long.
const ELLIPSIS: char = '…';

impl GuestText {
    /// The most bytes that any guest text has.
    pub const BYTES_MAX: usize = 1_024;

    /// `text` made safe, in at most [`GuestText::BYTES_MAX`] bytes.
    pub fn new(text: &str) -> Self {
        Self::within(text, Self::BYTES_MAX)
    }

    /// `text` made safe, in at most `bytes_max` bytes, and no more than [`GuestText::BYTES_MAX`]. The bound limits time
    /// and memory too, however long the text is.
    pub fn within(text: &str, bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(Self::BYTES_MAX);
        let mut safe = String::with_capacity(text.len().min(bytes_max));
        // The last place where the text could be cut with room for an ellipsis.
        let mut end = 0;
        for character in text.chars() {
            if safe.len() + ELLIPSIS.len_utf8() <= bytes_max {
                end = safe.len();
            }
            push(&mut safe, character);
            if safe.len() > bytes_max {
                safe.truncate(end);
                safe.push(ELLIPSIS);
                break;
            }
        }
        Self(safe.into())
    }

    /// Whether it was cut from `text`, of which it was made.
    pub fn is_cut_from(&self, text: &str) -> bool {
        self.0.ends_with(ELLIPSIS) && !text.ends_with(ELLIPSIS)
    }
}

fn push(safe: &mut String, character: char) {
    match character {
        '\n' | '\r' | '\t' => safe.extend(character.escape_default()),
        _ if character.is_control() || is_invisible(character) => safe.extend(character.escape_unicode()),
        _ => safe.push(character),
    }
}

/// Whether a character takes no room, breaks lines, or changes the direction of others: with such characters a text can
/// look different from what it says.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

impl Deref for GuestText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GuestText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for GuestText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for GuestText {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<GuestText> for String {
    fn from(text: GuestText) -> Self {
        text.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_written_is_one_line_of_visible_characters() {
        for character in (0..=0x10_ffff).filter_map(char::from_u32) {
            let text = GuestText::new(&format!("a{character}b"));
            assert!(!text.chars().any(|it| it.is_control() || is_invisible(it)), "{character:?}: {text:?}");
            assert!(text.starts_with('a') && text.ends_with('b'), "{character:?}");
        }
    }

    #[test]
    fn what_is_visible_stays() {
        for text in ["", "no price for /a", r"C:\policies\a.wasm", "größer als 1 €, 値段", "…"] {
            assert_eq!(&*GuestText::new(text), text);
        }
    }

    #[test]
    fn what_is_safe_already_is_left_alone() {
        let once = GuestText::new("\u{1b}[31m\r\n\u{202e}");
        assert_eq!(GuestText::new(&once), once);
    }

    #[test]
    fn no_text_is_longer_than_the_bound_and_none_is_cut_within_a_character() {
        for character in ["a", "ä", "値", "\u{1b}", "\n"] {
            let long = character.repeat(5_000);
            for bytes_max in [3, 4, 10, 100, 1_023, 1_024, 9_999] {
                let text = GuestText::within(&long, bytes_max);
                assert!(text.len() <= bytes_max.min(GuestText::BYTES_MAX) && text.ends_with('…'), "{text}");
                assert!(text.is_cut_from(&long));
            }
        }
        let exact = "b".repeat(GuestText::BYTES_MAX);
        assert_eq!(&*GuestText::new(&exact), exact);
        assert!(!GuestText::new(&exact).is_cut_from(&exact));
    }

    #[test]
    fn it_is_made_safe_when_it_is_read_from_json_too() {
        let text: GuestText = serde_json::from_str(r#""a\nb\u001b""#).expect("a string");
        assert_eq!(&*text, r"a\nb\u{1b}");
    }
}
