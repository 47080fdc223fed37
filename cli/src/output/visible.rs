//! What a text says, as a terminal may be given it: values come from anybody, and one with an
//! escape sequence would colour, move or rename what is around it. Output of jobs, exports and
//! JSON are not for this: they stay as they are.

use std::borrow::Cow;

/// The text on the lines that it has; any other control character is spelled out, as `\u{1b}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_spelled = |character: char| character.is_control() && character != '\n';
    if !text.contains(is_spelled) {
        return text.into();
    }
    let mut spelled = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_spelled(character) {
            spelled.extend(character.escape_default());
        } else {
            spelled.push(character);
        }
    }
    spelled.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left_but_lines() {
        assert_eq!(
            visible("\u{1b}[31mred\r\n\tü\u{9b}2J\u{7f}"),
            "\\u{1b}[31mred\\r\n\\tü\\u{9b}2J\\u{7f}"
        );
        assert!(matches!(visible("kůň\nb"), Cow::Borrowed("kůň\nb")));
    }
}
