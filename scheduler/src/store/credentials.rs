//! Credentials, with their variables in table `credata` and their use in `runtplcreds`.
//! All their values are stored sealed; their type, if they have one, says what jobs need
//! not hide.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Change, Store, StoreError, Tx,
    connection::Connection,
    credential_types,
    dialect::Kind,
    list::{self, Columns, Filter, ListPage, Listed, Sort},
    rows,
    variables::{self, CREDENTIAL},
};
use crate::{
    domain::{
        environment::{Given, VariableChange},
        ids::{CompanyId, CredentialId, CredentialTypeId, RunTemplateId},
    },
    vault::Vault,
};

/// A credential, without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRow {
    /// Its id.
    pub id: CredentialId,
    /// Its company and that one's name.
    pub company: (CompanyId, String),
    /// Its name.
    pub name: String,
    /// The code of its type, if it has one.
    pub kind: Option<String>,
    /// The names of its variables.
    pub variables: Vec<String>,
    /// The run templates that use it.
    pub run_templates: Vec<RunTemplateId>,
    /// When it was created.
    pub created: i64,
}

/// Creates a credential.
#[derive(Clone, Debug)]
pub struct CreateCredential {
    /// Its company.
    pub company: CompanyId,
    /// Its name.
    pub name: String,
    /// The code of its type, if it has one.
    pub kind: Option<String>,
    /// Its variables.
    pub variables: Given,
}

/// All of these are sealed.
fn sealed(given: &Given) -> Given {
    let secret = given.names().cloned().collect();
    Given { secret, ..given.clone() }
}

/// The id of the type of this code, if one is given; 0 for none. Refuses variables that are
/// not what the type says.
async fn checked_type(
    tx: &mut Tx<'_>,
    kind: Option<(CredentialTypeId, i64)>,
    variables: &Given,
) -> Result<i64, StoreError> {
    let Some((id, revision)) = kind else { return Ok(0) };
    let wanted = [(id, revision)].into();
    let types = tx.known.credential_types.of(&mut *tx.conn, tx.dialect, &wanted).await?;
    for kind in types.values() {
        let faults = kind.faults(variables);
        if !faults.is_empty() {
            let (code, faults) = (&kind.code, faults.join("; "));
            let refusal = format!("this is no credential of type {code}: {faults}");
            return Err(StoreError::Invalid(refusal));
        }
    }
    Ok(id.0)
}

/// What a credential has.
pub(super) async fn variables_of(
    conn: &mut Connection<'_>,
    vault: &Vault,
    id: i64,
) -> Result<Given, StoreError> {
    let rows =
        sqlx::query("SELECT name, value, key_id, file_name FROM credata WHERE credential_id = $1")
            .bind(id)
            .fetch_all(conn)
            .await?;
    let mut given = Given::default();
    for row in &rows {
        variables::read(row, 0, vault, &mut given)?;
    }
    Ok(given)
}

/// What a credential has now, with a change.
async fn changed(tx: &mut Tx<'_>, id: i64, change: &VariableChange) -> Result<Given, StoreError> {
    let mut given = variables_of(&mut *tx.conn, tx.vault, id).await?;
    given.change(change);
    Ok(given)
}

impl Change for CreateCredential {
    type Output = CredentialId;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<CredentialId, StoreError> {
        let company = self.company.0;
        rows::found(tx, "SELECT id FROM company WHERE id = $1", "company", company).await?;
        let kind = match &self.kind {
            Some(code) => Some(credential_types::of_code(tx, code).await?),
            None => None,
        };
        let kind = checked_type(tx, kind, &self.variables).await?;
        let id: Option<i64> = sqlx::query_scalar(
            "INSERT INTO credentials (company_id, name, credential_type_id, created) \
             VALUES ($1, $2, NULLIF($3, 0), $4) ON CONFLICT (company_id, name) DO NOTHING RETURNING id",
        )
        .bind(company)
        .bind(self.name.clone())
        .bind(kind)
        .bind(tx.now)
        .fetch_optional(&mut *tx.conn)
        .await?;
        let taken = || StoreError::AlreadyExists { what: "credential", name: self.name.clone() };
        let id = id.ok_or_else(taken)?;
        let change = VariableChange { set: sealed(&self.variables), unset: Vec::new() };
        variables::change(tx, &CREDENTIAL, id, &change).await?;
        Ok(CredentialId(id))
    }
}

/// Changes a credential; what is absent stays as it is.
#[derive(Clone, Debug)]
pub struct UpdateCredential {
    /// The credential.
    pub id: CredentialId,
    /// Its name.
    pub name: Option<String>,
    /// The code of its type; `Some(None)` for none.
    pub kind: Option<Option<String>>,
    /// Its variables.
    pub variables: VariableChange,
}

impl Change for UpdateCredential {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.id.0;
        if let Some(name) = &self.name {
            let taken = "SELECT 1 FROM credentials c JOIN credentials o \
                 ON o.company_id = c.company_id WHERE c.id = $1 AND o.id <> $1 AND o.name = $2";
            if rows::is_taken(tx, taken, id, name).await? {
                return Err(StoreError::AlreadyExists { what: "credential", name: name.clone() });
            }
        }
        let before = sqlx::query(
            "SELECT y.id, y.revision FROM credentials k \
             LEFT JOIN credential_type y ON y.id = k.credential_type_id WHERE k.id = $1",
        )
        .bind(id)
        .fetch_optional(&mut *tx.conn)
        .await?
        .ok_or(StoreError::NotFound { what: "credential", id })?;
        let kind = match &self.kind {
            Some(Some(code)) => Some(credential_types::of_code(tx, code).await?),
            Some(None) => None,
            None => match before.try_get::<Option<i64>, _>(0)? {
                Some(kind) => Some((CredentialTypeId(kind), before.try_get(1)?)),
                None => None,
            },
        };
        variables::refuse_unknown(tx, &CREDENTIAL, id, &self.variables.unset).await?;
        let variables = changed(tx, id, &self.variables).await?;
        let kind = checked_type(tx, kind, &variables).await?;
        sqlx::query(
            "UPDATE credentials SET name = COALESCE($2, name), \
             credential_type_id = NULLIF($3, 0) WHERE id = $1",
        )
        .bind(id)
        .bind(self.name.clone())
        .bind(kind)
        .execute(&mut *tx.conn)
        .await?;
        let VariableChange { set, unset } = &self.variables;
        let change = VariableChange { set: sealed(set), unset: unset.clone() };
        variables::change(tx, &CREDENTIAL, id, &change).await
    }
}

