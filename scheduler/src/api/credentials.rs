//! `CredentialService`.

use multiflexi_proto::{
    timestamp,
    v1::{
        self, AssignCredentialRequest, AssignCredentialResponse, CreateCredentialRequest,
        CreateCredentialResponse, DeleteCredentialRequest, DeleteCredentialResponse,
        GetCredentialRequest, GetCredentialResponse, ListCredentialsRequest,
        ListCredentialsResponse, UpdateCredentialRequest, UpdateCredentialResponse,
        credential_service_server::CredentialService,
    },
};
use tonic::{Request, Response, Status};

use super::{Services, parse};
use crate::{
    domain::ids::{CompanyId, CredentialId, RunTemplateId},
    store::{
        AssignCredential, CreateCredential, CredentialFilter, CredentialRow, DeleteCredential,
        Order, Sort, UpdateCredential,
    },
};

fn credential(row: CredentialRow) -> v1::Credential {
    v1::Credential {
        id: row.id.0,
        company_id: row.company.0.0,
        company_name: row.company.1,
        name: row.name,
        r#type: row.kind.unwrap_or_default(),
        variables: row.variables,
        run_template_ids: row.run_templates.into_iter().map(|id| id.0).collect(),
        created: Some(timestamp(row.created)),
    }
}

fn id(value: i64) -> Result<CredentialId, Status> {
    parse::id("credential_id", "credential", value).map(CredentialId)
}

/// The code of a type; none if it is empty.
fn kind(code: String) -> Option<String> {
    Some(code).filter(|code| !code.is_empty())
}

impl Services {
    async fn credential(&self, id: CredentialId) -> Result<Option<v1::Credential>, Status> {
        Ok(Some(credential(self.store.credential(id).await?)))
    }
}

#[tonic::async_trait]
impl CredentialService for Services {
    async fn create_credential(
        &self,
        request: Request<CreateCredentialRequest>,
    ) -> Result<Response<CreateCredentialResponse>, Status> {
        let request = request.into_inner();
        let create = CreateCredential {
            company: CompanyId(parse::id("company_id", "company", request.company_id)?),
            name: parse::name(&request.name)?,
            kind: kind(request.r#type),
            variables: parse::given(request.variables, Vec::new(), request.files)?,
        };
        let id = self.store.change(create).await?;
        Ok(Response::new(CreateCredentialResponse { credential: self.credential(id).await? }))
    }

    async fn get_credential(
        &self,
        request: Request<GetCredentialRequest>,
    ) -> Result<Response<GetCredentialResponse>, Status> {
        let id = id(request.into_inner().credential_id)?;
        Ok(Response::new(GetCredentialResponse { credential: self.credential(id).await? }))
    }

    async fn list_credentials(
        &self,
        request: Request<ListCredentialsRequest>,
    ) -> Result<Response<ListCredentialsResponse>, Status> {
        let mut request = request.into_inner();
        let (list, page) = parse::list("credential", &mut request)?;
        let company = parse::optional_id("company_id", "company", request.company_id)?;
        let template = request.run_template_id;
        let template = parse::optional_id("run_template_id", "run template", template)?;
        let filter = CredentialFilter {
            company: company.map(CompanyId),
            run_template: template.map(RunTemplateId),
            kind: kind(request.r#type),
            name: request.name,
            sort: parse::sort(&request.order_by, &Order::ALL, Sort::default())?,
        };
        let found = self.store.credentials(&filter, &page).await?;
        if found.rows.is_empty() {
            // An id that is not there is a mistake, not an empty list.
            if let Some(company) = filter.company {
                self.store.company(company).await?;
            }
            if let Some(template) = filter.run_template {
                self.store.run_template(template).await?;
            }
        }
        let next_page_token = list.seal(&found.next);
        let credentials = found.rows.into_iter().map(credential).collect();
        Ok(Response::new(ListCredentialsResponse { credentials, next_page_token }))
    }

    async fn update_credential(
        &self,
        request: Request<UpdateCredentialRequest>,
    ) -> Result<Response<UpdateCredentialResponse>, Status> {
        let request = request.into_inner();
        let id = id(request.credential_id)?;
        let update = UpdateCredential {
            id,
            name: request.name.as_deref().map(parse::name).transpose()?,
            kind: request.r#type.map(kind),
            variables: parse::variable_change(
                parse::given(request.set_variables, Vec::new(), request.set_files)?,
                request.unset_variables,
            )?,
        };
        self.store.change(update).await?;
        Ok(Response::new(UpdateCredentialResponse { credential: self.credential(id).await? }))
    }

    async fn delete_credential(
        &self,
        request: Request<DeleteCredentialRequest>,
    ) -> Result<Response<DeleteCredentialResponse>, Status> {
        let request = request.into_inner();
        let (id, cascade) = (id(request.credential_id)?, request.cascade);
        self.store.change(DeleteCredential { id, cascade }).await?;
        Ok(Response::new(DeleteCredentialResponse {}))
    }

    async fn assign_credential(
        &self,
        request: Request<AssignCredentialRequest>,
    ) -> Result<Response<AssignCredentialResponse>, Status> {
        let request = request.into_inner();
        let id = id(request.credential_id)?;
        let template = parse::id("run_template_id", "run template", request.run_template_id)?;
        let run_template = RunTemplateId(template);
        let assign = AssignCredential { id, run_template, assign: !request.unassign };
        let changed = self.store.change(assign).await?;
        let credential = self.credential(id).await?;
        Ok(Response::new(AssignCredentialResponse { credential, changed }))
    }
}
