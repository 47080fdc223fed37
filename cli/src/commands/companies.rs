//! `company:list`, `company:show`, `company:create`, `company:update`, `company:delete`.

use clap::Args;
use multiflexi_proto::v1::{
    Company, CreateCompanyRequest, DeleteCompanyRequest, GetCompanyRequest, ListCompaniesRequest,
    UpdateCompanyRequest,
};
use serde_json::{Value, json};

use super::{
    limit, pages,
    resource::{Delete, given, some_change},
    variables,
};
use crate::{
    arguments::{self, ById, Given, Sorted},
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

/// A company, for machines.
pub fn value(company: &Company) -> Value {
    json!({
        "id": company.id,
        "name": company.name,
        "slug": json::text(&company.slug),
        "max_running": company.max_running,
        "zabbix_host": json::text(&company.zabbix_host),
        "environment": variables::environment(&company.environment),
        "files": variables::files(&company.files),
        "created": json::time(company.created.as_ref()),
    })
}

/// `company:list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only companies whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    sorted: Sorted,
}

impl List {
    /// Lists companies.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut client = server.companies();
        let list = pages(&self.sorted.paging, async |page_size, page_token, list| {
            let (name, order_by) = (self.name.clone(), self.sorted.order.clone());
            let request = ListCompaniesRequest { page_size, page_token, name, order_by };
            let answer = client.list_companies(request).await?.into_inner();
            for company in answer.companies {
                list.values.push(value(&company));
                let created = json::local(company.created.as_ref());
                list.rows.push(vec![company.id.to_string(), company.name, created]);
            }
            list.next_page_token = answer.next_page_token;
            Ok(())
        })
        .await?;
        output.list("companies", &["ID", "NAME", "CREATED"], list)
    }
}

/// Shows a company.
pub async fn show(server: &Server, output: Output, company_id: i64) -> Result<(), Failure> {
    let answer = server.companies().get_company(GetCompanyRequest { company_id }).await?;
    let company = given(answer.into_inner().company)?;
    let fields = [
        ("id", company.id.to_string()),
        ("name", company.name.clone()),
        ("slug", company.slug.clone()),
        ("jobs at once", limit(company.max_running)),
        ("zabbix host", company.zabbix_host.clone()),
        ("environment", variables::text(&company.environment, &company.files)),
        ("created", json::local(company.created.as_ref())),
    ];
    output.one(&value(&company), &fields)
}

/// `company:create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name, unique
    #[arg(long)]
    name: String,
    /// Most of its jobs that run at once; 0 for no limit [default: no limit]
    #[arg(long, value_name = "N", value_parser = arguments::number::<i32>(0..=1_000_000))]
    max_running: Option<i32>,
    /// A short name for programs, unique: small letters, digits, - and _
    #[arg(long, default_value = "", hide_default_value = true)]
    slug: String,
    /// The host in Zabbix that gets what is told of its jobs [default: the scheduler's]
    #[arg(long, value_name = "HOST", default_value = "", hide_default_value = true)]
    zabbix_host: String,
    #[command(flatten)]
    environment: arguments::Environment,
}

impl Create {
    /// Creates a company.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let Given { values: environment, secrets, files } = self.environment.given()?;
        let request = CreateCompanyRequest {
            name: self.name,
            max_running: self.max_running,
            slug: self.slug,
            environment,
            secrets,
            files,
            zabbix_host: self.zabbix_host,
        };
        let answer = server.companies().create_company(request).await?;
        output.done_to("created", answer.into_inner().company)
    }
}

/// `company:update`.
#[derive(Debug, Args)]
pub struct Update {
    #[command(flatten)]
    by: ById,
    /// Its name, unique
    #[arg(long)]
    name: Option<String>,
    /// A short name for programs; empty for none
    #[arg(long)]
    slug: Option<String>,
    /// Most of its jobs that run at once; 0 for no limit
    #[arg(long, value_name = "N", value_parser = arguments::number::<i32>(0..=1_000_000))]
    max_running: Option<i32>,
    /// The host in Zabbix that gets what is told of its jobs; empty for the scheduler's
    #[arg(long, value_name = "HOST")]
    zabbix_host: Option<String>,
    #[command(flatten)]
    environment: arguments::Environment,
    /// A variable to be removed; may be given again
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
}

impl Update {
    /// Changes a company.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let Given { values: set_environment, secrets, files: set_files } =
            self.environment.given()?;
        let company_id = self.by.id();
        let request = UpdateCompanyRequest {
            company_id,
            name: self.name,
            slug: self.slug,
            max_running: self.max_running,
            set_environment,
            secrets,
            set_files,
            unset_environment: self.unset,
            zabbix_host: self.zabbix_host,
        };
        let nothing = UpdateCompanyRequest { company_id, ..Default::default() };
        some_change::<Company, _>(company_id, &request, &nothing)?;
        let answer = server.companies().update_company(request).await?;
        output.done_to("changed", answer.into_inner().company)
    }
}

/// Removes a company.
pub async fn delete(server: &Server, output: Output, delete: Delete) -> Result<(), Failure> {
    let company_id = delete.by.id();
    let request = DeleteCompanyRequest { company_id, cascade: delete.cascade };
    server.companies().delete_company(request).await?;
    output.deleted::<Company>(company_id)
}
