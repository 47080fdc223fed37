//! `CompanyService`.

use multiflexi_proto::{
    timestamp,
    v1::{
        self, CreateCompanyRequest, CreateCompanyResponse, GetCompanyRequest, GetCompanyResponse,
        ListCompaniesRequest, ListCompaniesResponse, company_service_server::CompanyService,
    },
};
use tonic::{Request, Response, Status};

use super::{Services, parse};
use crate::{
    domain::ids::CompanyId,
    store::{CompanyRow, CreateCompany, Page},
};

fn company(row: CompanyRow) -> v1::Company {
    v1::Company {
        id: row.id.0,
        name: row.name,
        created: Some(timestamp(row.created)),
        max_running: row.max_running.map(|most| i32::try_from(most).unwrap_or(i32::MAX)),
    }
}

#[tonic::async_trait]
impl CompanyService for Services {
    async fn create_company(
        &self,
        request: Request<CreateCompanyRequest>,
    ) -> Result<Response<CreateCompanyResponse>, Status> {
        let request = request.into_inner();
        let name = parse::name(&request.name)?;
        let max_running = parse::limit("max_running", request.max_running)?;
        let row = self.store.change(CreateCompany { name, max_running }).await?;
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
        let request = request.into_inner();
        let page = Page::parse(request.page_size, &request.page_token)?;
        let rows = self.store.companies(page).await?;
        let next_page_token = page.next(&rows, |row| row.id.0);
        let companies = rows.into_iter().map(company).collect();
        Ok(Response::new(ListCompaniesResponse { companies, next_page_token }))
    }
}
