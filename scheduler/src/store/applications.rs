//! Applications: table `apps`.

use std::sync::Arc;

use sqlx::{Row as _, any::AnyRow};

use super::{
    Change, Store, StoreError, Tx, declared,
    documents::Document as _,
    list::{self, Columns, Filter, ListPage, Listed, Sort},
    rows::{self, is_taken},
};
use crate::{
    domain::{application::Definition, ids::ApplicationId},
    vault::Vault,
};

/// An application.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplicationRow {
    /// Its id.
    pub id: ApplicationId,
    /// What it says of itself.
    pub definition: Arc<Definition>,
    /// When it was created.
    pub created: i64,
}

/// Stores an application's definition: a new application, or another definition of one
/// that is there, which is told by its UUID or else by its name.
#[derive(Clone, Debug)]
pub struct PutApplication {
    /// The application whose definition this is; none if it is to be found.
    pub id: Option<ApplicationId>,
    /// The definition.
    pub definition: Arc<Definition>,
    /// Whether one that is there may be given another definition.
    pub replace: bool,
}

/// What became of a definition that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put<Id> {
    /// There was none.
    Created(Id),
    /// There was one with another definition.
    Changed(Id),
    /// There was one with this very definition.
    Unchanged(Id),
}

impl<Id> Put<Id> {
    /// What has the definition.
    pub fn id(self) -> Id {
        let (Self::Created(id) | Self::Changed(id) | Self::Unchanged(id)) = self;
        id
    }
}

impl Change for PutApplication {
    type Output = Put<ApplicationId>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Put<ApplicationId>, StoreError> {
        let definition = &self.definition;
        let name = definition.name.main();
        let known = sqlx::query(
            "SELECT id, document FROM apps WHERE ($1 > 0 AND id = $1) OR ($1 = 0 AND \
             (uuid = $2 OR (name = $3 AND (uuid IS NULL OR CAST($2 AS TEXT) IS NULL)))) \
             ORDER BY id LIMIT 1",
        )
        .bind(self.id.map_or(0, |id| id.0))
        .bind(definition.uuid.clone())
        .bind(name.to_owned())
        .fetch_optional(&mut *tx.conn)
        .await?;
        let document = definition.text();
        let already = || StoreError::AlreadyExists { what: "application", name: name.to_owned() };
        let (own, before) = match (known, self.id) {
            (Some(_), _) if !self.replace => return Err(already()),
            (Some(row), _) => {
                let id: i64 = row.try_get(0)?;
                let before = Definition::stored(&row.try_get::<String, _>(1)?, tx.vault)?;
                if before.text() == document {
                    return Ok(Put::Unchanged(ApplicationId(id)));
                }
                (id, Some(before))
            }
            (None, Some(id)) => {
                return Err(StoreError::NotFound { what: "application", id: id.0 });
            }
            (None, None) => (0, None),
        };
        if is_taken(tx, "SELECT id FROM apps WHERE id <> $1 AND name = $2", own, name).await? {
            return Err(already());
        }
        if let Some(uuid) = &definition.uuid {
            let taken = "SELECT id FROM apps WHERE id <> $1 AND uuid = $2";
            if is_taken(tx, taken, own, uuid).await? {
                let what = "application with the UUID";
                return Err(StoreError::AlreadyExists { what, name: uuid.clone() });
            }
        }
        let sql = if own == 0 {
            "INSERT INTO apps (name, executable, cmdparams, uuid, version, document, created, \
             revision, tags) SELECT $1, $2, $3, $4, $5, $6, $7, $7, $9 WHERE $8 = 0 RETURNING id"
        } else {
            "UPDATE apps SET name = $1, executable = $2, cmdparams = $3, uuid = $4, \
             version = $5, document = $6, tags = $9, \
             revision = CASE WHEN revision < $7 THEN $7 ELSE revision + 1 END \
             WHERE id = $8 RETURNING id"
        };
        let id: i64 = sqlx::query_scalar(sql)
            .bind(name.to_owned())
            .bind(definition.executable.clone())
            .bind(definition.cmdparams.clone())
            .bind(definition.uuid.clone())
            .bind(definition.version.clone())
            .bind(definition.to_stored(tx.vault)?)
            .bind(tx.now)
            .bind(own)
            .bind(tags(&definition.tags))
            .fetch_one(&mut *tx.conn)
            .await?;
        let id = ApplicationId(id);
        let Some(before) = before else { return Ok(Put::Created(id)) };
        declared::begin(tx, id, &before, definition).await?;
        Ok(Put::Changed(id))
    }
}

/// Removes an application that no run template uses.
#[derive(Clone, Copy, Debug)]
pub struct DeleteApplication(pub ApplicationId);

impl Change for DeleteApplication {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.0.0;
        let count = "SELECT COUNT(*) FROM runtemplate WHERE app_id = $1";
        let refusal = |templates| {
            format!(
                "application {id} has {}: delete them first, or all of it \
                 with --cascade",
                rows::counted(templates, "run template")
            )
        };
        rows::refuse_dependents(tx, count, id, refusal).await?;
        rows::delete(tx, "DELETE FROM apps WHERE id = $1", "application", id).await
    }
}

const COLUMNS: &str = "SELECT id, document, created FROM apps";

fn row(row: &AnyRow, vault: &Vault) -> Result<ApplicationRow, StoreError> {
    Ok(ApplicationRow {
        id: ApplicationId(row.try_get(0)?),
        definition: Arc::new(Definition::stored(&row.try_get::<String, _>(1)?, vault)?),
        created: row.try_get(2)?,
    })
}

/// Which applications a list has, and in which order.
#[derive(Clone, Debug, Default)]
pub struct ApplicationFilter {
    /// Only those whose name contains this.
    pub name: String,
    /// Only those with this tag, in large or small letters; empty for all.
    pub tag: String,
    /// Only those that run this program; empty for all.
    pub executable: String,
    /// How they are sorted.
    pub sort: Sort,
}

/// Tags as the database holds them: each between two line ends.
fn tags(tags: &[String]) -> String {
    tags.iter().fold("\n".to_owned(), |all, tag| all + tag + "\n")
}

impl Store {
    /// One application.
    pub async fn application(&self, id: ApplicationId) -> Result<ApplicationRow, StoreError> {
        row(&rows::one(&self.readers, COLUMNS, "application", id.0).await?, self.vault())
    }

    /// A page of applications.
    pub async fn applications(
        &self,
        filter: &ApplicationFilter,
        page: &ListPage,
    ) -> Result<Listed<ApplicationRow>, StoreError> {
        let mut condition = Filter::new(self.dialect);
        condition.contains("name", &filter.name);
        if !filter.tag.is_empty() {
            condition.contains("tags", &tags(std::slice::from_ref(&filter.tag)));
        }
        if !filter.executable.is_empty() {
            condition.with("executable = ?", filter.executable.as_str());
        }
        let columns = Columns { id: "id", name: "name", created: "created" };
        let sql = condition.sql(COLUMNS, columns, filter.sort, page)?;
        let rows = list::fetch(&self.readers, sql).await?;
        let rows = rows.iter().map(|found| row(found, self.vault()));
        let rows = rows.collect::<Result<_, _>>()?;
        Ok(page.listed(rows, filter.sort, |row: &ApplicationRow| {
            (row.id.0, row.definition.name.main(), row.created)
        }))
    }
}
