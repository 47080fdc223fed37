//! `credential-type:list`, `credential-type:show`, `credential-type:delete`; what has to
//! do with definition files is in [`definitions`](super::definitions).

use clap::Args;
use multiflexi_proto::v1::{
    CredentialType, CredentialTypeField, DeleteCredentialTypeRequest, ExportCredentialTypeRequest,
    GetCredentialTypeRequest, ImportCredentialTypeRequest, ListCredentialTypesRequest,
    ValidateCredentialTypeRequest,
};
use serde_json::{Value, json};
use tonic::Status;

use super::{
    definitions::{Defined, Imported, Verdict},
    pages,
    resource::given,
};
use crate::{
    arguments::{ById, Sorted},
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

fn field_value(field: &CredentialTypeField) -> Value {
    json!({
        "name": field.name,
        "title": json::text(&field.title),
        "type": field.r#type,
        "description": json::text(&field.description),
        "hint": json::text(&field.hint),
        "default": field.default_value,
        "required": field.required,
        "secret": field.secret,
        "options": field.options,
    })
}

/// A type of credentials, for machines.
pub fn value(kind: &CredentialType) -> Value {
    json!({
        "id": kind.id,
        "code": kind.code,
        "name": kind.name,
        "description": json::text(&kind.description),
        "uuid": json::text(&kind.uuid),
        "version": json::text(&kind.version),
        "homepage": json::text(&kind.homepage),
        "tags": kind.tags,
        "fields": kind.fields.iter().map(field_value).collect::<Vec<_>>(),
        "created": json::time(kind.created.as_ref()),
    })
}

/// `credential-type:list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only types whose code or name contains this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    sorted: Sorted,
}

impl List {
    /// Lists types of credentials.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut client = server.credential_types();
        let list = pages(&self.sorted.paging, async |page_size, page_token, list| {
            let (name, order_by) = (self.name.clone(), self.sorted.order.clone());
            let request = ListCredentialTypesRequest { page_size, page_token, name, order_by };
            let answer = client.list_credential_types(request).await?.into_inner();
            for kind in answer.credential_types {
                list.values.push(value(&kind));
                let names: Vec<&str> =
                    kind.fields.iter().map(|field| field.name.as_str()).collect();
                let names = names.join(", ");
                let CredentialType { id, code, name, version, .. } = kind;
                list.rows.push(vec![id.to_string(), code, name, version, names]);
            }
            list.next_page_token = answer.next_page_token;
            Ok(())
        })
        .await?;
        output.list("credential_types", &["ID", "CODE", "NAME", "VERSION", "VARIABLES"], list)
    }
}

/// Shows a type of credentials.
pub async fn show(server: &Server, output: Output, credential_type_id: i64) -> Result<(), Failure> {
    let request = GetCredentialTypeRequest { credential_type_id };
    let answer = server.credential_types().get_credential_type(request).await?;
    let kind = given(answer.into_inner().credential_type)?;
    let field = |field: &CredentialTypeField| {
        let CredentialTypeField { name, r#type, required, secret, .. } = field;
        let required = if *required { ", required" } else { "" };
        let secret = if *secret { ", secret" } else { "" };
        format!("{name}: {type}{required}{secret}")
    };
    let variables: Vec<String> = kind.fields.iter().map(field).collect();
    let fields = [
        ("id", kind.id.to_string()),
        ("code", kind.code.clone()),
        ("name", kind.name.clone()),
        ("description", kind.description.clone()),
        ("version", kind.version.clone()),
        ("uuid", kind.uuid.clone()),
        ("homepage", kind.homepage.clone()),
        ("tags", kind.tags.join(", ")),
        ("variables", variables.join("\n")),
        ("created", json::local(kind.created.as_ref())),
    ];
    output.one(&value(&kind), &fields)
}

/// `credential-type:delete`.
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    by: ById,
}

impl Delete {
    /// Removes a type of which there is no credential.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let credential_type_id = self.by.id();
        let request = DeleteCredentialTypeRequest { credential_type_id };
        server.credential_types().delete_credential_type(request).await?;
        output.deleted::<CredentialType>(credential_type_id)
    }
}

impl Defined for CredentialType {
    const PLURAL: &str = "credential_types";

    fn known_as(&self) -> &str {
        &self.code
    }

    async fn import(server: &Server, document: String) -> Result<Imported<Self>, Status> {
        let request = ImportCredentialTypeRequest { document };
        let answer = server.credential_types().import_credential_type(request).await?;
        let answer = answer.into_inner();
        let (outcome, notes) = (answer.outcome(), answer.notes);
        Ok(Imported { resource: answer.credential_type, outcome, notes })
    }

    async fn export(server: &Server, credential_type_id: i64) -> Result<String, Status> {
        let request = ExportCredentialTypeRequest { credential_type_id };
        let answer = server.credential_types().export_credential_type(request).await?;
        Ok(answer.into_inner().document)
    }

    async fn validate(server: &Server, document: String) -> Result<Verdict, Status> {
        let request = ValidateCredentialTypeRequest { document };
        let answer = server.credential_types().validate_credential_type(request).await?;
        let answer = answer.into_inner();
        Ok(Verdict { faults: answer.faults, notes: answer.notes })
    }
}
