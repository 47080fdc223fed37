//! A statement in the words of MySQL and MariaDB, or what has to be done in its place.
//!
//! House rules that this relies on: keywords are in capitals, names in small letters; the
//! condition of a `DELETE` that looks at other rows is its last; what is updated `RETURNING`
//! or by a `WITH` has an `id`.

use super::tokens::{Kind, Token, find, find_all, list, tokens, trim};

/// Our names that are words of the language there.
const RESERVED: [&str; 28] = [
    "call",
    "change",
    "column",
    "condition",
    "describe",
    "explain",
    "function",
    "groups",
    "interval",
    "key",
    "keys",
    "lag",
    "lead",
    "match",
    "of",
    "option",
    "over",
    "range",
    "rank",
    "release",
    "repeat",
    "row_number",
    "rows",
    "schema",
    "signal",
    "system",
    "trigger",
    "window",
];

/// The statement as it is sent, and which of the parameters stands at each `?` of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) sql: String,
    pub(super) parameters: Vec<usize>,
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spelled {
    /// This.
    One(Text),
    /// A row to add, with more to it than a statement.
    Add(Add),
    /// An update in steps.
    Steps(Steps),
}

/// A row that is added where that cannot be said in one statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Add {
    /// Adds it. A row in its place that is changed instead is the last that was added, too.
    pub(super) insert: Text,
    /// If it is there already, nothing is to happen.
    pub(super) unless: bool,
    /// Reads what is asked for of the row that was added last, if anything is.
    pub(super) returning: Option<Text>,
}

/// An update that cannot be said in one statement: the rows are read and locked, with what
/// they are to be; then they are written by their ids; then what was asked for is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    /// The table.
    pub(super) table: String,
    /// Reads the ids and the new values.
    pub(super) read: Text,
    /// The columns that they are for.
    pub(super) columns: Vec<String>,
    /// What is asked for, if anything is.
    pub(super) returning: Option<Text>,
}

/// Says it in other words.
pub(super) fn spell(sql: &str) -> Spelled {
    let all = tokens(sql);
    let all = trim(&all);
    let verb = ["INSERT", "UPDATE", "DELETE"].iter().filter_map(|verb| find(all, verb)).min();
    // `FOR UPDATE` is none.
    let begins = matches!(all.first(), Some(first) if ["WITH", "INSERT", "UPDATE", "DELETE"].contains(&first.text));
    match verb.filter(|_| begins).map(|at| (all[at].text, all.split_at(at))) {
        Some(("INSERT", (with, insert))) => self::insert(with, insert),
        Some(("UPDATE", (with, update))) if find(all, "SELECT").is_none() => {
            self::update(with, update)
        }
        Some(("DELETE", ([], delete))) => self::delete(delete),
        _ => Spelled::One(Text::of(all)),
    }
}

