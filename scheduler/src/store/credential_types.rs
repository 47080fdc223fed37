//! Types of credentials: table `credential_type`.

use std::sync::Arc;

use sqlx::{Row as _, any::AnyRow};

use super::{
    Change, Put, Store, StoreError, Tx,
    documents::Document as _,
    list::{self, Columns, Filter, ListPage, Listed, Sort},
    rows,
};
use crate::{
    domain::{credential_type::CredentialType, ids::CredentialTypeId},
    vault::Vault,
};

/// A type of credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialTypeRow {
    /// Its id.
    pub id: CredentialTypeId,
    /// What it says of itself.
    pub definition: Arc<CredentialType>,
    /// When it was created.
    pub created: i64,
}

/// Stores a definition: a new type, or another definition of one that is there, which is
/// told by its UUID or else by its code.
#[derive(Clone, Debug)]
pub struct PutCredentialType(pub Arc<CredentialType>);

impl Change for PutCredentialType {
    type Output = Put<CredentialTypeId>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Put<CredentialTypeId>, StoreError> {
        let CredentialType { code, uuid, .. } = &*self.0;
        let known = sqlx::query(
            "SELECT id, document FROM credential_type WHERE uuid = $1 OR (LOWER(code) = LOWER($2) \
             AND (uuid IS NULL OR CAST($1 AS TEXT) IS NULL)) ORDER BY id LIMIT 1",
        )
        .bind(uuid.clone())
        .bind(code.clone())
        .fetch_optional(&mut *tx.conn)
        .await?;
        let document = self.0.text();
        let own: i64 = match known {
            Some(row) => {
                let id = row.try_get(0)?;
                let before = CredentialType::stored(&row.try_get::<String, _>(1)?, tx.vault)?;
                if before.text() == document {
                    return Ok(Put::Unchanged(CredentialTypeId(id)));
                }
                id
            }
            None => 0,
        };
        let taken = "SELECT id FROM credential_type WHERE id <> $1 AND LOWER(code) = LOWER($2)";
        if rows::is_taken(tx, taken, own, code).await? {
            let (what, name) = ("credential type", code.clone());
            return Err(StoreError::AlreadyExists { what, name });
        }
        let sql = if own == 0 {
            "INSERT INTO credential_type (code, name, uuid, version, document, created, revision) \
             SELECT $1, $2, $3, $4, $5, $6, $6 WHERE $7 = 0 RETURNING id"
        } else {
            "UPDATE credential_type SET code = $1, name = $2, uuid = $3, version = $4, \
             document = $5, revision = CASE WHEN revision < $6 THEN $6 ELSE revision + 1 END \
             WHERE id = $7 RETURNING id"
        };
        let id: i64 = sqlx::query_scalar(sql)
            .bind(code.clone())
            .bind(self.0.name.main().to_owned())
            .bind(uuid.clone())
            .bind(self.0.version.clone())
            .bind(self.0.to_stored(tx.vault)?)
            .bind(tx.now)
            .bind(own)
            .fetch_one(&mut *tx.conn)
            .await?;
        let id = CredentialTypeId(id);
        Ok(if own == 0 { Put::Created(id) } else { Put::Changed(id) })
    }
}

/// Removes a type of which there is no credential.
#[derive(Clone, Copy, Debug)]
pub struct DeleteCredentialType(pub CredentialTypeId);

impl Change for DeleteCredentialType {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.0.0;
        let code: Option<String> =
            sqlx::query_scalar("SELECT code FROM credential_type WHERE id = $1")
                .bind(id)
                .fetch_optional(&mut *tx.conn)
                .await?;
        let count = "SELECT COUNT(*) FROM credentials WHERE credential_type_id = $1";
        let refusal = |credentials| {
            format!(
                "credential type {} ({id}) has {}: delete what it has first, or give it another \
                 type with credential:update",
                code.unwrap_or_default(),
                rows::counted(credentials, "credential")
            )
        };
        rows::refuse_dependents(tx, count, id, refusal).await?;
        let sql = "DELETE FROM credential_type WHERE id = $1";
        rows::delete(tx, sql, "credential type", id).await
    }
}

/// The type of this code, with its revision.
pub(super) async fn of_code(
    tx: &mut Tx<'_>,
    code: &str,
) -> Result<(CredentialTypeId, i64), StoreError> {
    let row = sqlx::query("SELECT id, revision FROM credential_type WHERE LOWER(code) = LOWER($1)")
        .bind(code.to_owned())
        .fetch_optional(&mut *tx.conn)
        .await?;
    match row {
        Some(row) => Ok((CredentialTypeId(row.try_get(0)?), row.try_get(1)?)),
        None => Err(StoreError::Invalid(format!(
            "there is no credential type {code:?}: import its definition with \
             credential-type:import-json, or leave the type out"
        ))),
    }
}

/// Which types of credentials a list has, and in which order.
#[derive(Clone, Debug, Default)]
pub struct CredentialTypeFilter {
    /// Only those whose code or name contains this.
    pub name: String,
    /// How they are sorted.
    pub sort: Sort,
}

const COLUMNS: &str = "SELECT id, document, created FROM credential_type";

fn row(row: &AnyRow, vault: &Vault) -> Result<CredentialTypeRow, StoreError> {
    Ok(CredentialTypeRow {
        id: CredentialTypeId(row.try_get(0)?),
        definition: Arc::new(CredentialType::stored(&row.try_get::<String, _>(1)?, vault)?),
        created: row.try_get(2)?,
    })
}

impl Store {
    /// One type of credentials.
    pub async fn credential_type(
        &self,
        id: CredentialTypeId,
    ) -> Result<CredentialTypeRow, StoreError> {
        row(&rows::one(&self.readers, COLUMNS, "credential type", id.0).await?, self.vault())
    }

    /// A page of types of credentials; sorted by name is by code.
    pub async fn credential_types(
        &self,
        filter: &CredentialTypeFilter,
        page: &ListPage,
    ) -> Result<Listed<CredentialTypeRow>, StoreError> {
        let mut condition = Filter::new(self.dialect);
        condition.contains("code || ' ' || name", &filter.name);
        let columns = Columns { id: "id", name: "code", created: "created" };
        let sql = condition.sql(COLUMNS, columns, filter.sort, page)?;
        let rows = list::fetch(&self.readers, sql).await?;
        let rows = rows.iter().map(|found| row(found, self.vault()));
        let rows = rows.collect::<Result<_, _>>()?;
        Ok(page.listed(rows, filter.sort, |row| (row.id.0, &row.definition.code, row.created)))
    }
}
