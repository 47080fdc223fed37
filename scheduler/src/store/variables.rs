//! Variables that something has: a company, a run template, a job. Secret ones are
//! stored sealed; a file is stored as its name and its content in base64.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, json};
use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{StoreError, Tx, dialect::Kind, jobs};
use crate::{
    domain::{
        application::Definition,
        environment::{File, Given, Value, VariableChange},
    },
    vault::{Sealed, Vault},
};

/// Where the variables of something are.
pub(super) struct VariablesOf {
    pub(super) what: &'static str,
    pub(super) table: &'static str,
    pub(super) owner: &'static str,
    pub(super) name: &'static str,
}

/// The variables of companies.
pub(super) const COMPANY: VariablesOf =
    VariablesOf { what: "company", table: "companyenv", owner: "company_id", name: "keyword" };

/// The variables of run templates.
pub(super) const RUN_TEMPLATE: VariablesOf = VariablesOf {
    what: "run template",
    table: "configuration",
    owner: "runtemplate_id",
    name: "name",
};

/// The variables of credentials.
pub(super) const CREDENTIAL: VariablesOf =
    VariablesOf { what: "credential", table: "credata", owner: "credential_id", name: "name" };

/// Marks as secret what an application declares so.
pub(super) fn declare(given: &Given, application: &Definition) -> Given {
    let mut given = given.clone();
    let declared = |name: &&String| application.environment.get(*name).is_some_and(|f| f.secret);
    let secret: Vec<String> = given.names().filter(declared).cloned().collect();
    given.secret.extend(secret);
    given
}

/// A variable as it is stored, before it is sealed.
struct Stored<'g> {
    name: &'g str,
    value: Cow<'g, str>,
    /// The name of the file, if it is one.
    file: Option<&'g str>,
    secret: bool,
}

fn stored(given: &Given) -> impl Iterator<Item = Stored<'_>> {
    let secret = |name: &String| given.secret.contains(name);
    let texts = given.values.iter().map(move |(name, text)| {
        let value = Cow::Borrowed(text.as_str());
        Stored { name, value, file: None, secret: secret(name) }
    });
    let files = given.files.iter().map(move |(name, file)| {
        let value = Cow::Owned(STANDARD.encode(&file.content));
        Stored { name, value, file: Some(&file.name), secret: secret(name) }
    });
    texts.chain(files)
}

/// What was [`stored`].
fn taken(value: String, file: Option<String>) -> Result<Value, StoreError> {
    Ok(match file {
        None => Value::Text(value),
        Some(name) => {
            let content = STANDARD.decode(value).map_err(jobs::decode)?;
            Value::File(File { name, content })
        }
    })
}

/// Refuses to remove a variable that is not there: most likely another is meant.
pub(super) async fn refuse_unknown(
    tx: &mut Tx<'_>,
    of: &VariablesOf,
    owner: i64,
    unset: &[String],
) -> Result<(), StoreError> {
    if unset.is_empty() {
        return Ok(());
    }
    let VariablesOf { what, table, owner: id, name } = of;
    let sql = format!("SELECT {name} FROM {table} WHERE {id} = $1");
    let known: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(owner).fetch_all(&mut *tx.conn).await?;
    match unset.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let name: String = name.chars().take(80).collect();
            let reason = format!("{what} {owner} has no variable {name:?}, which is to be removed");
            Err(StoreError::Invalid(reason))
        }
    }
}

/// Sets and removes variables.
pub(super) async fn change(
    tx: &mut Tx<'_>,
    of: &VariablesOf,
    owner: i64,
    change: &VariableChange,
) -> Result<(), StoreError> {
    let VariablesOf { table, owner: id, name, .. } = of;
    let names: Vec<[&String; 1]> =
        change.unset.iter().chain(change.set.names()).map(|n| [n]).collect();
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
        let columns = [
            ("k_name", Kind::Text),
            ("k_value", Kind::Text),
            ("k_key", Kind::Text),
            ("k_file", Kind::Text),
        ];
        let rows = tx.dialect.rows("$2", &columns);
        let sql = format!(
            "INSERT INTO {table} ({id}, {name}, value, key_id, file_name) \
             SELECT $1, r.k_name, r.k_value, r.k_key, r.k_file FROM {rows}"
        );
        let mut values = Vec::new();
        for Stored { name, value, file, secret } in stored(&change.set) {
            values.push(if secret {
                let sealed = tx.vault.seal(name, &value)?;
                json!([name, sealed.value, sealed.key, file])
            } else {
                json!([name, value, null, file])
            });
        }
        sqlx::query(AssertSqlSafe(sql))
            .bind(owner)
            .bind(json!(values).to_string())
            .execute(&mut *tx.conn)
            .await?;
    }
    Ok(())
}

/// Reads a variable from the columns `name`, value, key and file, the name's first.
pub(super) fn read(
    row: &AnyRow,
    name: usize,
    vault: &Vault,
    into: &mut Given,
) -> Result<(), StoreError> {
    let (key, value): (Option<String>, String) = (row.try_get(name + 2)?, row.try_get(name + 1)?);
    let file: Option<String> = row.try_get(name + 3)?;
    let name: String = row.try_get(name)?;
    let secret = key.is_some();
    let value = match key {
        None => value,
        Some(key) => vault.unseal(&name, &Sealed { key, value })?,
    };
    into.set(name, taken(value, file)?, secret);
    Ok(())
}

/// Variables as a job's row holds them: JSON, where a secret or a file is an object.
pub(super) fn to_json(given: &Given, vault: &Vault) -> Result<String, StoreError> {
    let mut map = Map::new();
    for Stored { name, value, file, secret } in stored(given) {
        let value = match (secret, file) {
            (false, None) => json!(value),
            (false, file) => json!({ "value": value, "file": file }),
            (true, file) => {
                let sealed = vault.seal(name, &value)?;
                json!({ "key": sealed.key, "value": sealed.value, "file": file })
            }
        };
        map.insert(name.to_owned(), value);
    }
    Ok(json!(map).to_string())
}

/// Reads what [`to_json`] has written.
pub(super) fn from_json(text: &str, vault: &Vault) -> Result<Given, StoreError> {
    if text == "{}" {
        return Ok(Given::default());
    }
    let map: Map<String, serde_json::Value> = serde_json::from_str(text).map_err(jobs::decode)?;
    let mut given = Given::default();
    for (name, value) in map {
        let field = |field: &str| value[field].as_str().map(str::to_owned);
        let (key, file) = (field("key"), field("file"));
        let text = value.as_str().map(str::to_owned).or_else(|| field("value"));
        let text = text.unwrap_or_default();
        let secret = key.is_some();
        let text = match key {
            None => text,
            Some(key) => vault.unseal(&name, &Sealed { key, value: text })?,
        };
        given.set(name, taken(text, file)?, secret);
    }
    Ok(given)
}
