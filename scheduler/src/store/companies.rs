//! Companies.

use sqlx::Row as _;

use super::{Change, Page, Store, StoreError, Tx, jobs};
use crate::domain::ids::CompanyId;

/// A company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompanyRow {
    /// Its id.
    pub id: CompanyId,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: i64,
    /// Most of its jobs at once; none for no limit.
    pub max_running: Option<u32>,
}

const COLUMNS: &str = "SELECT id, name, created, max_running FROM company";

fn company(row: &sqlx::any::AnyRow) -> Result<CompanyRow, sqlx::Error> {
    Ok(CompanyRow {
        id: CompanyId(row.try_get(0)?),
        name: row.try_get(1)?,
        created: row.try_get(2)?,
        max_running: jobs::small(row, 3)?.map(i32::unsigned_abs),
    })
}

/// Creates a company.
#[derive(Clone, Debug, Default)]
pub struct CreateCompany {
    /// Its name.
    pub name: String,
    /// Most of its jobs at once; none for no limit.
    pub max_running: Option<u32>,
}

impl Change for CreateCompany {
    type Output = CompanyRow;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<CompanyRow, StoreError> {
        let row = sqlx::query(
            "INSERT INTO company (name, created, max_running) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO NOTHING RETURNING id, name, created, max_running",
        )
        .bind(self.name.clone())
        .bind(tx.now)
        .bind(self.max_running.map(i64::from))
        .fetch_optional(&mut *tx.conn)
        .await?
        .ok_or_else(|| StoreError::AlreadyExists { what: "company", name: self.name.clone() })?;
        Ok(company(&row)?)
    }
}

impl Store {
    /// One company.
    pub async fn company(&self, id: CompanyId) -> Result<CompanyRow, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE id = $1")))
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await?
            .ok_or(StoreError::NotFound { what: "company", id: id.0 })?;
        Ok(company(&row)?)
    }

    /// Companies by id.
    pub async fn companies(&self, page: Page) -> Result<Vec<CompanyRow>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} WHERE id > $1 ORDER BY id LIMIT $2"
        )))
        .bind(page.after.unwrap_or(0))
        .bind(page.size)
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.iter().map(company).collect::<Result<_, _>>()?)
    }
}
