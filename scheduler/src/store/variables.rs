//! Variables that something has: a company, a run template.

use sqlx::AssertSqlSafe;

use super::{StoreError, Tx, dialect::Kind};
use crate::domain::environment::VariableChange;

/// Where the variables of something are.
pub(super) struct VariablesOf {
    table: &'static str,
    owner: &'static str,
    name: &'static str,
}

/// The variables of companies.
pub(super) const COMPANY: VariablesOf =
    VariablesOf { table: "companyenv", owner: "company_id", name: "keyword" };

/// The variables of run templates.
pub(super) const RUN_TEMPLATE: VariablesOf =
    VariablesOf { table: "configuration", owner: "runtemplate_id", name: "name" };

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
            .bind(serde_json::json!(names).to_string())
            .execute(&mut *tx.conn)
            .await?;
    }
    if !change.set.is_empty() {
        let rows = tx.dialect.rows("$2", &[("k_name", Kind::Text), ("k_value", Kind::Text)]);
        let sql = format!(
            "INSERT INTO {table} ({id}, {name}, value) SELECT $1, r.k_name, r.k_value FROM {rows}"
        );
        let values: Vec<(&String, &String)> = change.set.iter().collect();
        sqlx::query(AssertSqlSafe(sql))
            .bind(owner)
            .bind(serde_json::json!(values).to_string())
            .execute(&mut *tx.conn)
            .await?;
    }
    Ok(())
}
