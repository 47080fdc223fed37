//! `ApplicationService`.

use std::sync::Arc;

use multiflexi_proto::{
    timestamp,
    v1::{
        self, ApplicationDetails, CreateApplicationRequest, CreateApplicationResponse,
        DeleteApplicationRequest, DeleteApplicationResponse, ExportApplicationRequest,
        ExportApplicationResponse, GetApplicationRequest, GetApplicationResponse,
        ImportApplicationRequest, ImportApplicationResponse, ListApplicationsRequest,
        ListApplicationsResponse, UpdateApplicationRequest, UpdateApplicationResponse,
        ValidateApplicationRequest, ValidateApplicationResponse,
        application_service_server::ApplicationService,
    },
};
use tonic::{Request, Response, Status};

use super::{
    Services,
    definitions::{self, LANGUAGE},
    parse,
};
use crate::{
    domain::{
        application::{self, ArtifactPattern, Change, Definition, Field},
        ids::ApplicationId,
    },
    removal::{Cascade, Dependents},
    store::{ApplicationFilter, ApplicationRow, Order, PutApplication, Sort},
};

/// What is to be said of an application besides what is run.
fn change(details: Option<ApplicationDetails>) -> Change {
    let details = details.unwrap_or_default();
    Change {
        title: details.title,
        description: details.description,
        uuid: details.uuid,
        version: details.version,
        homepage: details.homepage,
        oci_image: details.oci_image,
        tags: details.tags.map(|list| list.words),
        requirements: details.requirements.map(|list| list.words),
        ..Change::default()
    }
}

fn application(row: ApplicationRow) -> v1::Application {
    let definition = row.definition;
    let Definition { executable, cmdparams, tags, .. } = Definition::clone(&definition);
    v1::Application {
        id: row.id.0,
        name: definition.name.main().to_owned(),
        executable,
        cmdparams,
        created: Some(timestamp(row.created)),
        title: definition.title.get(LANGUAGE).to_owned(),
        description: definition.description.get(LANGUAGE).to_owned(),
        uuid: definition.uuid.clone().unwrap_or_default(),
        version: definition.version.clone().unwrap_or_default(),
        homepage: definition.homepage.clone().unwrap_or_default(),
        oci_image: definition.oci_image.clone().unwrap_or_default(),
        tags,
        fields: definition.environment.iter().map(field).collect(),
        exit_codes: definition
            .exit_codes
            .iter()
            .map(|(code, meaning)| v1::ApplicationExitCode {
                code: *code,
                description: meaning.description.get(LANGUAGE).to_owned(),
                severity: meaning.severity.to_string(),
                retry: meaning.retry,
            })
            .collect(),
        artifacts: definition.artifacts.iter().map(artifact).collect(),
        requirements: definition.requirements.clone(),
    }
}

fn field((name, field): (&String, &Field)) -> v1::ApplicationField {
    v1::ApplicationField {
        name: name.clone(),
        r#type: field.kind.to_string(),
        description: field.description.get(LANGUAGE).to_owned(),
        hint: field.hint.get(LANGUAGE).to_owned(),
        // A default password is a secret as well as any.
        default_value: field.default.clone().filter(|_| !field.secret),
        required: field.required,
        secret: field.secret,
        options: field.options.iter().map(|choice| choice.value.clone()).collect(),
    }
}

fn artifact(pattern: &ArtifactPattern) -> v1::ApplicationArtifact {
    v1::ApplicationArtifact {
        name: pattern.name.get(LANGUAGE).to_owned(),
        path: pattern.path.clone(),
        description: pattern.description.get(LANGUAGE).to_owned(),
    }
}

fn id(value: i64) -> Result<ApplicationId, Status> {
    parse::id("application_id", "application", value).map(ApplicationId)
}

