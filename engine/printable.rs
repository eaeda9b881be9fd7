//! Text for people: what a record, a file name or a broker says must not drive a terminal.
//!
//! A control character can move the cursor, change colours, set the window's title or hide a line;
//! a character that turns the direction of writing can make one text look like another. Both are
//! shown by their names. Formats for programs stay exact, and do not come through here.

use std::borrow::Cow;

/// A text on one line: control characters, ends of lines and turns of direction are escaped, as in
/// `\n` and `\u{1b}`.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// A text that has several lines of its own, such as the report of an error: as [`line()`], but line
/// ends and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let must_go = |c: char| drives(c) && !stays(c);
    if !text.contains(must_go) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if must_go(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal does something else with a character than to show it.
fn drives(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Marks, embeddings, overrides and isolates of direction.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Separators that some terminals and editors take for ends of lines.
            | '\u{2028}' | '\u{2029}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_shown_by_its_name() {
        for (text, shown) in [
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31mred", "\\u{9b}31mred"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{7f}\0", "\\u{7f}\\u{0}"),
            ("user\u{202e}gpj.exe", "user\\u{202e}gpj.exe"),
            ("a\u{2066}b\u{2069}c\u{2028}", "a\\u{2066}b\\u{2069}c\\u{2028}"),
        ] {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn text_of_every_language_stays_as_it_is() {
        for text in ["", "plain, \"quoted\" \\n", "Zürich 東京 עברית العربية", "👩‍👩‍👧 é"]
        {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn a_report_keeps_its_lines() {
        assert_eq!(lines("error: a\n\tb\u{1b}[2J\r\n"), "error: a\n\tb\\u{1b}[2J\\r\n");
    }
}