impl Text {
    fn of(tokens: &[Token<'_>]) -> Self {
        let mut text = Self::default();
        text.put(tokens);
        text
    }

    fn say(&mut self, words: &str) -> &mut Self {
        self.sql.push_str(words);
        self
    }

    /// Adds a part as it is said there.
    fn put(&mut self, tokens: &[Token<'_>]) -> &mut Self {
        for (index, token) in tokens.iter().enumerate() {
            match token.kind {
                Kind::Parameter(number) => {
                    self.parameters.push(number);
                    self.sql.push('?');
                }
                Kind::Word => {
                    let next = tokens.get(index + 1).map(|token| token.text);
                    let is_type = index > 1 && tokens[index - 2].text == "AS" && next == Some(")");
                    match token.text {
                        "BIGINT" if is_type => self.sql.push_str("SIGNED"),
                        "TEXT" if is_type => self.sql.push_str("CHAR"),
                        name if RESERVED.contains(&name) && next != Some("(") => {
                            self.sql.extend(["`", name, "`"]);
                        }
                        word => self.sql.push_str(word),
                    }
                }
                Kind::Space | Kind::Other => self.sql.push_str(token.text),
            }
        }
        self
    }

    /// Adds an expression of an `ON CONFLICT`, whose new row is `excluded`.
    fn put_of_conflict(&mut self, mut tokens: &[Token<'_>]) -> &mut Self {
        while let Some(at) = tokens.iter().position(|token| token.text == "excluded") {
            let (before, after) = tokens.split_at(at);
            let (excluded, rest) = after.split_at(after.len().min(3));
            self.put(before).say("VALUES(").put(excluded.get(2..).unwrap_or_default()).say(")");
            tokens = rest;
        }
        self.put(tokens)
    }
}

/// A column that is set, and what to.
fn assignments<'t, 's>(set: &'t [Token<'s>]) -> impl Iterator<Item = (&'s str, &'t [Token<'s>])> {
    list(set).filter_map(|part| {
        let at = find(part, "=")?;
        Some((part.first()?.text, trim(&part[at + 1..])))
    })
}

fn quoted(name: &str) -> String {
    format!("`{name}`")
}

/// An `INSERT`: its `WITH` stands after the columns, conflicts are said otherwise, and what it
/// returns, of one row, is read by the id that this was given.
fn insert(with: &[Token<'_>], insert: &[Token<'_>]) -> Spelled {
    let mut text = Text::default();
    let end = find_all(insert, &["ON", "CONFLICT"]);
    let returning = find(insert, "RETURNING").unwrap_or(insert.len());
    let body = find(insert, "SELECT").or_else(|| find(insert, "VALUES")).unwrap_or(insert.len());
    let (head, rest) = insert.split_at(body);
    text.put(head).put(with).put(&rest[..end.unwrap_or(returning) - body]);
    let table = head.get(4).map_or("", |table| table.text);
    let asked = insert.get(returning + 1..).map(|asked| {
        let mut read = Text::default();
        read.say("SELECT ").put(trim(asked));
        read.say(&format!(" FROM {table} WHERE id = LAST_INSERT_ID()"));
        read
    });
    let Some(conflict) = end else { return added(text, false, asked) };
    let conflict = &insert[conflict..returning];
    if find_all(conflict, &["DO", "NOTHING"]).is_some() {
        if find(insert, "VALUES").is_some() {
            return added(text, true, asked);
        }
        let column = head.iter().skip(5).find(|token| token.kind == Kind::Word);
        let column = quoted(column.map_or("", |column| column.text));
        text.say(&format!(" ON DUPLICATE KEY UPDATE {table}.{column} = {table}.{column} "));
    } else if let Some(set) = find(conflict, "SET") {
        text.say(" ON DUPLICATE KEY UPDATE ");
        let condition = find(conflict, "WHERE");
        let set = &conflict[set + 1..condition.unwrap_or(conflict.len())];
        for (index, (column, value)) in assignments(set).enumerate() {
            let column = format!("{table}.{}", quoted(column));
            text.say(if index > 0 { ", " } else { "" }).say(&column).say(" = ");
            match condition {
                None => text.put_of_conflict(value),
                Some(at) => {
                    text.say("IF(").put_of_conflict(trim(&conflict[at + 1..]));
                    text.say(", ").put_of_conflict(value).say(&format!(", {column})"))
                }
            };
        }
        if asked.is_some() {
            text.say(&format!(", {table}.id = LAST_INSERT_ID({table}.id)"));
        }
        text.say(" ");
    }
    added(text, false, asked)
}

fn added(insert: Text, unless: bool, returning: Option<Text>) -> Spelled {
    match (unless, returning) {
        (false, None) => Spelled::One(insert),
        (unless, returning) => Spelled::Add(Add { insert, unless, returning }),
    }
}

/// An `UPDATE`: what it joins stands before the `SET`, and what has a `WITH` or `RETURNING`
/// is done in steps.
fn update(with: &[Token<'_>], update: &[Token<'_>]) -> Spelled {
    let Some(set) = find(update, "SET") else { return Spelled::One(Text::of(update)) };
    let end = update.len();
    let returning = find(update, "RETURNING").unwrap_or(end);
    let condition = find(update, "WHERE").unwrap_or(returning);
    let from = find(update, "FROM").filter(|from| *from < condition).unwrap_or(condition);
    let table = trim(&update[1..set]).first().map_or("", |table| table.text);
    let joined = trim(&update[(from + 1).min(condition)..condition]);
    let (set, condition) = (&update[set + 1..from], &update[condition..returning]);
    if with.is_empty() && joined.is_empty() && returning == end {
        return Spelled::One(Text::of(update));
    }
    // What is joined comes first: rows of the table are found by it, and no others locked.
    let join = |text: &mut Text| {
        if !joined.is_empty() {
            text.put(joined).say(" STRAIGHT_JOIN ");
        }
        text.say(table);
    };
    let mut text = Text::default();
    if with.is_empty() && returning == end {
        text.say("UPDATE ");
        join(&mut text);
        text.say(" SET ");
        for (index, (column, value)) in assignments(set).enumerate() {
            let column = quoted(column);
            text.say(if index > 0 { ", " } else { "" }).say(&format!("{table}.{column} = "));
            text.put(value);
        }
        text.say(" ").put(condition);
        return Spelled::One(text);
    }
    // What a WITH locks must not be locked once more by the whole: MySQL refuses that.
    let hint = if with.is_empty() { "" } else { "/*+ NO_MERGE() */ " };
    text.put(with).say(&format!("SELECT {hint}{table}.id"));
    let mut columns = Vec::new();
    for (column, value) in assignments(set) {
        columns.push(column.to_owned());
        text.say(", ").put(value);
    }
    text.say(" FROM ");
    join(&mut text);
    text.say(" ").put(trim(condition)).say(" FOR UPDATE");
    let returning = (returning < end).then(|| Text::of(trim(&update[returning + 1..])));
    Spelled::Steps(Steps { table: table.to_owned(), read: text, columns, returning })
}

/// A `DELETE`: if its last condition looks for rows in others, these are joined: MariaDB
/// would look through the whole table for them.
fn delete(delete: &[Token<'_>]) -> Spelled {
    let plain = || Spelled::One(Text::of(delete));
    let table = delete.get(4).map_or("", |table| table.text);
    let Some(condition) = find(delete, "WHERE") else { return plain() };
    let condition = trim(&delete[condition + 1..]);
    let begin = condition.iter().rposition(|token| token.depth == 0 && token.text == "(");
    let Some(begin) = begin.filter(|_| condition.last().is_some_and(|last| last.text == ")"))
    else {
        return plain();
    };
    let (before, inner) = condition.split_at(begin);
    let (before, inner) = (trim(before), trim(&inner[1..inner.len() - 1]));
    let Some(from) = find(inner, "FROM").filter(|_| inner[0].text == "SELECT") else {
        return plain();
    };
    let found = trim(&inner[1..from]);
    let rows = &inner[from + 1..];
    let (rows, on) = rows.split_at(find(rows, "WHERE").unwrap_or(rows.len()));
    let Some((last, before)) = before.split_last() else { return plain() };
    let mut text = Text::default();
    text.say(&format!("DELETE {table} FROM"))
        .put(rows)
        .say(&format!(" STRAIGHT_JOIN {table} WHERE "));
    match last.text {
        "IN" => text.put(before).say("= ").put(found),
        "EXISTS" => text.put(before),
        _ => return plain(),
    };
    if let Some((_, on)) = on.split_first() {
        text.say(if last.text == "IN" { " AND " } else { "" }).put(trim(on));
    }
    Spelled::One(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(sql: &str) -> (String, Vec<usize>) {
        match spell(sql) {
            Spelled::One(Text { sql, parameters }) => (sql, parameters),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parameters_are_placed_and_words_quoted() {
        let (sql, parameters) = one(
            "SELECT n.signal, rank, CAST($2 AS TEXT), MAX(rank) FROM job WHERE ($1 = 0 OR id = $1) \
             AND why = '$3 rank' LIMIT $2 FOR UPDATE",
        );
        assert_eq!(
            sql,
            "SELECT n.`signal`, `rank`, CAST(? AS CHAR), MAX(`rank`) FROM job WHERE (? = 0 OR id = ?) \
             AND why = '$3 rank' LIMIT ? FOR UPDATE"
        );
        assert_eq!(parameters, [2, 1, 1, 2]);
    }

    #[test]
    fn a_conflict_is_a_duplicate_key() {
        let (sql, _) =
            one("INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE \
             SET value = excluded.value WHERE setting.value LIKE $3");
        assert_eq!(
            sql,
            "INSERT INTO setting (name, value) VALUES (?, ?)  ON DUPLICATE KEY UPDATE \
             setting.`value` = IF(setting.value LIKE ?, VALUES(value), setting.`value`) "
        );
        let (sql, _) = one("WITH n (i) AS (SELECT 1) INSERT INTO a (b, c) SELECT $1, i FROM n \
             ON CONFLICT (b) DO NOTHING");
        assert_eq!(
            sql,
            "INSERT INTO a (b, c) WITH n (i) AS (SELECT 1) SELECT ?, i FROM n  \
             ON DUPLICATE KEY UPDATE a.`b` = a.`b` "
        );
        let unless = spell("INSERT INTO a (b) VALUES ($1) ON CONFLICT DO NOTHING");
        let sql = "INSERT INTO a (b) VALUES (?) ".to_owned();
        let insert = Text { sql, parameters: vec![1] };
        assert_eq!(unless, Spelled::Add(Add { insert, unless: true, returning: None }));
    }

    #[test]
    fn what_is_returned_of_a_row_that_is_added_is_read_by_its_id() {
        let read = |sql| match spell(sql) {
            Spelled::Add(Add { insert, unless: false, returning: Some(read) }) => {
                (insert.sql, read.sql)
            }
            other => panic!("{other:?}"),
        };
        let (insert, returning) = read("INSERT INTO a (b) VALUES ($1) RETURNING id, rank");
        assert_eq!(insert, "INSERT INTO a (b) VALUES (?) ");
        assert_eq!(returning, "SELECT id, `rank` FROM a WHERE id = LAST_INSERT_ID()");
        let (insert, _) = read(
            "INSERT INTO a (b, c) VALUES ($1, $2) ON CONFLICT (b) DO UPDATE \
             SET c = excluded.c RETURNING id",
        );
        assert_eq!(
            insert,
            "INSERT INTO a (b, c) VALUES (?, ?)  ON DUPLICATE KEY UPDATE a.`c` = VALUES(c), \
             a.id = LAST_INSERT_ID(a.id) "
        );
    }

    #[test]
    fn what_an_update_joins_comes_first() {
        let (sql, parameters) = one(
            "UPDATE attempt SET pid = COALESCE(r.k_pid, pid), signal = $2 FROM (SELECT $1) AS r \
             WHERE attempt.job_id = r.k_job",
        );
        assert_eq!(
            sql,
            "UPDATE (SELECT ?) AS r STRAIGHT_JOIN attempt SET attempt.`pid` = COALESCE(r.k_pid, pid), \
             attempt.`signal` = ? WHERE attempt.job_id = r.k_job"
        );
        assert_eq!(parameters, [1, 2]);
        assert_eq!(one("UPDATE a SET b = $2 WHERE id = $1").1, [2, 1]);
    }

    #[test]
    fn what_is_returned_is_read_written_and_read() {
        let spelled = spell(
            "WITH next AS (SELECT id FROM job LIMIT $1 FOR UPDATE) UPDATE job SET state = 'offered', \
             fence = fence + 1 FROM next WHERE job.id = next.id RETURNING job.id, rank",
        );
        let Spelled::Steps(steps) = spelled else { panic!("{spelled:?}") };
        assert_eq!(
            steps.read.sql,
            "WITH next AS (SELECT id FROM job LIMIT ? FOR UPDATE) SELECT /*+ NO_MERGE() */ job.id, 'offered', \
             fence + 1 FROM next STRAIGHT_JOIN job WHERE job.id = next.id FOR UPDATE"
        );
        assert_eq!(steps.columns, ["state", "fence"]);
        assert_eq!(steps.returning.unwrap().sql, "job.id, `rank`");
    }

    #[test]
    fn what_is_deleted_by_other_rows_is_found_by_them() {
        let (sql, _) = one("DELETE FROM job WHERE id IN (SELECT r.k_job FROM (x) AS r)");
        assert_eq!(sql, "DELETE job FROM (x) AS r STRAIGHT_JOIN job WHERE id = r.k_job");
        let (sql, _) = one(
            "DELETE FROM attempt WHERE state IN ('a', 'b') AND EXISTS (SELECT 1 FROM (x) AS r \
             WHERE attempt.job_id = r.k_job)",
        );
        assert_eq!(
            sql,
            "DELETE attempt FROM (x) AS r  STRAIGHT_JOIN attempt WHERE state IN ('a', 'b') AND \
             attempt.job_id = r.k_job"
        );
        let plain = "DELETE FROM attempt WHERE state IN ('a', 'b')";
        assert_eq!(one(plain).0, plain);
    }
}
