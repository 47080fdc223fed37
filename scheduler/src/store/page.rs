//! Pages of lists.

use super::StoreError;

/// Most rows on a page.
pub const MAX_PAGE: i32 = 1000;

/// Rows on a page if the caller does not say.
const DEFAULT_PAGE: i32 = 50;

/// One page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Most rows on it.
    pub size: i64,
    /// The id after which it begins; none for the first page.
    pub after: Option<i64>,
}

impl Page {
    /// Reads `page_size` and `page_token` of a request.
    pub fn parse(size: i32, token: &str) -> Result<Self, StoreError> {
        if !(0..=MAX_PAGE).contains(&size) {
            return Err(StoreError::Invalid(format!(
                "page_size is {size}: it must be between 1 and {MAX_PAGE}, or 0 for {DEFAULT_PAGE}"
            )));
        }
        let after = match token {
            "" => None,
            token => Some(token.parse().map_err(|_| foreign_token(token))?),
        };
        Ok(Self { size: i64::from(if size == 0 { DEFAULT_PAGE } else { size }), after })
    }
}

/// Tells a list from others: what was asked for, without the page. A token is good for
/// its own list only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListId(u32);

impl ListId {
    /// The list of a `what` that a request asks for: its message without size and token of
    /// the page.
    pub fn of(what: &str, request: &[u8]) -> Self {
        Self(crc32fast::hash(&[what.as_bytes(), request].join(&0)))
    }

    /// The token that goes out.
    pub fn seal(self, token: &str) -> String {
        if token.is_empty() { String::new() } else { format!("{token}-{:08x}", self.0) }
    }

    /// What came back.
    pub fn open(self, token: &str) -> Result<&str, StoreError> {
        if token.is_empty() {
            return Ok("");
        }
        let (inner, list) = token.rsplit_once('-').ok_or_else(|| foreign_token(token))?;
        match u32::from_str_radix(list, 16) {
            Ok(list) if list == self.0 => Ok(inner),
            Ok(_) => {
                let token: String = token.chars().take(40).collect();
                Err(StoreError::Invalid(format!(
                    "page_token {token:?} is of another list: give the filters and the order of \
                     the page before, or no token"
                )))
            }
            Err(_) => Err(foreign_token(token)),
        }
    }
}

/// No list gave out this token.
pub(super) fn foreign_token(token: &str) -> StoreError {
    let token: String = token.chars().take(40).collect();
    StoreError::Invalid(format!("page_token {token:?} is none that a list gave out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_and_bad_ones_refused() {
        assert_eq!(Page::parse(0, "").unwrap(), Page { size: 50, after: None });
        assert_eq!(Page::parse(7, "12").unwrap(), Page { size: 7, after: Some(12) });
        assert!(Page::parse(-1, "").is_err());
        assert!(Page::parse(1001, "").is_err());
        assert!(Page::parse(1, "twelve").is_err());
    }

    #[test]
    fn a_token_is_good_for_its_own_list_only() {
        let (list, other) = (ListId::of("job", b"a"), ListId::of("job", b"b"));
        assert_ne!(ListId::of("job", b""), ListId::of("company", b""));
        let token = list.seal("7.-1");
        assert_eq!(list.open(&token).unwrap(), "7.-1");
        assert!(other.open(&token).unwrap_err().to_string().contains("another list"));
        assert_eq!((list.seal(""), list.open("").unwrap()), (String::new(), ""));
        for bad in ["7", "7-", "7-xyz", "-"] {
            assert!(list.open(bad).unwrap_err().to_string().contains("none that a list gave out"));
        }
    }
}
