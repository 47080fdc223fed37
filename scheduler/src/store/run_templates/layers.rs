//! Who gives variables to the jobs of run templates: companies, credentials and the run
//! templates themselves, all in one statement.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row as _};

use super::RunTemplateRow;
use crate::{
    domain::{
        environment::Given,
        ids::{CredentialTypeId, RunTemplateId},
        job::Credential,
    },
    store::{
        Dialect, StoreError, connection::Connection, dialect::Kind, documents::Known, variables,
    },
};

/// What a row is: a variable, or a credential whose variables follow.
const COMPANY: i64 = 0;
const CREDENTIAL: i64 = 1;
const OF_CREDENTIAL: i64 = 2;
const RUN_TEMPLATE: i64 = 3;

/// Of several credentials the one that was created last wins: it comes last.
fn select(chosen: &str) -> String {
    format!(
        "\
         SELECT runtemplate_id, name, value, key_id, file_name, {RUN_TEMPLATE}, 0, 0, 0 \
         FROM configuration WHERE runtemplate_id IN (SELECT r.id FROM {chosen}) UNION ALL \
         SELECT t.id, e.keyword, e.value, e.key_id, e.file_name, {COMPANY}, 0, 0, 0 \
         FROM runtemplate t JOIN companyenv e ON e.company_id = t.company_id \
         WHERE t.id IN (SELECT r.id FROM {chosen}) UNION ALL \
         SELECT u.runtemplate_id, k.name, '', CAST(NULL AS TEXT), CAST(NULL AS TEXT), {CREDENTIAL}, \
         k.id, COALESCE(y.id, 0), COALESCE(y.revision, 0) \
         FROM runtplcreds u JOIN credentials k ON k.id = u.credentials_id \
         LEFT JOIN credential_type y ON y.id = k.credential_type_id \
         WHERE u.runtemplate_id IN (SELECT r.id FROM {chosen}) UNION ALL \
         SELECT u.runtemplate_id, d.name, d.value, d.key_id, d.file_name, {OF_CREDENTIAL}, \
         d.credential_id, 0, 0 FROM runtplcreds u JOIN credata d ON d.credential_id = u.credentials_id \
         WHERE u.runtemplate_id IN (SELECT r.id FROM {chosen}) ORDER BY 7, 6"
    )
}

/// Fills in what gives variables to these run templates.
pub(super) async fn read(
    conn: &mut Connection<'_>,
    dialect: Dialect,
    known: &Known,
    templates: &mut HashMap<RunTemplateId, RunTemplateRow>,
) -> Result<(), StoreError> {
    let ids: Vec<[i64; 1]> = templates.keys().map(|id| [id.0]).collect();
    let sql = select(&dialect.rows("$1", &[("id", Kind::Int)]));
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::json!(ids).to_string())
        .fetch_all(&mut *conn)
        .await?;
    let mut revisions = HashMap::new();
    for row in &rows {
        if let id @ 1.. = row.try_get(7)? {
            revisions.insert(CredentialTypeId(id), row.try_get(8)?);
        }
    }
    let types = known.credential_types.of(&mut *conn, dialect, &revisions).await?;
    for row in &rows {
        let Some(owner) = templates.get_mut(&RunTemplateId(row.try_get(0)?)) else { continue };
        let template = &mut owner.template;
        let given = match row.try_get(5)? {
            CREDENTIAL => {
                let kind = types.get(&CredentialTypeId(row.try_get(7)?)).cloned();
                let (name, given) = (row.try_get(1)?, Given::default());
                template.credentials.push(Credential { name, kind, given });
                continue;
            }
            OF_CREDENTIAL => template.credentials.last_mut().map(|last| &mut last.given),
            COMPANY => Some(&mut template.company_environment),
            _ => Some(&mut template.environment),
        };
        if let Some(given) = given {
            variables::read(row, 1, &known.vault, given)?;
        }
    }
    Ok(())
}
