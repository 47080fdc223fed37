//! Statements in pieces, as far as it takes to say them in other words: words, parameters,
//! and what is between them. What stands in quotes is one piece and never looked into.

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, a name or a number.
    Word,
    /// `$` and the number of a parameter.
    Parameter(usize),
    /// White space.
    Space,
    /// Text or a name in quotes, or a sign.
    Other,
}

/// A piece of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'s> {
    /// The piece.
    pub(super) text: &'s str,
    /// What it is.
    pub(super) kind: Kind,
    /// In how many parentheses it stands; they themselves stand outside of theirs.
    pub(super) depth: usize,
}

/// All of a statement.
pub(super) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut depth) = (sql, 0_usize);
    while let Some(first) = rest.chars().next() {
        let (length, kind) = match first {
            '\'' | '"' | '`' => (quoted(rest, first), Kind::Other),
            '$' => {
                let digits = run(&rest[1..], |c| c.is_ascii_digit());
                match rest[1..=digits].parse() {
                    Ok(number) => (1 + digits, Kind::Parameter(number)),
                    Err(_) => (1, Kind::Other),
                }
            }
            c if is_of_word(c) => (run(rest, is_of_word), Kind::Word),
            c if c.is_whitespace() => (run(rest, char::is_whitespace), Kind::Space),
            other => (other.len_utf8(), Kind::Other),
        };
        let (text, after) = rest.split_at(length);
        depth -= usize::from(text == ")" && depth > 0);
        tokens.push(Token { text, kind, depth });
        depth += usize::from(text == "(");
        rest = after;
    }
    tokens
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// How many bytes are of this kind.
fn run(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is(c)).unwrap_or(text.len())
}

/// The length of what stands in quotes; a doubled quote is two pieces, which say the same.
fn quoted(text: &str, quote: char) -> usize {
    text[1..].find(quote).map_or(text.len(), |end| end + 2)
}

/// Where a word stands outside of all further parentheses.
pub(super) fn find(tokens: &[Token<'_>], word: &str) -> Option<usize> {
    let depth = tokens.first()?.depth;
    tokens.iter().position(|token| token.depth == depth && token.text == word)
}

/// Where words stand that follow each other, with one space between them.
pub(super) fn find_all(tokens: &[Token<'_>], words: &[&str]) -> Option<usize> {
    let depth = tokens.first()?.depth;
    let length = 2 * words.len() - 1;
    tokens.windows(length).position(|window| {
        window[0].depth == depth
            && window.iter().step_by(2).zip(words).all(|(token, word)| token.text == *word)
    })
}

/// Without the white space around it.
pub(super) fn trim<'t, 's>(mut tokens: &'t [Token<'s>]) -> &'t [Token<'s>] {
    while let [Token { kind: Kind::Space, .. }, rest @ ..]
    | [rest @ .., Token { kind: Kind::Space, .. }] = tokens
    {
        tokens = rest;
    }
    tokens
}

/// The parts of a list that commas separate.
pub(super) fn list<'t, 's>(tokens: &'t [Token<'s>]) -> impl Iterator<Item = &'t [Token<'s>]> {
    let depth = tokens.first().map_or(0, |token| token.depth);
    tokens.split(move |token| token.depth == depth && token.text == ",").map(trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_statement_is_in_its_pieces() {
        let sql = "SELECT a.b, '$1 it''s (', $12 FROM (SELECT \"x\" + 1) AS r -- ř";
        let all: String = tokens(sql).iter().map(|token| token.text).collect();
        assert_eq!(all, sql);
        let parameters: Vec<Kind> = tokens(sql)
            .iter()
            .map(|token| token.kind)
            .filter(|kind| matches!(kind, Kind::Parameter(_)))
            .collect();
        assert_eq!(parameters, [Kind::Parameter(12)]);
    }

    #[test]
    fn words_are_found_outside_of_parentheses() {
        let all = tokens("UPDATE t SET a = (SELECT 1 FROM x), b = 2 FROM y WHERE z");
        let from = find(&all, "FROM").unwrap();
        assert_eq!(all[from + 2].text, "y");
        let set = find(&all, "SET").unwrap();
        let parts: Vec<&str> = list(&all[set + 1..from]).map(|part| part[0].text).collect();
        assert_eq!(parts, ["a", "b"]);
        let all = tokens("INSERT x ON CONFLICT DO NOTHING");
        assert!(find_all(&all, &["DO", "NOTHING"]).is_some());
        assert!(find_all(&all, &["DO", "UPDATE"]).is_none());
    }
}
