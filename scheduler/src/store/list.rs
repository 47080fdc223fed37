//! Lists of what people name: filtered, sorted and paged by the database. A page begins
//! after the last row of the one before, by what the list is sorted by, so that nothing
//! is missing and nothing twice while rows come and go.

use sqlx::{Any, AssertSqlSafe, Executor, any::AnyRow};

use super::{Dialect, Page, StoreError, page::foreign_token};

/// What a list is sorted by; equal ones by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The id: the order in which they were created.
    Id,
    /// The name, as the database compares texts.
    Name,
    /// The time at which they were created.
    Created,
}

impl Order {
    /// All that a list can be sorted by.
    pub const ALL: [Self; 3] = [Self::Id, Self::Name, Self::Created];

    /// Its name in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Created => "created",
        }
    }
}

/// How a list is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub by: Order,
    /// The smallest first; else the largest.
    pub ascending: bool,
}

impl Default for Sort {
    fn default() -> Self {
        Self { by: Order::Id, ascending: true }
    }
}

impl Sort {
    /// The largest id first.
    pub const NEWEST: Self = Self { by: Order::Id, ascending: false };
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage {
    /// Most rows on it.
    pub size: i64,
    /// The row after which it begins: its id, and what the list is sorted by, as text.
    pub(super) after: Option<(i64, String)>,
}

/// The rows of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The token of the next page; empty on the last.
    pub next: String,
}

impl<T> Listed<T> {
    /// The page of `size` rows, of what was read for it: a row more than that, if there is one,
    /// which tells that there is a next page. `token` names the page that begins after a row.
    pub(super) fn of(mut rows: Vec<T>, size: i64, token: impl FnOnce(&T) -> String) -> Self {
        let size = usize::try_from(size).unwrap_or_default();
        let is_last = rows.len() <= size;
        rows.truncate(size);
        let next = rows.last().filter(|_| !is_last).map(token).unwrap_or_default();
        Self { rows, next }
    }
}

impl ListPage {
    /// Reads `page_size` and the token of a page.
    pub fn parse(size: i32, token: &str) -> Result<Self, StoreError> {
        let size = Page::parse(size, "")?.size;
        if token.is_empty() {
            return Ok(Self { size, after: None });
        }
        let read = || {
            let (id, key) = token.split_once('.').filter(|(_, key)| key.len() % 2 == 0)?;
            let digits = key.as_bytes().chunks(2).map(|two| str::from_utf8(two).ok());
            let bytes = digits.map(|two| u8::from_str_radix(two?, 16).ok());
            Some((id.parse().ok()?, String::from_utf8(bytes.collect::<Option<_>>()?).ok()?))
        };
        Ok(Self { size, after: Some(read().ok_or_else(|| foreign_token(token))?) })
    }

    /// The page of what [`Filter::sql`] read for it. `key` is what a row is sorted by.
    pub(super) fn listed<T>(
        &self,
        rows: Vec<T>,
        sort: Sort,
        key: impl Fn(&T) -> (i64, &str, i64),
    ) -> Listed<T> {
        Listed::of(rows, self.size, |last| {
            let (id, name, created) = key(last);
            match sort.by {
                Order::Id => token(id, ""),
                Order::Name => token(id, name),
                Order::Created => token(id, &created.to_string()),
            }
        })
    }
}

/// The token of the page that begins after a row.
pub(super) fn token(id: i64, key: &str) -> String {
    use std::fmt::Write as _;
    key.bytes().fold(format!("{id}."), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    })
}

/// A parameter of a statement.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Int(i64),
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// The columns of a list's table that all lists know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) created: &'static str,
}

