//! `CredentialTypeService`.

use std::sync::Arc;

use multiflexi_proto::{
    timestamp,
    v1::{
        self, DeleteCredentialTypeRequest, DeleteCredentialTypeResponse,
        ExportCredentialTypeRequest, ExportCredentialTypeResponse, GetCredentialTypeRequest,
        GetCredentialTypeResponse, ImportCredentialTypeRequest, ImportCredentialTypeResponse,
        ListCredentialTypesRequest, ListCredentialTypesResponse, ValidateCredentialTypeRequest,
        ValidateCredentialTypeResponse, credential_type_service_server::CredentialTypeService,
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
        credential_type::{self, TypeField},
        ids::CredentialTypeId,
    },
    store::{
        CredentialTypeFilter, CredentialTypeRow, DeleteCredentialType, Order, PutCredentialType,
        Sort,
    },
};

fn credential_type(row: CredentialTypeRow) -> v1::CredentialType {
    let definition = row.definition;
    v1::CredentialType {
        id: row.id.0,
        code: definition.code.clone(),
        name: definition.name.get(LANGUAGE).to_owned(),
        description: definition.description.get(LANGUAGE).to_owned(),
        uuid: definition.uuid.clone().unwrap_or_default(),
        version: definition.version.clone().unwrap_or_default(),
        homepage: definition.homepage.clone().unwrap_or_default(),
        tags: definition.tags.clone(),
        fields: definition.fields.iter().map(field).collect(),
        created: Some(timestamp(row.created)),
    }
}

fn field(known: &TypeField) -> v1::CredentialTypeField {
    let field = &known.field;
    v1::CredentialTypeField {
        name: known.keyword.clone(),
        title: known.title.get(LANGUAGE).to_owned(),
        r#type: field.kind.to_string(),
        description: field.description.get(LANGUAGE).to_owned(),
        hint: field.hint.get(LANGUAGE).to_owned(),
        default_value: field.default.clone().filter(|_| !field.secret),
        required: field.required,
        secret: field.secret,
        options: field.options.iter().map(|choice| choice.value.clone()).collect(),
    }
}

fn id(value: i64) -> Result<CredentialTypeId, Status> {
    parse::id("credential_type_id", "credential type", value).map(CredentialTypeId)
}

#[tonic::async_trait]
impl CredentialTypeService for Services {
    async fn import_credential_type(
        &self,
        request: Request<ImportCredentialTypeRequest>,
    ) -> Result<Response<ImportCredentialTypeResponse>, Status> {
        let definition = credential_type::parse(&request.into_inner().document)?;
        let notes = definitions::notes(&definition.notes);
        let put = self.store.change(PutCredentialType(Arc::new(definition))).await?;
        let outcome = definitions::outcome(&put).into();
        let row = self.store.credential_type(put.id()).await?;
        let credential_type = Some(credential_type(row));
        Ok(Response::new(ImportCredentialTypeResponse { credential_type, outcome, notes }))
    }

    async fn export_credential_type(
        &self,
        request: Request<ExportCredentialTypeRequest>,
    ) -> Result<Response<ExportCredentialTypeResponse>, Status> {
        let row = self.store.credential_type(id(request.into_inner().credential_type_id)?).await?;
        Ok(Response::new(ExportCredentialTypeResponse { document: row.definition.export() }))
    }

    async fn validate_credential_type(
        &self,
        request: Request<ValidateCredentialTypeRequest>,
    ) -> Result<Response<ValidateCredentialTypeResponse>, Status> {
        let read = credential_type::parse(&request.into_inner().document);
        let (faults, notes) = definitions::looked_at(read, |definition| &definition.notes);
        Ok(Response::new(ValidateCredentialTypeResponse { faults, notes }))
    }

    async fn get_credential_type(
        &self,
        request: Request<GetCredentialTypeRequest>,
    ) -> Result<Response<GetCredentialTypeResponse>, Status> {
        let row = self.store.credential_type(id(request.into_inner().credential_type_id)?).await?;
        let credential_type = Some(credential_type(row));
        Ok(Response::new(GetCredentialTypeResponse { credential_type }))
    }

    async fn list_credential_types(
        &self,
        request: Request<ListCredentialTypesRequest>,
    ) -> Result<Response<ListCredentialTypesResponse>, Status> {
        let mut request = request.into_inner();
        let (list, page) = parse::list("credential type", &mut request)?;
        let sort = parse::sort(&request.order_by, &Order::ALL, Sort::default())?;
        let filter = CredentialTypeFilter { name: request.name, sort };
        let found = self.store.credential_types(&filter, &page).await?;
        let next_page_token = list.seal(&found.next);
        let credential_types = found.rows.into_iter().map(credential_type).collect();
        Ok(Response::new(ListCredentialTypesResponse { credential_types, next_page_token }))
    }

    async fn delete_credential_type(
        &self,
        request: Request<DeleteCredentialTypeRequest>,
    ) -> Result<Response<DeleteCredentialTypeResponse>, Status> {
        let id = id(request.into_inner().credential_type_id)?;
        self.store.change(DeleteCredentialType(id)).await?;
        Ok(Response::new(DeleteCredentialTypeResponse {}))
    }
}
