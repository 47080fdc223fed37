//! Applications: table `apps`.

use sqlx::Row as _;

use super::{Change, Page, Store, StoreError, Tx};
use crate::domain::ids::ApplicationId;

/// An application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationRow {
    /// Its id.
    pub id: ApplicationId,
    /// Its name.
    pub name: String,
    /// The program.
    pub executable: String,
    /// Its parameters.
    pub cmdparams: String,
    /// When it was created.
    pub created: i64,
}

const COLUMNS: &str = "SELECT id, name, executable, cmdparams, created FROM apps";

fn application(row: &sqlx::any::AnyRow) -> Result<ApplicationRow, sqlx::Error> {
    Ok(ApplicationRow {
        id: ApplicationId(row.try_get(0)?),
        name: row.try_get(1)?,
        executable: row.try_get(2)?,
        cmdparams: row.try_get(3)?,
        created: row.try_get(4)?,
    })
}

/// Creates an application.
#[derive(Clone, Debug)]
pub struct CreateApplication {
    /// Its name.
    pub name: String,
    /// The program.
    pub executable: String,
    /// Its parameters.
    pub cmdparams: String,
}

impl Change for CreateApplication {
    type Output = ApplicationRow;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<ApplicationRow, StoreError> {
        let row = sqlx::query(
            "INSERT INTO apps (name, executable, cmdparams, created) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO NOTHING \
             RETURNING id, name, executable, cmdparams, created",
        )
        .bind(self.name.clone())
        .bind(self.executable.clone())
        .bind(self.cmdparams.clone())
        .bind(tx.now)
        .fetch_optional(&mut *tx.conn)
        .await?
        .ok_or_else(|| StoreError::AlreadyExists {
            what: "application",
            name: self.name.clone(),
        })?;
        Ok(application(&row)?)
    }
}

impl Store {
    /// One application.
    pub async fn application(&self, id: ApplicationId) -> Result<ApplicationRow, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE id = $1")))
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await?
            .ok_or(StoreError::NotFound { what: "application", id: id.0 })?;
        Ok(application(&row)?)
    }

    /// Applications by id.
    pub async fn applications(&self, page: Page) -> Result<Vec<ApplicationRow>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} WHERE id > $1 ORDER BY id LIMIT $2"
        )))
        .bind(page.after.unwrap_or(0))
        .bind(page.size)
        .fetch_all(&self.readers)
        .await?;
        Ok(rows.iter().map(application).collect::<Result<_, _>>()?)
    }
}
