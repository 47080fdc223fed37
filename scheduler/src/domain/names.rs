//! Names that people give. Two that look the same are the same: some databases tell apart
//! names that differ in a space at the end, and others do not.

/// Longest name, in characters.
pub const MAX_NAME: usize = 128;

/// What is wrong with a name, to be read behind `the name`.
pub fn check(name: &str) -> Result<(), String> {
    let characters = name.chars().count();
    if name.trim().is_empty() {
        return Err(format!("is empty: give a name of 1 to {MAX_NAME} characters"));
    }
    if characters > MAX_NAME {
        return Err(format!("has {characters} characters: it may have up to {MAX_NAME}"));
    }
    if name.chars().any(char::is_control) {
        return Err(format!("{name:?} has a control character"));
    }
    if let Some(hidden) = name.chars().find(|c| is_hidden(*c)) {
        let code = u32::from(hidden);
        return Err(format!("{name:?} has a character that cannot be seen, U+{code:04X}"));
    }
    if name.trim() != name {
        return Err(format!("{name:?} begins or ends with a space: leave it out"));
    }
    Ok(())
}

/// Whether a character shows nothing by itself: it has no width, or turns the direction of
/// others.
pub fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_it_looks_like() {
        for name in ["Acme", "Žluťoučký kůň s.r.o.", "a  b", "日本", &"ž".repeat(MAX_NAME)]
        {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for (name, wrong) in [
            ("", "is empty"),
            (" \u{a0}", "is empty"),
            ("Acme ", "begins or ends with a space"),
            ("\u{3000}Acme", "begins or ends with a space"),
            ("Ac\tme", "control character"),
            ("Acme\n", "control character"),
            ("Ac\u{200b}me", "U+200B"),
            ("\u{202e}emcA", "U+202E"),
            ("\u{feff}Acme", "U+FEFF"),
            (&"x".repeat(MAX_NAME + 1), "129 characters"),
        ] {
            let said = check(name).unwrap_err();
            assert!(said.contains(wrong), "{name:?}: {said}");
        }
    }
}
