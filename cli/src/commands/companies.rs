//! `company:list`, `company:show`, `company:create`.

use clap::Args;
use multiflexi_proto::v1::{
    Company, CreateCompanyRequest, GetCompanyRequest, ListCompaniesRequest,
};
use serde_json::{Value, json};

use super::{limit, missing, pages};
use crate::{
    arguments::Paging,
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

fn value(company: &Company) -> Value {
    json!({
        "id": company.id,
        "name": company.name,
        "max_running": company.max_running,
        "created": json::time(company.created.as_ref()),
    })
}

/// Lists companies.
pub async fn list(server: &Server, output: Output, paging: Paging) -> Result<(), Failure> {
    let mut client = server.companies();
    let list = pages(&paging, async |page_size, page_token, list| {
        let request = ListCompaniesRequest { page_size, page_token };
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

/// Shows a company.
pub async fn show(server: &Server, output: Output, company_id: i64) -> Result<(), Failure> {
    let answer = server.companies().get_company(GetCompanyRequest { company_id }).await?;
    let company = answer.into_inner().company.ok_or_else(|| missing("company"))?;
    let fields = [
        ("id", company.id.to_string()),
        ("name", company.name.clone()),
        ("jobs at once", limit(company.max_running)),
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
    /// Most of its jobs that run at once [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1_000_000))]
    max_running: Option<i32>,
}

impl Create {
    /// Creates a company.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let request = CreateCompanyRequest { name: self.name, max_running: self.max_running };
        let answer = server.companies().create_company(request).await?;
        let company = answer.into_inner().company.ok_or_else(|| missing("company"))?;
        output.done(&value(&company), &format!("created company {}", company.id))
    }
}
