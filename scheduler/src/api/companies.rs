//! `CompanyService`.

use multiflexi_proto::{
    timestamp,
    v1::{
        self, CreateCompanyRequest, CreateCompanyResponse, DeleteCompanyRequest,
        DeleteCompanyResponse, GetCompanyRequest, GetCompanyResponse, ListCompaniesRequest,
        ListCompaniesResponse, UpdateCompanyRequest, UpdateCompanyResponse,
        company_service_server::CompanyService,
    },
};
use tonic::{Request, Response, Status};

use super::{Services, environment, parse, status::invalid};
use crate::{
    domain::ids::CompanyId,
    removal::{Cascade, Dependents},
    store::{CompanyFilter, CompanyRow, CreateCompany, Order, Sort, UpdateCompany},
    zabbix,
};

/// Most characters of a short name.
const MAX_SLUG: usize = 32;

fn company(row: CompanyRow) -> v1::Company {
    v1::Company {
        id: row.id.0,
        name: row.name,
        created: Some(timestamp(row.created)),
        max_running: row.max_running.map(|most| i32::try_from(most).unwrap_or(i32::MAX)),
        slug: row.slug.unwrap_or_default(),
        zabbix_host: row.zabbix_host.unwrap_or_default(),
        secrets: row.environment.secret.iter().cloned().collect(),
        files: environment::files(&row.environment),
        environment: environment::shown(row.environment, None),
    }
}

/// Reads a company's short name; none if it is empty.
fn slug(value: String) -> Result<Option<String>, Status> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    match value.as_str() {
        "" => Ok(None),
        slug if slug.len() <= MAX_SLUG && slug.chars().all(fits) => Ok(Some(value)),
        slug => {
            let slug: String = slug.chars().take(2 * MAX_SLUG).collect();
            let reason =
                format!("{slug:?} is no slug: use up to {MAX_SLUG} small letters, digits, - and _");
            Err(invalid("slug", reason))
        }
    }
}

/// Reads the name of a host in Zabbix; none if it is empty.
fn zabbix_host(value: String) -> Result<Option<String>, Status> {
    if value.is_empty() {
        return Ok(None);
    }
    match zabbix::check_host(&value) {
        Ok(()) => Ok(Some(value)),
        Err(reason) => Err(invalid("zabbix_host", reason)),
    }
}

#[tonic::async_trait]
impl CompanyService for Services {
    async fn create_company(
        &self,
        request: Request<CreateCompanyRequest>,
    ) -> Result<Response<CreateCompanyResponse>, Status> {
        let request = request.into_inner();
        let create = CreateCompany {
            name: parse::name(&request.name)?,
            slug: slug(request.slug)?,
            max_running: parse::limit("max_running", request.max_running)?,
            zabbix_host: zabbix_host(request.zabbix_host)?,
            environment: parse::given(request.environment, request.secrets, request.files)?,
        };
        let id = self.store.change(create).await?;
        let row = self.store.company(id).await?;
        Ok(Response::new(CreateCompanyResponse { company: Some(company(row)) }))
    }

    async fn get_company(
        &self,
        request: Request<GetCompanyRequest>,
    ) -> Result<Response<GetCompanyResponse>, Status> {
        let id = parse::id("company_id", "company", request.into_inner().company_id)?;
        let row = self.store.company(CompanyId(id)).await?;
        Ok(Response::new(GetCompanyResponse { company: Some(company(row)) }))
    }

    async fn list_companies(
        &self,
        request: Request<ListCompaniesRequest>,
    ) -> Result<Response<ListCompaniesResponse>, Status> {
        let mut request = request.into_inner();
        let (list, page) = parse::list("company", &mut request)?;
        let sort = parse::sort(&request.order_by, &Order::ALL, Sort::default())?;
        let filter = CompanyFilter { name: request.name, sort };
        let found = self.store.companies(&filter, &page).await?;
        let next_page_token = list.seal(&found.next);
        let companies = found.rows.into_iter().map(company).collect();
        Ok(Response::new(ListCompaniesResponse { companies, next_page_token }))
    }

    async fn update_company(
        &self,
        request: Request<UpdateCompanyRequest>,
    ) -> Result<Response<UpdateCompanyResponse>, Status> {
        let request = request.into_inner();
        let id = CompanyId(parse::id("company_id", "company", request.company_id)?);
        let update = UpdateCompany {
            id,
            name: request.name.as_deref().map(parse::name).transpose()?,
            slug: request.slug.map(slug).transpose()?,
            max_running: parse::changed_limit("max_running", request.max_running)?,
            zabbix_host: request.zabbix_host.map(zabbix_host).transpose()?,
            environment: parse::variable_change(
                parse::given(request.set_environment, request.secrets, request.set_files)?,
                request.unset_environment,
            )?,
        };
        self.store.change(update).await?;
        self.dispatch.job_queued();
        let row = self.store.company(id).await?;
        Ok(Response::new(UpdateCompanyResponse { company: Some(company(row)) }))
    }

    async fn delete_company(
        &self,
        request: Request<DeleteCompanyRequest>,
    ) -> Result<Response<DeleteCompanyResponse>, Status> {
        let request = request.into_inner();
        let id = CompanyId(parse::id("company_id", "company", request.company_id)?);
        let cascade = Cascade::of(request.cascade, request.dry_run);
        let Dependents { run_templates, jobs } = self.removal.company(id, cascade).await?;
        Ok(Response::new(DeleteCompanyResponse { run_templates, jobs }))
    }
}
