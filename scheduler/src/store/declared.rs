//! Seals what an application's new definition declares secret and what was stored before
//! that: with the definition the values of its run templates; then, a few rows at a time,
//! those of their companies and of its jobs. A company may also come to such an application,
//! or get such a value, later. A row in `setting` says how far that is, so
//! that whoever is stopped or killed goes on where it was.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Change, StoreError, Tx,
    dialect::Kind,
    reseal::{self, AT_ONCE, JOBS},
    variables::{self, COMPANY, RUN_TEMPLATE, VariablesOf},
};
use crate::domain::{
    application::Definition,
    environment::{Given, VariableChange},
    ids::{ApplicationId, CompanyId},
};

/// The setting whose value is the last job of an application that was looked at; the
/// application's id follows.
const SEALING: &str = "sealing ";

/// What a definition declares secret.
fn secret(definition: &Definition) -> BTreeSet<&String> {
    let fields = definition.environment.iter();
    fields.filter(|(_, field)| field.secret).map(|(name, _)| name).collect()
}

/// Seals the values of run templates, and has the rest sealed, if the definition that an
/// application has now declares more secret than the one that it had `before`.
pub(super) async fn begin(
    tx: &mut Tx<'_>,
    id: ApplicationId,
    before: &Definition,
    now: &Definition,
) -> Result<(), StoreError> {
    if secret(now).is_subset(&secret(before)) {
        return Ok(());
    }
    seal_plain(tx, &RUN_TEMPLATE, "id", (id, now), i64::MAX).await?;
    have_rest_sealed(tx, id).await
}

/// Seals what the company of a new run template has stored and `definition`, that of the run
/// template's application, declares secret; has its traces erased.
pub(super) async fn begin_for_company(
    tx: &mut Tx<'_>,
    id: ApplicationId,
    definition: &Definition,
) -> Result<(), StoreError> {
    match seal_plain(tx, &COMPANY, "company_id", (id, definition), i64::MAX).await? {
        0 => Ok(()),
        _ => have_rest_sealed(tx, id).await,
    }
}

/// Variables of a company, of which those are secret that an application of its run
/// templates declares so.
pub(super) async fn of_company(
    tx: &mut Tx<'_>,
    company: CompanyId,
    given: &Given,
) -> Result<Given, StoreError> {
    let sql = "SELECT DISTINCT app_id FROM runtemplate WHERE company_id = $1";
    let applications: Vec<i64> =
        sqlx::query_scalar(sql).bind(company.0).fetch_all(&mut *tx.conn).await?;
    let revisions = applications.into_iter().map(|id| (ApplicationId(id), 0)).collect();
    let definitions = tx.known.applications.of(&mut *tx.conn, tx.dialect, &revisions).await?;
    let declare = |given, definition: &Arc<Definition>| variables::declare(&given, definition);
    Ok(definitions.values().fold(given.clone(), declare))
}

/// Begins, or begins anew, to seal all else of an application.
async fn have_rest_sealed(tx: &mut Tx<'_>, id: ApplicationId) -> Result<(), StoreError> {
    end(tx, id).await?;
    sqlx::query("INSERT INTO setting (name, value, changed) VALUES ($1, '0', $2)")
        .bind(format!("{SEALING}{id}"))
        .bind(tx.now)
        .execute(&mut *tx.conn)
        .await?;
    Ok(())
}

/// Nothing of an application is left to be sealed.
async fn end(tx: &mut Tx<'_>, id: ApplicationId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM setting WHERE name = $1")
        .bind(format!("{SEALING}{id}"))
        .execute(&mut *tx.conn)
        .await?;
    Ok(())
}

