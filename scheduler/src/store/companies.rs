//! Companies, with their variables in table `companyenv`.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Change, Store, StoreError, Tx, declared,
    dialect::Kind,
    jobs,
    list::{self, Columns, Filter, ListPage, Listed, Sort},
    rows::{self, is_taken},
    transitions::admission,
    variables::{self, COMPANY},
};
use crate::domain::{
    environment::{Given, VariableChange},
    ids::CompanyId,
};

/// A company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompanyRow {
    /// Its id.
    pub id: CompanyId,
    /// Its name.
    pub name: String,
    /// A short name for programs, if it has one.
    pub slug: Option<String>,
    /// When it was created.
    pub created: i64,
    /// Most of its jobs at once; none for no limit.
    pub max_running: Option<u32>,
    /// The host in Zabbix that gets what is told of its jobs; none for the scheduler's.
    pub zabbix_host: Option<String>,
    /// Its variables.
    pub environment: Given,
}

const COLUMNS: &str = "SELECT id, name, created, max_running, slug, zabbix_host FROM company";

fn company(row: &sqlx::any::AnyRow) -> Result<CompanyRow, sqlx::Error> {
    Ok(CompanyRow {
        id: CompanyId(row.try_get(0)?),
        name: row.try_get(1)?,
        created: row.try_get(2)?,
        max_running: jobs::small(row, 3)?.map(i32::unsigned_abs),
        slug: row.try_get(4)?,
        zabbix_host: row.try_get(5)?,
        environment: Given::default(),
    })
}

/// Creates a company.
#[derive(Clone, Debug, Default)]
pub struct CreateCompany {
    /// Its name.
    pub name: String,
    /// A short name for programs.
    pub slug: Option<String>,
    /// Most of its jobs at once; none for no limit.
    pub max_running: Option<u32>,
    /// The host in Zabbix that gets what is told of its jobs; none for the scheduler's.
    pub zabbix_host: Option<String>,
    /// Its variables.
    pub environment: Given,
}

impl Change for CreateCompany {
    type Output = CompanyId;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<CompanyId, StoreError> {
        check_names(tx, CompanyId(0), &self.name, self.slug.as_deref()).await?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO company (name, slug, created, max_running, zabbix_host) \
             VALUES ($1, $2, $3, $4, $5) RETURNING id",
        )
        .bind(self.name.clone())
        .bind(self.slug.clone())
        .bind(tx.now)
        .bind(self.max_running.map(i64::from))
        .bind(self.zabbix_host.clone())
        .fetch_one(&mut *tx.conn)
        .await?;
        let environment = VariableChange { set: self.environment.clone(), unset: Vec::new() };
        variables::change(tx, &COMPANY, id, &environment).await?;
        Ok(CompanyId(id))
    }
}

/// Names are unique; the constraint would say so with less words.
async fn check_names(
    tx: &mut Tx<'_>,
    own: CompanyId,
    name: &str,
    slug: Option<&str>,
) -> Result<(), StoreError> {
    let taken = "SELECT name FROM company WHERE id <> $1 AND name = $2";
    if is_taken(tx, taken, own.0, name).await? {
        return Err(StoreError::AlreadyExists { what: "company", name: name.to_owned() });
    }
    let taken = "SELECT name FROM company WHERE id <> $1 AND slug = $2";
    match slug {
        Some(slug) if is_taken(tx, taken, own.0, slug).await? => {
            Err(StoreError::AlreadyExists { what: "company with the slug", name: slug.to_owned() })
        }
        _ => Ok(()),
    }
}

/// Changes a company; what is absent stays as it is.
#[derive(Clone, Debug)]
pub struct UpdateCompany {
    /// The company.
    pub id: CompanyId,
    /// Its name.
    pub name: Option<String>,
    /// A short name for programs; `Some(None)` for none.
    pub slug: Option<Option<String>>,
    /// Most of its jobs at once; `Some(None)` for no limit.
    pub max_running: Option<Option<u32>>,
    /// The host in Zabbix that gets what is told of its jobs; `Some(None)` for the scheduler's.
    pub zabbix_host: Option<Option<String>>,
    /// Its variables.
    pub environment: VariableChange,
}