#[tonic::async_trait]
impl ApplicationService for Services {
    async fn create_application(
        &self,
        request: Request<CreateApplicationRequest>,
    ) -> Result<Response<CreateApplicationResponse>, Status> {
        let request = request.into_inner();
        let CreateApplicationRequest { name, executable, cmdparams, details } = request;
        let name = parse::name(&name)?;
        let definition = Definition::new(&name, &executable, &cmdparams)?;
        let definition = Arc::new(definition.with(change(details))?);
        let put = PutApplication { id: None, definition, replace: false };
        let id = self.store.change(put).await?.id();
        let row = self.store.application(id).await?;
        Ok(Response::new(CreateApplicationResponse { application: Some(application(row)) }))
    }

    async fn get_application(
        &self,
        request: Request<GetApplicationRequest>,
    ) -> Result<Response<GetApplicationResponse>, Status> {
        let row = self.store.application(id(request.into_inner().application_id)?).await?;
        Ok(Response::new(GetApplicationResponse { application: Some(application(row)) }))
    }

    async fn list_applications(
        &self,
        request: Request<ListApplicationsRequest>,
    ) -> Result<Response<ListApplicationsResponse>, Status> {
        let mut request = request.into_inner();
        let (list, page) = parse::list("application", &mut request)?;
        let filter = ApplicationFilter {
            sort: parse::sort(&request.order_by, &Order::ALL, Sort::default())?,
            name: request.name,
            tag: request.tag,
            executable: request.executable,
        };
        let found = self.store.applications(&filter, &page).await?;
        let next_page_token = list.seal(&found.next);
        let applications = found.rows.into_iter().map(application).collect();
        Ok(Response::new(ListApplicationsResponse { applications, next_page_token }))
    }

    async fn import_application(
        &self,
        request: Request<ImportApplicationRequest>,
    ) -> Result<Response<ImportApplicationResponse>, Status> {
        let definition = application::parse(&request.into_inner().document)?;
        let notes = definitions::notes(&definition.notes);
        let definition = Arc::new(definition);
        let put = self.store.change(PutApplication { id: None, definition, replace: true }).await?;
        self.sealing.declared();
        let outcome = definitions::outcome(&put);
        let row = self.store.application(put.id()).await?;
        Ok(Response::new(ImportApplicationResponse {
            application: Some(application(row)),
            outcome: outcome.into(),
            notes,
        }))
    }

    async fn export_application(
        &self,
        request: Request<ExportApplicationRequest>,
    ) -> Result<Response<ExportApplicationResponse>, Status> {
        let row = self.store.application(id(request.into_inner().application_id)?).await?;
        Ok(Response::new(ExportApplicationResponse { document: row.definition.export() }))
    }

    async fn validate_application(
        &self,
        request: Request<ValidateApplicationRequest>,
    ) -> Result<Response<ValidateApplicationResponse>, Status> {
        let read = application::parse(&request.into_inner().document);
        let (faults, notes) = definitions::looked_at(read, |definition| &definition.notes);
        Ok(Response::new(ValidateApplicationResponse { faults, notes }))
    }

    async fn update_application(
        &self,
        request: Request<UpdateApplicationRequest>,
    ) -> Result<Response<UpdateApplicationResponse>, Status> {
        let request = request.into_inner();
        let id = id(request.application_id)?;
        let change = Change {
            name: request.name.map(|name| parse::name(&name)).transpose()?,
            executable: request.executable,
            cmdparams: request.cmdparams,
            ..change(request.details)
        };
        let definition = Arc::new(self.store.application(id).await?.definition.with(change)?);
        self.store.change(PutApplication { id: Some(id), definition, replace: true }).await?;
        self.sealing.declared();
        let row = self.store.application(id).await?;
        Ok(Response::new(UpdateApplicationResponse { application: Some(application(row)) }))
    }

    async fn delete_application(
        &self,
        request: Request<DeleteApplicationRequest>,
    ) -> Result<Response<DeleteApplicationResponse>, Status> {
        let request = request.into_inner();
        let cascade = Cascade::of(request.cascade, request.dry_run);
        let went = self.removal.application(id(request.application_id)?, cascade).await?;
        let Dependents { run_templates, jobs } = went;
        Ok(Response::new(DeleteApplicationResponse { run_templates, jobs }))
    }
}
