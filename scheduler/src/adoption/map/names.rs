//! Names and slugs as they can be here.

use std::collections::HashSet;

use crate::domain::names::{MAX_NAME, is_hidden};

/// A name as it can be here: without control characters, what cannot be seen and spaces around
/// it, at most 128 characters; `usual` if nothing is left.
pub fn name(given: Option<String>, usual: &str) -> String {
    let text = given.unwrap_or_default();
    let seen = text.chars().filter(|c| !is_hidden(*c));
    let text: String = seen.map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text: String = text.trim().chars().take(MAX_NAME).collect();
    let text = text.trim_end();
    if text.is_empty() { usual.to_owned() } else { text.to_owned() }
}

/// A name that is told from others of its kind by its id in the source, if they share it.
pub fn told_apart(name: &str, id: i64, taken: &HashSet<String>) -> String {
    if !taken.contains(name) {
        return name.to_owned();
    }
    let tail = format!(" ({id})");
    let room = MAX_NAME.saturating_sub(tail.chars().count());
    name.chars().take(room).chain(tail.chars()).collect()
}

/// A slug as it can be here: small letters, digits, - and _, at most 32; none if nothing
/// is left.
pub fn slug(given: Option<String>) -> Option<String> {
    let text = given?.trim().to_lowercase();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let text: String = text.chars().map(|c| if fits(c) { c } else { '-' }).take(32).collect();
    Some(text).filter(|text| !text.trim_matches('-').is_empty())
}

/// A code of a type of credentials: letters, digits, `_`, `-` and `.`, at most 64. Of a PHP
/// class it is the last part.
pub fn code(given: &str) -> Option<String> {
    let last = given.trim().rsplit(['\\', '/']).next().unwrap_or_default();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let text: String = last.chars().map(|c| if fits(c) { c } else { '-' }).take(50).collect();
    Some(text).filter(|text| !text.trim_matches('-').is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_becomes_one_that_can_be_here() {
        assert_eq!(name(Some(" Žluťoučký\tkůň\n".into()), "x"), "Žluťoučký kůň");
        assert_eq!(name(Some("\u{7}\u{200b}".into()), "company 3"), "company 3");
        assert_eq!(name(Some("A\u{200b} \u{202e}".into()), "x"), "A");
        assert_eq!(name(None, "company 3"), "company 3");
        assert_eq!(name(Some("ž".repeat(200)), "x").chars().count(), 128);
    }

    #[test]
    fn names_that_are_shared_are_told_apart_by_their_ids() {
        let taken = HashSet::from(["a".to_owned(), "x".repeat(128)]);
        assert_eq!(told_apart("b", 7, &taken), "b");
        assert_eq!(told_apart("a", 7, &taken), "a (7)");
        let long = told_apart(&"x".repeat(128), 12, &taken);
        assert!(long.ends_with("x (12)") && long.chars().count() == 128);
    }

    #[test]
    fn slugs_and_codes_have_plain_letters() {
        assert_eq!(slug(Some("Kůň s.r.o.".into())).as_deref(), Some("k---s-r-o-"));
        assert_eq!(slug(Some("ÁÉ".into())), None);
        assert_eq!(slug(Some("ACME_1".into())).as_deref(), Some("acme_1"));
        assert_eq!(code("MultiFlexi\\CredentialType\\FioBank").as_deref(), Some("FioBank"));
        assert_eq!(code(" "), None);
    }
}