impl UpdateCompany {
    /// Changes nothing yet.
    pub fn of(id: CompanyId) -> Self {
        let environment = VariableChange::default();
        Self { id, name: None, slug: None, max_running: None, zabbix_host: None, environment }
    }
}

impl Change for UpdateCompany {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.id;
        let before = company(&rows::one(&mut *tx.conn, COLUMNS, "company", id.0).await?)?;
        let name = self.name.as_ref().unwrap_or(&before.name);
        let slug = self.slug.as_ref().unwrap_or(&before.slug);
        let max_running = self.max_running.unwrap_or(before.max_running);
        let zabbix_host = self.zabbix_host.as_ref().unwrap_or(&before.zabbix_host);
        check_names(tx, id, name, slug.as_deref()).await?;
        variables::refuse_unknown(tx, &COMPANY, id.0, &self.environment.unset).await?;
        sqlx::query(
            "UPDATE company SET name = $2, slug = $3, max_running = $4, zabbix_host = $5 \
             WHERE id = $1",
        )
        .bind(id.0)
        .bind(name.clone())
        .bind(slug.clone())
        .bind(max_running.map(i64::from))
        .bind(zabbix_host.clone())
        .execute(&mut *tx.conn)
        .await?;
        let set = declared::of_company(tx, id, &self.environment.set).await?;
        let environment = VariableChange { set, unset: self.environment.unset.clone() };
        variables::change(tx, &COMPANY, id.0, &environment).await?;
        if max_running != before.max_running {
            admission::limits_changed(tx, id.0).await?;
        }
        Ok(())
    }
}

/// Removes a company of which nothing is left but itself.
#[derive(Clone, Copy, Debug)]
pub struct DeleteCompany(pub CompanyId);

impl Change for DeleteCompany {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.0.0;
        let count = "SELECT COUNT(*) FROM runtemplate WHERE company_id = $1";
        let refusal = |templates| {
            format!(
                "company {id} has {}: delete them first, or all of it with \
                 --cascade",
                rows::counted(templates, "run template")
            )
        };
        rows::refuse_dependents(tx, count, id, refusal).await?;
        rows::delete(tx, "DELETE FROM company WHERE id = $1", "company", id).await
    }
}

/// Which companies a list has, and in which order.
#[derive(Clone, Debug, Default)]
pub struct CompanyFilter {
    /// Only those whose name contains this.
    pub name: String,
    /// How they are sorted.
    pub sort: Sort,
}

impl Store {
    /// One company.
    pub async fn company(&self, id: CompanyId) -> Result<CompanyRow, StoreError> {
        let row = rows::one(&self.readers, COLUMNS, "company", id.0).await?;
        Ok(self.with_variables(vec![company(&row)?]).await?.remove(0))
    }

    /// A page of companies.
    pub async fn companies(
        &self,
        filter: &CompanyFilter,
        page: &ListPage,
    ) -> Result<Listed<CompanyRow>, StoreError> {
        let mut condition = Filter::new(self.dialect);
        condition.contains("name", &filter.name);
        let columns = Columns { id: "id", name: "name", created: "created" };
        let sql = condition.sql(COLUMNS, columns, filter.sort, page)?;
        let rows = list::fetch(&self.readers, sql).await?;
        let rows = rows.iter().map(company).collect::<Result<_, _>>()?;
        let rows = self.with_variables(rows).await?;
        Ok(page.listed(rows, filter.sort, |row| (row.id.0, &row.name, row.created)))
    }

    async fn with_variables(
        &self,
        mut companies: Vec<CompanyRow>,
    ) -> Result<Vec<CompanyRow>, StoreError> {
        let ids: Vec<[i64; 1]> = companies.iter().map(|company| [company.id.0]).collect();
        let chosen = self.dialect.rows("$1", &[("id", Kind::Int)]);
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT company_id, keyword, value, key_id, file_name FROM companyenv \
             WHERE company_id IN (SELECT r.id FROM {chosen})"
        )))
        .bind(serde_json::json!(ids).to_string())
        .fetch_all(&self.readers)
        .await?;
        let mut found = HashMap::<i64, Given>::new();
        for row in &rows {
            let of = found.entry(row.try_get(0)?).or_default();
            variables::read(row, 1, &self.known.vault, of)?;
        }
        for company in &mut companies {
            company.environment = found.remove(&company.id.0).unwrap_or_default();
        }
        Ok(companies)
    }
}