/// Seals values of an application's run templates or of their companies that are not sealed
/// and that it declares secret, `limit` at most; how many. `owner` is the column of a run
/// template that says whose they are.
async fn seal_plain(
    tx: &mut Tx<'_>,
    of: &VariablesOf,
    owner: &str,
    (id, definition): (ApplicationId, &Definition),
    limit: i64,
) -> Result<i64, StoreError> {
    let VariablesOf { table, owner: whose, name, .. } = of;
    let names: Vec<[&String; 1]> = secret(definition).into_iter().map(|name| [name]).collect();
    let sql = format!(
        "SELECT {whose}, {name}, value, key_id, file_name FROM {table} WHERE key_id IS NULL \
         AND {whose} IN (SELECT {owner} FROM runtemplate WHERE app_id = $2) \
         AND {name} IN (SELECT r.k_name FROM {}) ORDER BY {whose}, {name} LIMIT $3",
        tx.dialect.rows("$1", &[("k_name", Kind::Text)])
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::json!(names).to_string())
        .bind(id.0)
        .bind(limit)
        .fetch_all(&mut *tx.conn)
        .await?;
    let mut plain = HashMap::<i64, Given>::new();
    for row in &rows {
        variables::read(row, 1, tx.vault, plain.entry(row.try_get(0)?).or_default())?;
    }
    for (owner, given) in plain {
        let set = variables::declare(&given, definition);
        let change = VariableChange { set, unset: Vec::new() };
        variables::change(tx, of, owner, &change).await?;
    }
    Ok(rows.len() as i64)
}

/// Seals the next few values that have become secret.
#[derive(Clone, Copy, Debug)]
pub struct SealDeclared;

/// What a [`SealDeclared`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// Nothing is to be sealed.
    Nothing,
    /// There is more.
    More,
    /// All of an application is sealed, and [`Sealed`] is to say so once nothing of the
    /// values is left in the database's files.
    Whole(Sealed),
}

impl Change for SealDeclared {
    type Output = Sealing;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Sealing, StoreError> {
        let sql = format!(
            "SELECT name, value, changed FROM setting WHERE name LIKE '{SEALING}%' \
             ORDER BY name LIMIT 1 {}",
            tx.dialect.lock_rows()
        );
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_optional(&mut *tx.conn).await?;
        let Some(row) = row else { return Ok(Sealing::Nothing) };
        let name: String = row.try_get(0)?;
        let id = ApplicationId(number(name.trim_start_matches(SEALING))?);
        let definitions =
            tx.known.applications.of(&mut *tx.conn, tx.dialect, &[(id, 0)].into()).await?;
        let Some(definition) = definitions.get(&id) else {
            end(tx, id).await?;
            return Ok(Sealing::More);
        };
        if seal_plain(tx, &COMPANY, "company_id", (id, definition), AT_ONCE).await? > 0 {
            return Ok(Sealing::More);
        }
        let after = number(&row.try_get::<String, _>(1)?)?;
        let declare = |given: &mut Given| {
            let before = given.secret.len();
            *given = variables::declare(given, definition);
            given.secret.len() - before
        };
        let of_application = format!("app_id = {id}");
        let (_, last) = reseal::walk(tx, &JOBS, (&of_application, after), declare).await?;
        let Some(last) = last else {
            return Ok(Sealing::Whole(Sealed { application: id, since: row.try_get(2)? }));
        };
        sqlx::query("UPDATE setting SET value = $1 WHERE name = $2")
            .bind(last.to_string())
            .bind(name)
            .execute(&mut *tx.conn)
            .await?;
        Ok(Sealing::More)
    }
}

/// A number that we have written.
fn number(text: &str) -> Result<i64, sqlx::Error> {
    text.parse().map_err(super::jobs::decode)
}

/// Nothing of an application is left to be sealed, unless it has declared more since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The application.
    application: ApplicationId,
    /// When it had declared what is sealed.
    since: i64,
}

impl Change for Sealed {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM setting WHERE name = $1 AND changed = $2")
            .bind(format!("{SEALING}{}", self.application))
            .bind(self.since)
            .execute(&mut *tx.conn)
            .await?;
        Ok(())
    }
}
