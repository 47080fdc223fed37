//! Definitions that are stored as documents. Each is read once and kept in memory, by its
//! revision: a claim parses none. A revision is no number that a change had which was
//! rolled back.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use sqlx::{AssertSqlSafe, Row as _};

use super::{Dialect, StoreError, dialect::Kind, jobs};
use crate::{
    domain::{
        application::{self, Definition},
        credential_type::{self, CredentialType},
        definition::Invalid,
        ids::{ApplicationId, CredentialTypeId, SchedulerId},
    },
    vault::Vault,
};

/// What is stored as a document, with its revision.
pub(super) trait Document: Sized {
    /// What names it.
    type Id: Copy + Eq + Hash + From<i64> + Into<i64>;
    /// The table with the columns `id`, `document` and `revision`.
    const TABLE: &'static str;

    /// Reads a document.
    fn parse(text: &str) -> Result<Self, Invalid>;

    /// Reads a document that was valid when it was stored.
    fn stored(text: &str) -> Result<Self, sqlx::Error> {
        Self::parse(text).map_err(jobs::decode)
    }
}

impl Document for Definition {
    type Id = ApplicationId;
    const TABLE: &'static str = "apps";

    fn parse(text: &str) -> Result<Self, Invalid> {
        application::parse(text)
    }
}

impl Document for CredentialType {
    type Id = CredentialTypeId;
    const TABLE: &'static str = "credential_type";

    fn parse(text: &str) -> Result<Self, Invalid> {
        credential_type::parse(text)
    }
}

/// What rows are read and written with that is not in them.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Definitions of applications.
    pub(super) applications: Documents<Definition>,
    /// Definitions of types of credentials.
    pub(super) credential_types: Documents<CredentialType>,
    /// Opens what is sealed.
    pub(super) vault: Vault,
    /// This scheduler.
    pub(super) me: SchedulerId,
}

impl Known {
    pub(super) fn new(vault: Vault, me: SchedulerId) -> Self {
        let (applications, credential_types) = (Documents::default(), Documents::default());
        Self { applications, credential_types, vault, me }
    }
}

/// Documents that were read, with their revisions.
#[derive(Debug)]
pub(super) struct Documents<D: Document>(Arc<Mutex<HashMap<D::Id, Revision<D>>>>);

/// A definition with its revision.
type Revision<D> = (i64, Arc<D>);

/// Definitions by what names them.
pub(super) type ById<D> = HashMap<<D as Document>::Id, Arc<D>>;

impl<D: Document> Clone for Documents<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Document> Default for Documents<D> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<D: Document> Documents<D> {
    fn known(&self, id: D::Id, revision: i64) -> Option<Arc<D>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, definition) = known.get(&id)?;
        (*known == revision).then(|| Arc::clone(definition))
    }

    /// Those that are wanted, each with the revision that is wanted. One that has changed
    /// since is there as it is now.
    pub(super) async fn of<'c>(
        &self,
        conn: impl sqlx::Executor<'c, Database = sqlx::Any>,
        dialect: Dialect,
        wanted: &HashMap<D::Id, i64>,
    ) -> Result<ById<D>, StoreError> {
        let mut found = HashMap::with_capacity(wanted.len());
        let mut unknown = Vec::new();
        for (id, revision) in wanted {
            match self.known(*id, *revision) {
                Some(definition) => drop(found.insert(*id, definition)),
                None => unknown.push([(*id).into()]),
            }
        }
        if unknown.is_empty() {
            return Ok(found);
        }
        let chosen = dialect.rows("$1", &[("id", Kind::Int)]);
        let sql = format!(
            "SELECT id, document, revision FROM {} WHERE id IN (SELECT r.id FROM {chosen})",
            D::TABLE
        );
        let unknown: Vec<[i64; 1]> = unknown;
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(serde_json::json!(unknown).to_string())
            .fetch_all(conn)
            .await?;
        for row in &rows {
            let id = D::Id::from(row.try_get::<i64, _>(0)?);
            let definition = Arc::new(D::stored(&row.try_get::<String, _>(1)?)?);
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(id, (row.try_get(2)?, Arc::clone(&definition)));
            found.insert(id, definition);
        }
        Ok(found)
    }
}
