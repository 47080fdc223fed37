//! Our statements on MySQL and MariaDB. They are written once, with `$1` placeholders and in
//! the SQL that SQLite and PostgreSQL share; here each is said in the words of these two as
//! it is sent. An `UPDATE` that returns rows, which neither can say, becomes three statements
//! of the same transaction; an `INSERT` that does, which MySQL cannot say, two.

mod spell;
mod tokens;

use sqlx::{
    AnyConnection, Arguments as _, AssertSqlSafe, Column as _, Either, Executor as _, Row as _,
    any::{AnyArguments, AnyQueryResult, AnyRow, AnyTypeInfoKind},
    error::BoxDynError,
};

use spell::{Add, Spelled, Steps, Text, spell};

use super::error;

/// What a statement answers.
pub(super) type Answer = Either<AnyQueryResult, AnyRow>;

/// A statement that is to be sent.
#[derive(Debug)]
pub(super) struct Statement {
    spelled: Spelled,
    arguments: Parameters,
    persistent: bool,
}

/// Parameters that were bound, by number.
struct Parameters(AnyArguments);

impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parameters")
    }
}

impl Parameters {
    /// Those of a text, in its order.
    fn of(&self, text: &Text) -> Result<AnyArguments, BoxDynError> {
        let mut chosen = AnyArguments::default();
        for number in &text.parameters {
            let value = number.checked_sub(1).and_then(|index| self.0.values.0.get(index));
            let missing = || format!("the parameter ${number} of a statement is not bound");
            chosen.values.0.push(value.ok_or_else(missing)?.clone());
        }
        Ok(chosen)
    }
}

impl Statement {
    /// This SQL, with what was bound.
    pub(super) fn new(sql: &str, arguments: AnyArguments, persistent: bool) -> Self {
        Self { spelled: spell(sql), arguments: Parameters(arguments), persistent }
    }

    /// The one statement that it is, if it is one.
    pub(super) fn single(&self) -> Option<Single> {
        let Spelled::One(text) = &self.spelled else { return None };
        Some(self.send(text))
    }

    fn send(&self, text: &Text) -> Single {
        let arguments = self.arguments.of(text).map(Some);
        Single { sql: text.sql.clone(), arguments, persistent: self.persistent }
    }

    /// Runs it, whatever it takes.
    pub(super) async fn run(self, conn: &mut AnyConnection) -> Result<Vec<Answer>, sqlx::Error> {
        match &self.spelled {
            Spelled::One(text) => collect(conn, self.send(text)).await,
            Spelled::Add(add) => self.add(add, conn).await,
            Spelled::Steps(steps) => self.step(steps, conn).await,
        }
    }

    async fn add(&self, add: &Add, conn: &mut AnyConnection) -> Result<Vec<Answer>, sqlx::Error> {
        let mut answer = match collect(conn, self.send(&add.insert)).await {
            Err(sqlx::Error::Database(said)) if add.unless && error::is_duplicate(&*said) => {
                return Ok(Vec::new());
            }
            other => other?,
        };
        let added =
            |answer: &Answer| matches!(answer, Either::Left(done) if done.rows_affected() > 0);
        if let Some(returning) = &add.returning
            && answer.iter().any(added)
        {
            answer.extend(collect(conn, self.send(returning)).await?);
        }
        Ok(answer)
    }

    async fn step(
        &self,
        steps: &Steps,
        conn: &mut AnyConnection,
    ) -> Result<Vec<Answer>, sqlx::Error> {
        let rows = conn.fetch_all(self.send(&steps.read)).await?;
        let Some(first) = rows.first() else { return Ok(Vec::new()) };
        let types: Vec<_> = first.columns().iter().map(|c| c.type_info().kind()).collect();
        let values = rows.iter().map(|row| values(row, &types)).collect::<Result<Vec<_>, _>>()?;
        let values = serde_json::Value::Array(values).to_string();
        let (table, columns) = (&steps.table, &steps.columns);
        let fields = types.iter().enumerate().map(|(index, kind)| {
            let kind = if *kind == AnyTypeInfoKind::Text { "LONGTEXT" } else { "BIGINT" };
            format!("c{index} {kind} PATH '$[{index}]'")
        });
        let set = columns
            .iter()
            .zip(1..)
            .map(|(column, index)| format!("{table}.`{column}` = r.c{index}"));
        let sql = format!(
            "UPDATE JSON_TABLE(?, '$[*]' COLUMNS ({})) AS r STRAIGHT_JOIN {table} \
             ON {table}.id = r.c0 SET {}",
            fields.collect::<Vec<_>>().join(", "),
            set.collect::<Vec<_>>().join(", ")
        );
        let written = self.with_rows(sql, AnyArguments::default(), values.clone());
        let mut answer = collect(conn, written).await?;
        if let Some(returning) = &steps.returning {
            let sql = format!(
                "SELECT {} FROM JSON_TABLE(?, '$[*]' COLUMNS (c0 BIGINT PATH '$[0]')) AS r \
                 STRAIGHT_JOIN {table} ON {table}.id = r.c0",
                returning.sql
            );
            let arguments = self.arguments.of(returning).map_err(sqlx::Error::Encode)?;
            let read = self.with_rows(sql, arguments, values);
            answer.extend(collect(conn, read).await?);
        }
        Ok(answer)
    }

    fn with_rows(&self, sql: String, mut arguments: AnyArguments, rows: String) -> Single {
        let arguments = arguments.add(rows).map(|()| Some(arguments));
        Single { sql, arguments, persistent: self.persistent }
    }
}

/// The columns of a row as JSON.
fn values(row: &AnyRow, types: &[AnyTypeInfoKind]) -> Result<serde_json::Value, sqlx::Error> {
    let values = types.iter().enumerate().map(|(index, kind)| {
        Ok::<_, sqlx::Error>(match kind {
            AnyTypeInfoKind::Null => serde_json::Value::Null,
            AnyTypeInfoKind::Text => row.try_get::<Option<String>, _>(index)?.into(),
            _ => row.try_get::<Option<i64>, _>(index)?.into(),
        })
    });
    Ok(serde_json::Value::Array(values.collect::<Result<_, _>>()?))
}

async fn collect(conn: &mut AnyConnection, single: Single) -> Result<Vec<Answer>, sqlx::Error> {
    use tokio_stream::StreamExt as _;
    conn.fetch_many(single).collect().await
}

/// One statement as it is sent.
pub(super) struct Single {
    sql: String,
    arguments: Result<Option<AnyArguments>, BoxDynError>,
    persistent: bool,
}

impl sqlx::Execute<'_, sqlx::Any> for Single {
    fn sql(self) -> sqlx::SqlStr {
        sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(self.sql))
    }

    fn statement(&self) -> Option<&sqlx::any::AnyStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<AnyArguments>, BoxDynError> {
        std::mem::replace(&mut self.arguments, Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}
