//! What was imported from another system: table `adopted` maps ids there to ids here. Each
//! row is written in the transaction that makes or changes what it speaks of.

use std::collections::BTreeMap;

use sqlx::{Row as _, any::AnyRow};

use super::{Change, Store, StoreError, Tx, dialect};
use crate::{
    domain::environment::Given,
    vault::{Sealed, Vault},
};

/// What `brought` is sealed under.
const NAME: &str = "brought";

/// Where something comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The database.
    pub source: String,
    /// What it is: `company`.
    pub kind: &'static str,
    /// Its id there.
    pub id: i64,
}

/// What something said where it comes from, by the names of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// The fields.
    pub fields: BTreeMap<String, String>,
    /// Whether there are secrets among them.
    pub secret: bool,
}

/// Something that was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptedRow {
    /// Its id here.
    pub own: i64,
    /// What it said when it was last taken over.
    pub brought: Brought,
}

/// Creates something that comes from elsewhere, under the id that it has there if that was
/// never given out here.
#[derive(Clone, Debug)]
pub struct Adopt<C: Change> {
    /// What creates it.
    pub what: C,
    /// Its table; none if the id is not to be chosen.
    pub table: Option<&'static str>,
    /// The id of what was created.
    pub id: fn(&C::Output) -> i64,
    /// Where it comes from.
    pub origin: Origin,
    /// What it says there.
    pub brought: Brought,
}

impl<C: Change> Change for Adopt<C> {
    type Output = i64;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        if let Some(table) = self.table {
            // If the rest is refused, a number was passed over: that is all.
            dialect::prefer_id(&mut *tx.conn, tx.dialect, table, self.origin.id).await?;
        }
        let id = (self.id)(&self.what.apply(tx).await?);
        record(tx, &self.origin, id, &self.brought).await?;
        Ok(id)
    }
}

/// Changes something that was imported, as it has changed where it comes from.
#[derive(Clone, Debug)]
pub struct Readopt<C: Change> {
    /// What changes it.
    pub what: C,
    /// Its id here.
    pub own: i64,
    /// Where it comes from.
    pub origin: Origin,
    /// What it says there now.
    pub brought: Brought,
}

impl<C: Change> Change for Readopt<C> {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.what.apply(tx).await?;
        record(tx, &self.origin, self.own, &self.brought).await
    }
}

/// Records that something here is what comes from there; nothing else changes.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its id here.
    pub own: i64,
    /// Where it comes from.
    pub origin: Origin,
    /// What it says there.
    pub brought: Brought,
}

impl Change for Link {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        record(tx, &self.origin, self.own, &self.brought).await
    }
}

/// Records where something comes from, and what it says there.
pub(super) async fn record(
    tx: &mut Tx<'_>,
    origin: &Origin,
    own: i64,
    brought: &Brought,
) -> Result<(), StoreError> {
    let text = match brought.fields.is_empty() {
        true => String::new(),
        false => serde_json::json!(brought.fields).to_string(),
    };
    let (text, key) = if brought.secret {
        let Sealed { key, value } = tx.vault.seal(NAME, &text)?;
        (value, Some(key))
    } else {
        (text, None)
    };
    sqlx::query(
        "INSERT INTO adopted (source, kind, source_id, own_id, brought, key_id, imported) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (source, kind, source_id) DO UPDATE SET \
         own_id = excluded.own_id, brought = excluded.brought, key_id = excluded.key_id, \
         imported = excluded.imported",
    )
    .bind(origin.source.clone())
    .bind(origin.kind)
    .bind(origin.id)
    .bind(own)
    .bind(text)
    .bind(key)
    .bind(tx.now)
    .execute(&mut *tx.conn)
    .await?;
    Ok(())
}

fn row(row: &AnyRow, vault: &Vault) -> Result<(i64, AdoptedRow), StoreError> {
    let (text, key): (String, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
    let secret = key.is_some();
    let text = match key {
        Some(key) => vault.unseal(NAME, &Sealed { key, value: text })?,
        None => text,
    };
    let fields = match text.as_str() {
        "" => BTreeMap::new(),
        text => serde_json::from_str(text).map_err(super::jobs::decode)?,
    };
    Ok((row.try_get(0)?, AdoptedRow { own: row.try_get(1)?, brought: Brought { fields, secret } }))
}

/// Seals anew what is sealed with another key than the present one; says how many rows.
pub(super) async fn reseal(tx: &mut Tx<'_>, current: &str) -> Result<i64, StoreError> {
    let rows = sqlx::query(
        "SELECT source, kind, source_id, brought, key_id FROM adopted \
         WHERE key_id IS NOT NULL AND key_id <> $1",
    )
    .bind(current.to_owned())
    .fetch_all(&mut *tx.conn)
    .await?;
    for row in &rows {
        let old = Sealed { key: row.try_get(4)?, value: row.try_get(3)? };
        seal(tx, row, &tx.vault.unseal(NAME, &old)?).await?;
    }
    Ok(rows.len() as i64)
}

/// Seals the definitions that were brought before they were sealed.
pub(super) async fn seal_definitions(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let rows = sqlx::query(
        "SELECT source, kind, source_id, brought FROM adopted \
         WHERE key_id IS NULL AND brought LIKE '{\"definition\":%'",
    )
    .fetch_all(&mut *tx.conn)
    .await?;
    for row in &rows {
        seal(tx, row, &row.try_get::<String, _>(3)?).await?;
    }
    Ok(())
}

/// Seals what was brought of a row that begins with its source, kind and id there.
async fn seal(tx: &mut Tx<'_>, row: &AnyRow, brought: &str) -> Result<(), StoreError> {
    let sealed = tx.vault.seal(NAME, brought)?;
    sqlx::query(
        "UPDATE adopted SET brought = $1, key_id = $2 \
         WHERE source = $3 AND kind = $4 AND source_id = $5",
    )
    .bind(sealed.value)
    .bind(sealed.key)
    .bind(row.try_get::<String, _>(0)?)
    .bind(row.try_get::<String, _>(1)?)
    .bind(row.try_get::<i64, _>(2)?)
    .execute(&mut *tx.conn)
    .await?;
    Ok(())
}

impl Store {
    /// What was imported of a kind, by the ids there, of these ids.
    pub async fn adopted(
        &self,
        source: &str,
        kind: &str,
        ids: std::ops::RangeInclusive<i64>,
    ) -> Result<BTreeMap<i64, AdoptedRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT source_id, own_id, brought, key_id FROM adopted \
             WHERE source = $1 AND kind = $2 AND source_id >= $3 AND source_id <= $4",
        )
        .bind(source.to_owned())
        .bind(kind.to_owned())
        .bind(*ids.start())
        .bind(*ids.end())
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|found| row(found, &self.known.vault)).collect()
    }

    /// The highest id that was ever given out in a table.
    pub async fn last_id(&self, table: &'static str) -> Result<i64, StoreError> {
        let mut conn = self.readers.acquire().await?;
        Ok(dialect::last_id(&mut conn, self.dialect, table).await?)
    }

    /// The variables of a credential, with their values.
    pub async fn credential_variables(&self, id: i64) -> Result<Given, StoreError> {
        let mut conn = self.readers.acquire().await?;
        super::credentials::variables_of(&mut conn, &self.known.vault, id).await
    }
}