/// Removes a credential that no run template uses, or takes it from those that do.
#[derive(Clone, Copy, Debug)]
pub struct DeleteCredential {
    /// The credential.
    pub id: CredentialId,
    /// Takes it from those that use it.
    pub cascade: bool,
}

impl Change for DeleteCredential {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.id.0;
        if !self.cascade {
            let count = "SELECT COUNT(*) FROM runtplcreds WHERE credentials_id = $1";
            let refusal = |users| {
                format!(
                    "credential {id} is used by {}: take it from there with \
                     credential:unassign, or all at once with --cascade",
                    rows::counted(users, "run template")
                )
            };
            rows::refuse_dependents(tx, count, id, refusal).await?;
        }
        rows::delete(tx, "DELETE FROM credentials WHERE id = $1", "credential", id).await
    }
}

/// Which credentials a list has, and in which order.
#[derive(Clone, Debug, Default)]
pub struct CredentialFilter {
    /// Only this company's.
    pub company: Option<CompanyId>,
    /// Only those that this run template uses.
    pub run_template: Option<RunTemplateId>,
    /// Only those of the type of this code.
    pub kind: Option<String>,
    /// Only those whose name contains this.
    pub name: String,
    /// How they are sorted.
    pub sort: Sort,
}

const SELECT: &str = "SELECT k.id, k.company_id, c.name, k.name, y.code, k.created \
     FROM credentials k JOIN company c ON c.id = k.company_id \
     LEFT JOIN credential_type y ON y.id = k.credential_type_id";

const COLUMNS: Columns = Columns { id: "k.id", name: "k.name", created: "k.created" };

impl Store {
    /// One credential.
    pub async fn credential(&self, id: CredentialId) -> Result<CredentialRow, StoreError> {
        let mut condition = Filter::new(self.dialect);
        condition.with("k.id = ?", id.0);
        let page = ListPage::parse(1, "")?;
        let sql = condition.sql(SELECT, COLUMNS, Sort::default(), &page)?;
        let found = self.credentials_of(sql).await?.pop();
        found.ok_or(StoreError::NotFound { what: "credential", id: id.0 })
    }

    /// A page of credentials.
    pub async fn credentials(
        &self,
        filter: &CredentialFilter,
        page: &ListPage,
    ) -> Result<Listed<CredentialRow>, StoreError> {
        let mut condition = Filter::new(self.dialect);
        if let Some(company) = filter.company {
            condition.with("k.company_id = ?", company.0);
        }
        if let Some(template) = filter.run_template {
            let uses = "k.id IN (SELECT u.credentials_id FROM runtplcreds u \
                 WHERE u.runtemplate_id = ?)";
            condition.with(uses, template.0);
        }
        if let Some(code) = &filter.kind {
            condition.with("LOWER(y.code) = LOWER(?)", code.as_str());
        }
        condition.contains("k.name", &filter.name);
        let sql = condition.sql(SELECT, COLUMNS, filter.sort, page)?;
        let rows = self.credentials_of(sql).await?;
        Ok(page.listed(rows, filter.sort, |row| (row.id.0, &row.name, row.created)))
    }

    /// The credentials that a statement finds, in its order.
    async fn credentials_of(
        &self,
        sql: (String, Vec<list::Value>),
    ) -> Result<Vec<CredentialRow>, StoreError> {
        let rows = list::fetch(&self.readers, sql).await?;
        let mut order = Vec::with_capacity(rows.len());
        let mut found = BTreeMap::new();
        for row in &rows {
            let id = CredentialId(row.try_get(0)?);
            let credential = CredentialRow {
                id,
                company: (CompanyId(row.try_get(1)?), row.try_get(2)?),
                name: row.try_get(3)?,
                kind: row.try_get(4)?,
                variables: Vec::new(),
                run_templates: Vec::new(),
                created: row.try_get(5)?,
            };
            order.push(id);
            found.insert(id, credential);
        }
        let ids: Vec<[i64; 1]> = found.keys().map(|id| [id.0]).collect();
        let chosen = self.dialect.rows("$1", &[("id", Kind::Int)]);
        let sql = format!(
            "SELECT credential_id, name, 0 FROM credata \
             WHERE credential_id IN (SELECT r.id FROM {chosen}) UNION ALL \
             SELECT credentials_id, '', runtemplate_id FROM runtplcreds \
             WHERE credentials_id IN (SELECT r.id FROM {chosen}) ORDER BY 1, 2, 3"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(&self.readers)
            .await?;
        for row in &rows {
            let Some(of) = found.get_mut(&CredentialId(row.try_get(0)?)) else { continue };
            match row.try_get::<i64, _>(2)? {
                0 => of.variables.push(row.try_get(1)?),
                template => of.run_templates.push(RunTemplateId(template)),
            }
        }
        Ok(order.iter().filter_map(|id| found.remove(id)).collect())
    }
}
