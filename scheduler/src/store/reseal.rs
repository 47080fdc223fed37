//! Seals with the present key what is sealed with another, a few rows at a time.

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Change, StoreError, Tx, adopted,
    dialect::Kind,
    variables::{self, COMPANY, CREDENTIAL, RUN_TEMPLATE, VariablesOf},
};
use crate::{domain::environment::Given, vault::Sealed};

/// Rows that are sealed anew in one transaction.
pub(super) const AT_ONCE: i64 = 200;

/// Seals anew the secrets of companies, credentials and run templates, and those of the next
/// jobs after one.
#[derive(Clone, Copy, Debug)]
pub struct Reseal {
    /// The job after which those begin that are looked at.
    pub after: i64,
}

/// What a [`Reseal`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Secrets that were sealed anew.
    pub secrets: i64,
    /// The last job that was looked at; none if there are no more.
    pub last: Option<i64>,
}

impl Change for Reseal {
    type Output = Resealed;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Resealed, StoreError> {
        let Some(current) = tx.vault.current() else { return Ok(Resealed::default()) };
        let mut done = Resealed::default();
        for of in [&COMPANY, &CREDENTIAL, &RUN_TEMPLATE] {
            done.secrets += reseal_table(tx, of, &current).await?;
        }
        done.secrets += adopted::reseal(tx, &current).await?;
        // What is sealed in a job's variables is an object.
        let chosen = "env LIKE '%\"key\"%'";
        let of_jobs = jobs(tx, chosen, self.after, |given| given.secret.len()).await?;
        Ok(Resealed { secrets: done.secrets + of_jobs.secrets, last: of_jobs.last })
    }
}

/// Seals the variables of the next of those jobs after one that `chosen`, a condition,
/// finds. `mark` may mark more of them as secret, and says how many are to be sealed: a job
/// with none stays as it is.
pub(super) async fn jobs(
    tx: &mut Tx<'_>,
    chosen: &str,
    after: i64,
    mark: impl Fn(&mut Given) -> usize + Send,
) -> Result<Resealed, StoreError> {
    let sql = format!(
        "SELECT id, env FROM job WHERE id > $1 AND {chosen} ORDER BY id LIMIT $2 {}",
        tx.dialect.lock_rows()
    );
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(after).bind(AT_ONCE).fetch_all(&mut *tx.conn).await?;
    let last = rows.last().map(|row| row.try_get(0)).transpose()?;
    let mut done = Resealed { secrets: 0, last };
    for row in &rows {
        let mut given = variables::from_json(&row.try_get::<String, _>(1)?, tx.vault)?;
        let secrets = mark(&mut given);
        if secrets == 0 {
            continue;
        }
        done.secrets += secrets as i64;
        sqlx::query("UPDATE job SET env = $1 WHERE id = $2")
            .bind(variables::to_json(&given, tx.vault)?)
            .bind(row.try_get::<i64, _>(0)?)
            .execute(&mut *tx.conn)
            .await?;
    }
    Ok(done)
}

async fn reseal_table(tx: &mut Tx<'_>, of: &VariablesOf, current: &str) -> Result<i64, StoreError> {
    let VariablesOf { table, owner, name } = of;
    let sql = format!(
        "SELECT {owner}, {name}, value, key_id FROM {table} \
         WHERE key_id IS NOT NULL AND key_id <> $1"
    );
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(current.to_owned()).fetch_all(&mut *tx.conn).await?;
    let mut sealed = Vec::with_capacity(rows.len());
    for row in &rows {
        let (id, name): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        let old = Sealed { key: row.try_get(3)?, value: row.try_get(2)? };
        let new = tx.vault.seal(&name, &tx.vault.unseal(&name, &old)?)?;
        sealed.push((id, name, new.value, new.key));
    }
    let columns = [
        ("k_owner", Kind::Int),
        ("k_name", Kind::Text),
        ("k_value", Kind::Text),
        ("k_key", Kind::Text),
    ];
    let sql = format!(
        "UPDATE {table} SET value = r.k_value, key_id = r.k_key FROM {} \
         WHERE {table}.{owner} = r.k_owner AND {table}.{name} = r.k_name",
        tx.dialect.rows("$1", &columns)
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::json!(sealed).to_string())
        .execute(&mut *tx.conn)
        .await?;
    Ok(sealed.len() as i64)
}
