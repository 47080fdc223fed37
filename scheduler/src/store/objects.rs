//! Which object store belongs to this database, and what rows say is in it.

use sqlx::{AssertSqlSafe, Row as _};

use super::{Change, Store, StoreError, Tx};
use crate::domain::ids::JobId;

/// The setting that holds the store's id, and its name as it was last known.
const SETTING: &str = "object_store";

/// The object store of this database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectStoreRow {
    /// The id that the store itself holds too.
    pub id: String,
    /// How it was named last.
    pub name: String,
}

impl ObjectStoreRow {
    fn parse(value: &str) -> Self {
        let (id, name) = value.split_once(' ').unwrap_or((value, ""));
        Self { id: id.to_owned(), name: name.to_owned() }
    }
}

/// Notes the object store of this database, or its new name. One that is known stays.
#[derive(Clone, Debug)]
pub struct RememberObjectStore {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl Change for RememberObjectStore {
    /// The one that is known now.
    type Output = ObjectStoreRow;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<ObjectStoreRow, StoreError> {
        sqlx::query(
            "INSERT INTO setting (name, value, changed) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed = excluded.changed \
             WHERE setting.value LIKE $4",
        )
        .bind(SETTING)
        .bind(format!("{} {}", self.id, self.name))
        .bind(tx.now)
        .bind(format!("{} %", self.id))
        .execute(&mut *tx.conn)
        .await?;
        let value: String = sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
            .bind(SETTING)
            .fetch_one(&mut *tx.conn)
            .await?;
        Ok(ObjectStoreRow::parse(&value))
    }
}

/// An object that a row refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referred {
    /// Whose output or artifact it holds.
    pub job: JobId,
    /// The attempt.
    pub attempt: i32,
    /// Its name.
    pub object: String,
    /// Where the next page goes on.
    cursor: [i64; 3],
}

/// Which rows refer to objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Referrer {
    /// Chunks of logs.
    Chunks,
    /// Parts of artifacts.
    Parts,
}

impl Store {
    /// The object store of this database; none if it never had one.
    pub async fn object_store(&self) -> Result<Option<ObjectStoreRow>, StoreError> {
        let value: Option<String> = sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
            .bind(SETTING)
            .fetch_optional(&self.readers)
            .await?;
        Ok(value.as_deref().map(ObjectStoreRow::parse))
    }

    /// An object of the newest job that has one: what must be in the store.
    pub async fn newest_object(&self) -> Result<Option<String>, StoreError> {
        let rows = sqlx::query(
            "SELECT object FROM (SELECT job_id, object FROM log_chunk WHERE object IS NOT NULL \
             ORDER BY job_id DESC LIMIT 1) newest_chunk UNION ALL \
             SELECT object FROM (SELECT artifact_id, object FROM artifact_part \
             ORDER BY artifact_id DESC LIMIT 1) newest_part",
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
    }

    /// Objects that rows of a kind refer to, those after `after`.
    pub async fn referred(
        &self,
        referrer: Referrer,
        after: Option<&Referred>,
        limit: i64,
    ) -> Result<Vec<Referred>, StoreError> {
        let beyond = |columns| self.dialect.beyond(columns, ">", &["$1", "$2", "$3"]);
        let sql = match referrer {
            Referrer::Chunks => format!(
                "SELECT job_id, attempt, object, job_id, attempt, start FROM log_chunk \
                 WHERE object IS NOT NULL AND {} ORDER BY job_id, attempt, start LIMIT $4",
                beyond(&["job_id", "attempt", "start"])
            ),
            Referrer::Parts => format!(
                "SELECT a.job_id, a.attempt, p.object, p.artifact_id, CAST(0 AS BIGINT), p.start \
                 FROM artifact_part p JOIN artifacts a ON a.id = p.artifact_id \
                 WHERE {} ORDER BY p.artifact_id, p.start LIMIT $4",
                beyond(&["p.artifact_id", "CAST(0 AS BIGINT)", "p.start"])
            ),
        };
        let [first, second, third] = after.map_or([0, 0, -1], |after| after.cursor);
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(first)
            .bind(second)
            .bind(third)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        let referred = |row: &sqlx::any::AnyRow| {
            Ok(Referred {
                job: JobId(row.try_get(0)?),
                attempt: i32::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default(),
                object: row.try_get(2)?,
                cursor: [row.try_get(3)?, row.try_get(4)?, row.try_get(5)?],
            })
        };
        rows.iter().map(referred).collect::<Result<_, sqlx::Error>>().map_err(Into::into)
    }
}
