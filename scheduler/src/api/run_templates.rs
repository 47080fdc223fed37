//! `RunTemplateService`.

use std::time::Duration;

use multiflexi_proto::{
    duration, timestamp,
    v1::{
        self, CreateRunTemplateRequest, CreateRunTemplateResponse, GetRunTemplateRequest,
        GetRunTemplateResponse, ListRunTemplatesRequest, ListRunTemplatesResponse,
        run_template_service_server::RunTemplateService,
    },
};
use tonic::{Request, Response, Status};

use super::{Services, parse, status::invalid};
use crate::{
    domain::ids::{ApplicationId, CompanyId, RunTemplateId},
    store::{CreateRunTemplate, NewRunTemplate, Page, RunTemplateRow},
};

/// Time between SIGTERM and SIGKILL, if the template does not say.
const GRACE: Duration = Duration::from_secs(10);

/// How long an unreachable agent's jobs are waited for.
const LOST_AFTER: Duration = Duration::from_secs(600);

fn run_template(row: RunTemplateRow) -> v1::RunTemplate {
    let template = row.template;
    v1::RunTemplate {
        id: template.id.0,
        name: template.name,
        application_id: template.application.0,
        application_name: template.application_name,
        company_id: template.company.0,
        company_name: template.company_name,
        environment: template.environment.into_iter().collect(),
        timeout: template.timeout.map(duration),
        grace: Some(duration(template.grace)),
        created: Some(timestamp(row.created)),
    }
}

fn new_run_template(request: CreateRunTemplateRequest) -> Result<NewRunTemplate, Status> {
    let timeout = parse::duration("timeout", request.timeout.as_ref())?;
    if timeout == Some(Duration::ZERO) {
        return Err(invalid("timeout", "the timeout is 0: leave it out for no limit"));
    }
    Ok(NewRunTemplate {
        name: parse::name(&request.name)?,
        application: ApplicationId(parse::id(
            "application_id",
            "application",
            request.application_id,
        )?),
        company: CompanyId(parse::id("company_id", "company", request.company_id)?),
        environment: parse::variables(request.environment)?,
        timeout,
        grace: parse::duration("grace", request.grace.as_ref())?.unwrap_or(GRACE),
        lost_after: LOST_AFTER,
    })
}

#[tonic::async_trait]
impl RunTemplateService for Services {
    async fn create_run_template(
        &self,
        request: Request<CreateRunTemplateRequest>,
    ) -> Result<Response<CreateRunTemplateResponse>, Status> {
        let new = new_run_template(request.into_inner())?;
        let id = self.store.change(CreateRunTemplate(new)).await?;
        let row = self.store.run_template(id).await?;
        Ok(Response::new(CreateRunTemplateResponse { run_template: Some(run_template(row)) }))
    }

    async fn get_run_template(
        &self,
        request: Request<GetRunTemplateRequest>,
    ) -> Result<Response<GetRunTemplateResponse>, Status> {
        let id = request.into_inner().run_template_id;
        let id = parse::id("run_template_id", "run template", id)?;
        let row = self.store.run_template(RunTemplateId(id)).await?;
        Ok(Response::new(GetRunTemplateResponse { run_template: Some(run_template(row)) }))
    }

    async fn list_run_templates(
        &self,
        request: Request<ListRunTemplatesRequest>,
    ) -> Result<Response<ListRunTemplatesResponse>, Status> {
        let request = request.into_inner();
        let page = Page::parse(request.page_size, &request.page_token)?;
        let rows = self.store.run_templates(page).await?;
        let next_page_token = page.next(&rows, |row| row.template.id.0);
        let run_templates = rows.into_iter().map(run_template).collect();
        Ok(Response::new(ListRunTemplatesResponse { run_templates, next_page_token }))
    }
}