/// The condition of a list, as it is put together.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    dialect: Dialect,
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Filter {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, conditions: vec!["1 = 1".to_owned()], values: Vec::new() }
    }

    /// Adds a condition without a parameter.
    pub(super) fn that(&mut self, condition: impl Into<String>) {
        self.conditions.push(condition.into());
    }

    /// Adds a condition; each `?` in it is the value.
    pub(super) fn with(&mut self, condition: &str, value: impl Into<Value>) {
        let parameter = self.parameter(value);
        self.conditions.push(condition.replace('?', &parameter));
    }

    /// Adds a parameter for a condition that has more than one; how it is named there.
    pub(super) fn parameter(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// Only rows whose column holds the text, in large or small letters; all if it is
    /// empty. No character of it stands for another.
    pub(super) fn contains(&mut self, column: &str, text: &str) {
        if !text.is_empty() {
            self.with(&self.dialect.contains(column, "?"), text);
        }
    }

    /// The statement that reads a page and a row more: `select` up to its condition.
    pub(super) fn sql(
        mut self,
        select: &str,
        columns: Columns,
        sort: Sort,
        page: &ListPage,
    ) -> Result<(String, Vec<Value>), StoreError> {
        let (direction, beyond) = if sort.ascending { ("", ">") } else { ("DESC", "<") };
        let id = columns.id;
        let column = match sort.by {
            Order::Id => id,
            Order::Name => columns.name,
            Order::Created => columns.created,
        };
        if let Some((after, key)) = &page.after {
            let key = match sort.by {
                Order::Id => None,
                Order::Name => Some(Value::Text(key.clone())),
                Order::Created => {
                    Some(key.parse().map(Value::Int).map_err(|_| foreign_token(key))?)
                }
            };
            match key {
                None => self.with(&format!("{id} {beyond} ?"), *after),
                Some(key) => {
                    self.values.extend([key, Value::Int(*after)]);
                    let [key, after] =
                        [self.values.len() - 1, self.values.len()].map(|at| format!("${at}"));
                    self.that(self.dialect.beyond(&[column, id], beyond, &[&key, &after]));
                }
            }
        }
        let order = match sort.by {
            Order::Id => format!("{id} {direction}"),
            _ => format!("{column} {direction}, {id} {direction}"),
        };
        self.values.push(Value::Int(page.size + 1));
        let (conditions, limit) = (self.conditions.join(" AND "), self.values.len());
        let sql = format!("{select} WHERE {conditions} ORDER BY {order} LIMIT ${limit}");
        Ok((sql, self.values))
    }
}

/// The rows of a statement.
pub(super) async fn fetch<'c>(
    conn: impl Executor<'c, Database = Any>,
    (sql, values): (String, Vec<Value>),
) -> Result<Vec<AnyRow>, StoreError> {
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = values.into_iter().fold(query, |query, value| match value {
        Value::Int(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
    });
    Ok(query.fetch_all(conn).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_back_and_others_refused() {
        let row = (7_i64, "Ž. a", 5_i64);
        let page = ListPage::parse(1, "").unwrap();
        for (by, key) in [(Order::Id, ""), (Order::Name, "Ž. a"), (Order::Created, "5")] {
            let sort = Sort { by, ascending: true };
            let listed = page.listed(vec![row, row], sort, |(id, name, at)| (*id, name, *at));
            let next = ListPage::parse(1, &listed.next).unwrap();
            assert_eq!(next.after, Some((7, key.to_owned())));
        }
        for bad in ["7", "x.", "7.x", "7.f", ".", "7.zz", "7.ff"] {
            let error = ListPage::parse(0, bad).unwrap_err().to_string();
            assert!(error.contains("page_token"), "{bad}: {error}");
        }
        let rest = ListPage { size: 2, after: None };
        assert_eq!(rest.listed(vec![row], Sort::NEWEST, |_| (7, "", 5)).next, "");
    }

    #[test]
    fn only_a_page_behind_which_there_is_more_has_a_next() {
        let listed = |rows: &[i64]| Listed::of(rows.to_vec(), 2, ToString::to_string);
        assert_eq!(listed(&[5, 4, 3]), Listed { rows: vec![5, 4], next: "4".to_owned() });
        assert_eq!(listed(&[5, 4]), Listed { rows: vec![5, 4], next: String::new() });
        assert_eq!(listed(&[]), Listed { rows: Vec::new(), next: String::new() });
    }
}
