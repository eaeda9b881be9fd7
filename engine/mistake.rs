//! Mistakes in a project's files: collected, not thrown, and shown as rustc would show them.

use std::collections::BTreeMap;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use crate::error::Error;

/// Mistakes that are shown at once. Whoever has more has made one of them many times.
const SHOWN_MAX: usize = 200;

/// The text of every file of a project, by its path below the project's folder.
pub type Files = BTreeMap<String, String>;

/// One mistake: the place, what is wrong, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Path below the project's folder.
    pub file: String,
    /// Byte range in the file's text, if the place is known.
    pub span: Option<Range<usize>>,
    /// What is wrong: lowercase, without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Mistake {
    /// A mistake somewhere in `file`.
    pub fn new(file: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), span: None, message: message.into(), hint: None }
    }

    /// Marks the bytes that are wrong.
    #[must_use]
    pub fn span(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    /// Marks the first occurrence of `word` in `text`, if it occurs.
    #[must_use]
    pub fn find(self, text: &str, word: &str) -> Self {
        match find_word(text, word) {
            Some(span) => self.span(span),
            None => self,
        }
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Renders the mistake with the lines of the file around it.
    pub fn render(&self, files: &Files) -> String {
        let text = files.get(&self.file).map_or("", String::as_str);
        let title = Level::ERROR.primary_title(self.message.as_str());
        let mut group = match &self.span {
            Some(span) => title.element(
                Snippet::source(text)
                    .path(self.file.as_str())
                    .annotation(AnnotationKind::Primary.span(clamp(span, text))),
            ),
            None => title.element(Origin::path(self.file.as_str())),
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        Renderer::plain().render(&[group])
    }
}

/// All mistakes as one error for the command line.
pub fn to_error(mistakes: &[Mistake], files: &Files) -> Error {
    let first = mistakes.iter().take(SHOWN_MAX);
    let mut shown: Vec<String> = first.map(|mistake| mistake.render(files)).collect();
    let n = mistakes.len();
    if n > SHOWN_MAX {
        shown.push(format!("and {} more, which are not shown", n - SHOWN_MAX));
    }
    let plural = if n == 1 { "mistake" } else { "mistakes" };
    Error::usage(format!("{n} {plural} in the project\n\n{}\n", shown.join("\n\n")))
}

/// A mistake in a query that somebody typed.
pub fn in_query(mistake: &Mistake, sql: &str) -> Error {
    let files = Files::from([(mistake.file.clone(), sql.to_owned())]);
    let shown = mistake.render(&files);
    Error::usage(shown.trim_start_matches("error: ").to_owned())
}

/// The first occurrence of `word` in `text` that is not part of a longer word.
pub fn find_word(text: &str, word: &str) -> Option<Range<usize>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).map(|(at, _)| at..at + word.len()).find(|range| {
        !text[..range.start].ends_with(is_word) && !text[range.end..].starts_with(is_word)
    })
}

/// The byte position of a 1-based line and column (in characters).
pub fn byte_at(text: &str, line: u64, column: u64) -> usize {
    let mut start = 0;
    for (i, content) in text.split_inclusive('\n').enumerate() {
        if i as u64 + 1 == line {
            let skip = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
            return start + content.char_indices().nth(skip).map_or(content.len(), |(at, _)| at);
        }
        start += content.len();
    }
    text.len()
}

/// The best of `known` within a typing mistake's distance of `word`.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A place within the text, and between its characters.
fn clamp(span: &Range<usize>, text: &str) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    start..text.ceil_char_boundary(span.end.max(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_shows_its_line_and_the_way_out() {
        let files =
            Files::from([("sql/a.sql".to_owned(), "SELECT one,\n  tow\nFROM t\n".to_owned())]);
        let text = &files["sql/a.sql"];
        let mistake = Mistake::new("sql/a.sql", "no column `tow`")
            .find(text, "tow")
            .hint("did you mean `two`?");
        let shown = mistake.render(&files);
        for part in ["sql/a.sql:2:3", "no column `tow`", "^^^", "did you mean `two`?"] {
            assert!(shown.contains(part), "{part} is missing in\n{shown}");
        }
    }

    #[test]
    fn of_very_many_mistakes_the_first_are_shown_and_all_are_counted() {
        let mistakes: Vec<Mistake> =
            (0..300).map(|n| Mistake::new("sql/a.sql", format!("mistake {n}."))).collect();
        let report = to_error(&mistakes, &Files::new()).report();
        for part in ["300 mistakes", "mistake 0.", "mistake 199.", "and 100 more"] {
            assert!(report.contains(part), "{part} is missing");
        }
        assert!(!report.contains("mistake 200."));
        let report = to_error(&mistakes[..2], &Files::new()).report();
        assert!(report.contains("mistake 1.") && !report.contains("more"), "{report}");
    }

    #[test]
    fn a_place_that_is_none_in_its_text_can_be_shown() {
        let files = Files::from([("a".to_owned(), "-- é\n".to_owned())]);
        for span in [4..5, 3..4, 0..99, 70..99] {
            assert!(Mistake::new("a", "wrong").span(span.clone()).render(&files).contains("wrong"));
        }
    }

    #[test]
    fn a_word_is_found_whole() {
        assert_eq!(find_word("xtow tow", "tow"), Some(5..8));
        assert_eq!(find_word("towel", "tow"), None);
    }

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        assert_eq!(byte_at("é\nab", 2, 2), 4);
        assert_eq!(byte_at("a", 9, 9), 1);
    }

    #[test]
    fn close_names_are_suggested_and_far_ones_are_not() {
        assert_eq!(
            did_you_mean("gold.order_daly", ["gold.order_daily", "gold.users"]),
            Some("gold.order_daily")
        );
        assert_eq!(did_you_mean("zebra", ["gold.users"]), None);
    }
}
