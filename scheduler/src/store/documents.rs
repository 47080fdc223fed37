//! Definitions that are stored as documents. Each is read once and kept in memory, by its
//! revision: a claim parses none. A revision is no number that a change had which was
//! rolled back. One that has the value of a secret in it is sealed as a whole.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use sqlx::{AssertSqlSafe, Row as _};

use super::{Change, Dialect, StoreError, Tx, adopted, dialect::Kind, jobs, reseal::AllSealed};
use crate::{
    domain::{
        application::{self, Definition},
        credential_type::{self, CredentialType},
        definition::{Field, Invalid},
        ids::{ApplicationId, CredentialTypeId, SchedulerId},
    },
    vault::{Sealed, Vault},
};

/// The setting that says that no definition from before is left that should be sealed.
const SEALED: &str = "sealed definitions";

/// How the text of a sealed definition begins: a list of its key and its value. What is not
/// sealed is an object.
const SEALED_TEXT: &str = r#"[""#;

/// What is stored as a document, with its revision.
pub(super) trait Document: Sized {
    /// What names it.
    type Id: Copy + Eq + Hash + From<i64> + Into<i64>;
    /// The table with the columns `id`, `document` and `revision`.
    const TABLE: &'static str;

    /// Reads a document.
    fn parse(text: &str) -> Result<Self, Invalid>;

    /// The document as it came.
    fn text(&self) -> String;

    /// Whether the value of a secret is in it.
    fn holds_secrets(&self) -> bool;

    /// Reads what is stored.
    fn stored(text: &str, vault: &Vault) -> Result<Self, StoreError> {
        let opened =
            text.starts_with(SEALED_TEXT).then(|| open::<Self>(text, vault)).transpose()?;
        Ok(Self::parse(opened.as_deref().unwrap_or(text)).map_err(jobs::decode)?)
    }

    /// What is stored of it.
    fn to_stored(&self, vault: &Vault) -> Result<String, StoreError> {
        if self.holds_secrets() { seal::<Self>(&self.text(), vault) } else { Ok(self.text()) }
    }
}

fn open<D: Document>(text: &str, vault: &Vault) -> Result<String, StoreError> {
    let [key, value] = serde_json::from_str(text).map_err(jobs::decode)?;
    Ok(vault.unseal(D::TABLE, &Sealed { key, value })?)
}

fn seal<D: Document>(text: &str, vault: &Vault) -> Result<String, StoreError> {
    let Sealed { key, value } = vault.seal(D::TABLE, text)?;
    Ok(serde_json::json!([key, value]).to_string())
}

impl Document for Definition {
    type Id = ApplicationId;
    const TABLE: &'static str = "apps";

    fn parse(text: &str) -> Result<Self, Invalid> {
        application::parse(text)
    }

    fn text(&self) -> String {
        self.document().to_string()
    }

    fn holds_secrets(&self) -> bool {
        self.environment.values().any(Field::holds_secret)
    }
}

impl Document for CredentialType {
    type Id = CredentialTypeId;
    const TABLE: &'static str = "credential_type";

    fn parse(text: &str) -> Result<Self, Invalid> {
        credential_type::parse(text)
    }

    fn text(&self) -> String {
        self.document().to_string()
    }

    fn holds_secrets(&self) -> bool {
        self.fields.iter().any(|known| known.field.holds_secret())
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
        let (applications, credential_types) = (Documents::new(&vault), Documents::new(&vault));
        Self { applications, credential_types, vault, me }
    }
}

/// Documents that were read, with their revisions.
#[derive(Debug)]
pub(super) struct Documents<D: Document> {
    known: Arc<Mutex<HashMap<D::Id, Revision<D>>>>,
    vault: Vault,
}

/// A definition with its revision.
type Revision<D> = (i64, Arc<D>);

/// Definitions by what names them.
pub(super) type ById<D> = HashMap<<D as Document>::Id, Arc<D>>;

impl<D: Document> Clone for Documents<D> {
    fn clone(&self) -> Self {
        Self { known: Arc::clone(&self.known), vault: self.vault.clone() }
    }
}

impl<D: Document> Documents<D> {
    fn new(vault: &Vault) -> Self {
        Self { known: Arc::default(), vault: vault.clone() }
    }

    fn remembered(&self, id: D::Id, revision: i64) -> Option<Arc<D>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
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
            match self.remembered(*id, *revision) {
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
            let definition = Arc::new(D::stored(&row.try_get::<String, _>(1)?, &self.vault)?);
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(id, (row.try_get(2)?, Arc::clone(&definition)));
            found.insert(id, definition);
        }
        Ok(found)
    }
}

/// Seals the definitions that were stored in the clear before those with secrets in them were
/// sealed. It is done once.
#[derive(Clone, Copy, Debug)]
pub struct SealDefinitions;

impl Change for SealDefinitions {
    /// What is to say so once nothing of them is left in the database's files; none if it was
    /// said.
    type Output = Option<AllSealed>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let sealed = AllSealed { what: SEALED, value: String::new() };
        if sealed.is_said(tx).await? {
            return Ok(None);
        }
        let plain = format!("document NOT LIKE '{SEALED_TEXT}%'");
        rewrite::<Definition>(tx, &plain).await?;
        rewrite::<CredentialType>(tx, &plain).await?;
        adopted::seal_definitions(tx).await?;
        Ok(Some(sealed))
    }
}

/// Seals anew what is sealed with another key than the present one; says how many.
pub(super) async fn reseal(tx: &mut Tx<'_>, current: &str) -> Result<i64, StoreError> {
    // The ids of keys are hexadecimal.
    let other =
        format!("document LIKE '{SEALED_TEXT}%' AND document NOT LIKE '{SEALED_TEXT}{current}%'");
    Ok(rewrite::<Definition>(tx, &other).await? + rewrite::<CredentialType>(tx, &other).await?)
}

/// Stores those that `chosen`, a condition, finds as they would be stored today; how many of
/// them are sealed.
async fn rewrite<D: Document>(tx: &mut Tx<'_>, chosen: &str) -> Result<i64, StoreError> {
    let table = D::TABLE;
    let sql = format!(
        "SELECT id, document FROM {table} WHERE {chosen} ORDER BY id {}",
        tx.dialect.lock_rows()
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *tx.conn).await?;
    let mut sealed = 0;
    for row in &rows {
        let definition = D::stored(&row.try_get::<String, _>(1)?, tx.vault)?;
        if !definition.holds_secrets() {
            continue;
        }
        sealed += 1;
        sqlx::query(AssertSqlSafe(format!("UPDATE {table} SET document = $1 WHERE id = $2")))
            .bind(definition.to_stored(tx.vault)?)
            .bind(row.try_get::<i64, _>(0)?)
            .execute(&mut *tx.conn)
            .await?;
    }
    Ok(sealed)
}
