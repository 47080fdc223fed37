//! Variables that something has: a company, a run template, a job. Secret ones are
//! stored sealed.

use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{StoreError, Tx, dialect::Kind, jobs};
use crate::{
    domain::{
        application::Definition,
        environment::{Given, VariableChange},
    },
    vault::{Sealed, Vault},
};

/// Where the variables of something are.
pub(super) struct VariablesOf {
    pub(super) table: &'static str,
    pub(super) owner: &'static str,
    pub(super) name: &'static str,
}

/// The variables of companies.
pub(super) const COMPANY: VariablesOf =
    VariablesOf { table: "companyenv", owner: "company_id", name: "keyword" };

/// The variables of run templates.
pub(super) const RUN_TEMPLATE: VariablesOf =
    VariablesOf { table: "configuration", owner: "runtemplate_id", name: "name" };

/// The variables of credentials.
pub(super) const CREDENTIAL: VariablesOf =
    VariablesOf { table: "credata", owner: "credential_id", name: "name" };

/// Marks as secret what an application declares so.
pub(super) fn declare(given: &Given, application: &Definition) -> Given {
    let mut given = given.clone();
    let declared = |name: &&String| application.environment.get(*name).is_some_and(|f| f.secret);
    let secret: Vec<String> = given.values.keys().filter(declared).cloned().collect();
    given.secret.extend(secret);
    given
}

/// Sets and removes variables.
pub(super) async fn change(
    tx: &mut Tx<'_>,
    of: &VariablesOf,
    owner: i64,
    change: &VariableChange,
) -> Result<(), StoreError> {
    let VariablesOf { table, owner: id, name } = of;
    let names: Vec<[&String; 1]> =
        change.unset.iter().chain(change.set.keys()).map(|n| [n]).collect();
    if !names.is_empty() {
        let rows = tx.dialect.rows("$2", &[("k_name", Kind::Text)]);
        let sql = format!(
            "DELETE FROM {table} WHERE {id} = $1 AND {name} IN (SELECT r.k_name FROM {rows})"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(owner)
            .bind(json!(names).to_string())
            .execute(&mut *tx.conn)
            .await?;
    }
    if !change.set.is_empty() {
        let columns = [("k_name", Kind::Text), ("k_value", Kind::Text), ("k_key", Kind::Text)];
        let rows = tx.dialect.rows("$2", &columns);
        let sql = format!(
            "INSERT INTO {table} ({id}, {name}, value, key_id) \
             SELECT $1, r.k_name, r.k_value, r.k_key FROM {rows}"
        );
        let mut values = Vec::with_capacity(change.set.len());
        for (name, value) in change.set.iter() {
            values.push(if change.set.secret.contains(name) {
                let sealed = tx.vault.seal(name, value)?;
                json!([name, sealed.value, sealed.key])
            } else {
                json!([name, value, null])
            });
        }
        sqlx::query(AssertSqlSafe(sql))
            .bind(owner)
            .bind(Value::Array(values).to_string())
            .execute(&mut *tx.conn)
            .await?;
    }
    Ok(())
}

/// Reads a variable from the columns `name`, value and key, the name's first.
pub(super) fn read(
    row: &AnyRow,
    name: usize,
    vault: &Vault,
    into: &mut Given,
) -> Result<(), StoreError> {
    let (key, value): (Option<String>, String) = (row.try_get(name + 2)?, row.try_get(name + 1)?);
    let name: String = row.try_get(name)?;
    let value = match key {
        None => value,
        Some(key) => {
            into.secret.insert(name.clone());
            vault.unseal(&name, &Sealed { key, value })?
        }
    };
    into.values.insert(name, value);
    Ok(())
}

/// Variables as a job's row holds them: JSON, where a secret is an object.
pub(super) fn to_json(given: &Given, vault: &Vault) -> Result<String, StoreError> {
    let mut map = Map::new();
    for (name, value) in given.iter() {
        let value = match given.secret.contains(name) {
            false => Value::from(value.clone()),
            true => {
                let sealed = vault.seal(name, value)?;
                json!({ "key": sealed.key, "value": sealed.value })
            }
        };
        map.insert(name.clone(), value);
    }
    Ok(Value::Object(map).to_string())
}

/// Reads what [`to_json`] has written.
pub(super) fn from_json(text: &str, vault: &Vault) -> Result<Given, StoreError> {
    if text == "{}" {
        return Ok(Given::default());
    }
    let map: Map<String, Value> = serde_json::from_str(text).map_err(jobs::decode)?;
    let mut given = Given::default();
    for (name, value) in map {
        let value = match value {
            Value::String(value) => value,
            sealed => {
                given.secret.insert(name.clone());
                let field = |field: &str| sealed[field].as_str().unwrap_or_default().to_owned();
                vault.unseal(&name, &Sealed { key: field("key"), value: field("value") })?
            }
        };
        given.values.insert(name, value);
    }
    Ok(given)
}
