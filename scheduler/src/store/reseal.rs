//! Seals with the present key what is sealed with another, a few rows at a time.

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Change, StoreError, Tx, adopted,
    dialect::Kind,
    documents,
    variables::{self, COMPANY, CREDENTIAL, RUN_TEMPLATE, VariablesOf},
};
use crate::{domain::environment::Given, vault::Sealed};

/// Rows that are sealed anew in one transaction.
pub(super) const AT_ONCE: i64 = 200;

/// Seals anew the secrets of companies, credentials, run templates, actions and definitions,
/// and those of the next jobs after one, and of the next actions of ended jobs after one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reseal {
    /// The job, and the action of a job, after which those begin that are looked at; none if
    /// all were.
    pub after: [Option<i64>; 2],
}

impl Reseal {
    /// From the first on.
    pub fn begin() -> Self {
        Self { after: [Some(0); 2] }
    }
}

/// What a [`Reseal`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Secrets that were sealed anew.
    pub secrets: i64,
    /// The last job, and the last action of a job, that was looked at; none if there are no
    /// more.
    pub last: [Option<i64>; 2],
}

/// Rows that each hold variables in one column.
pub(super) struct Holders {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
}

/// The jobs.
pub(super) const JOBS: Holders = Holders { table: "job", column: "env" };

/// The actions of run templates and companies.
pub(super) const ACTIONS: Holders = Holders { table: "actionconfig", column: "configuration" };

/// The actions of ended jobs.
pub(super) const PERFORMED: Holders = Holders { table: "action", column: "configuration" };

impl Change for Reseal {
    type Output = Resealed;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Resealed, StoreError> {
        let Some(current) = tx.vault.current() else { return Ok(Resealed::default()) };
        let mut done = Resealed::default();
        for of in [&COMPANY, &CREDENTIAL, &RUN_TEMPLATE] {
            done.secrets += reseal_table(tx, of, &current).await?;
        }
        done.secrets += adopted::reseal(tx, &current).await?;
        done.secrets += documents::reseal(tx, &current).await?;
        // What is sealed among them is an object.
        let sealed = |of: &Holders| format!("{} LIKE '%\"key\"%'", of.column);
        let secrets = |given: &mut Given| given.secret.len();
        // Those come first that are copied when a job ends. The ids of keys are hexadecimal.
        let with_another =
            format!("{} AND {} NOT LIKE '%{current}%'", sealed(&ACTIONS), ACTIONS.column);
        let mut next = Some(0);
        while let Some(after) = next {
            let actions = walk(tx, &ACTIONS, (&with_another, after), secrets).await?;
            done.secrets += actions.0;
            next = actions.1;
        }
        for (index, of) in [JOBS, PERFORMED].iter().enumerate() {
            let Some(after) = self.after[index] else { continue };
            let walked = walk(tx, of, (&sealed(of), after), secrets).await?;
            done.secrets += walked.0;
            done.last[index] = walked.1;
        }
        Ok(done)
    }
}

/// Seals the variables of the next of those rows after one that `chosen`, a condition,
/// finds; how many there were, and the last row if there may be more. `mark` may mark more of
/// them as secret, and says how many are to be sealed: a row with none stays as it is.
pub(super) async fn walk(
    tx: &mut Tx<'_>,
    Holders { table, column }: &Holders,
    (chosen, after): (&str, i64),
    mark: impl Fn(&mut Given) -> usize + Send,
) -> Result<(i64, Option<i64>), StoreError> {
    let sql = format!(
        "SELECT id, {column} FROM {table} WHERE id > $1 AND {chosen} ORDER BY id LIMIT $2 {}",
        tx.dialect.lock_rows()
    );
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(after).bind(AT_ONCE).fetch_all(&mut *tx.conn).await?;
    let last = rows.last().map(|row| row.try_get(0)).transpose()?;
    let mut sealed = 0;
    for row in &rows {
        let mut given = variables::from_json(&row.try_get::<String, _>(1)?, tx.vault)?;
        let secrets = mark(&mut given);
        if secrets == 0 {
            continue;
        }
        sealed += secrets as i64;
        let sql = format!("UPDATE {table} SET {column} = $1 WHERE id = $2");
        sqlx::query(AssertSqlSafe(sql))
            .bind(variables::to_json(&given, tx.vault)?)
            .bind(row.try_get::<i64, _>(0)?)
            .execute(&mut *tx.conn)
            .await?;
    }
    Ok((sealed, last))
}

async fn reseal_table(tx: &mut Tx<'_>, of: &VariablesOf, current: &str) -> Result<i64, StoreError> {
    let VariablesOf { table, owner, name, .. } = of;
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

/// All that was stored in the clear before it was to be sealed is sealed: a row in `setting`
/// says so.
#[derive(Clone, Debug)]
pub struct AllSealed {
    /// What was sealed: the name of the setting.
    pub(super) what: &'static str,
    /// As of what: another value is not said yet.
    pub(super) value: String,
}

impl AllSealed {
    pub(super) async fn is_said(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let known = sqlx::query_scalar("SELECT value FROM setting WHERE name = $1");
        let known: Option<String> = known.bind(self.what).fetch_optional(&mut *tx.conn).await?;
        Ok(known.is_some_and(|known| known == self.value))
    }
}

impl Change for AllSealed {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM setting WHERE name = $1")
            .bind(self.what)
            .execute(&mut *tx.conn)
            .await?;
        sqlx::query("INSERT INTO setting (name, value, changed) VALUES ($1, $2, $3)")
            .bind(self.what)
            .bind(self.value.clone())
            .bind(tx.now)
            .execute(&mut *tx.conn)
            .await?;
        Ok(())
    }
}
