//! `ApplicationService`.

use multiflexi_proto::{
    timestamp,
    v1::{
        self, CreateApplicationRequest, CreateApplicationResponse, GetApplicationRequest,
        GetApplicationResponse, ListApplicationsRequest, ListApplicationsResponse,
        application_service_server::ApplicationService,
    },
};
use tonic::{Request, Response, Status};

use super::{Services, parse, status::invalid};
use crate::{
    domain::{
        command_line::{self, CommandLineError},
        environment::Variables,
        ids::ApplicationId,
    },
    store::{ApplicationRow, CreateApplication, Page},
};

fn application(row: ApplicationRow) -> v1::Application {
    v1::Application {
        id: row.id.0,
        name: row.name,
        executable: row.executable,
        cmdparams: row.cmdparams,
        created: Some(timestamp(row.created)),
    }
}

#[tonic::async_trait]
impl ApplicationService for Services {
    async fn create_application(
        &self,
        request: Request<CreateApplicationRequest>,
    ) -> Result<Response<CreateApplicationResponse>, Status> {
        let CreateApplicationRequest { name, executable, cmdparams } = request.into_inner();
        let name = parse::name(&name)?;
        // Whether it can be launched at all is said now and not at its first job.
        command_line::build(&executable, &cmdparams, &Variables::new()).map_err(|error| {
            let field = match error {
                CommandLineError::NoExecutable => "executable",
                _ => "cmdparams",
            };
            invalid(field, error)
        })?;
        let row = self.store.change(CreateApplication { name, executable, cmdparams }).await?;
        Ok(Response::new(CreateApplicationResponse { application: Some(application(row)) }))
    }

    async fn get_application(
        &self,
        request: Request<GetApplicationRequest>,
    ) -> Result<Response<GetApplicationResponse>, Status> {
        let id = parse::id("application_id", "application", request.into_inner().application_id)?;
        let row = self.store.application(ApplicationId(id)).await?;
        Ok(Response::new(GetApplicationResponse { application: Some(application(row)) }))
    }

    async fn list_applications(
        &self,
        request: Request<ListApplicationsRequest>,
    ) -> Result<Response<ListApplicationsResponse>, Status> {
        let request = request.into_inner();
        let page = Page::parse(request.page_size, &request.page_token)?;
        let rows = self.store.applications(page).await?;
        let next_page_token = page.next(&rows, |row| row.id.0);
        let applications = rows.into_iter().map(application).collect();
        Ok(Response::new(ListApplicationsResponse { applications, next_page_token }))
    }
}
