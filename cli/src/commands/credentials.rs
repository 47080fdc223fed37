//! `credential:list`, `credential:show`, `credential:create`, `credential:update`,
//! `credential:delete`, `credential:assign`, `credential:unassign`.

use clap::Args;
use multiflexi_proto::v1::{
    AssignCredentialRequest, AssignCredentialResponse, CreateCredentialRequest, Credential,
    DeleteCredentialRequest, GetCredentialRequest, ListCredentialsRequest, UpdateCredentialRequest,
};
use serde_json::{Value, json};

use super::{
    pages,
    resource::{Delete, given, some_change},
};
use crate::{
    arguments::{self, ById, Given, Sorted},
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

/// A credential, for machines.
pub fn value(credential: &Credential) -> Value {
    json!({
        "id": credential.id,
        "company_id": credential.company_id,
        "company_name": credential.company_name,
        "name": credential.name,
        "type": json::text(&credential.r#type),
        "variables": credential.variables,
        "run_template_ids": credential.run_template_ids,
        "created": json::time(credential.created.as_ref()),
    })
}

fn numbers(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

/// `credential:list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this company
    #[arg(long, alias = "company_id", value_parser = arguments::id, value_name = "ID")]
    company: Option<i64>,
    /// Only those that this run template uses
    #[arg(long, alias = "runtemplate_id", value_parser = arguments::id, value_name = "ID")]
    template: Option<i64>,
    /// Only those of the type of this code
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    r#type: String,
    /// Only those whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    name: String,
    #[command(flatten)]
    sorted: Sorted,
}

impl List {
    /// Lists credentials; never their values.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut client = server.credentials();
        let list = pages(&self.sorted.paging, async |page_size, page_token, list| {
            let request = ListCredentialsRequest {
                page_size,
                page_token,
                company_id: self.company.unwrap_or_default(),
                run_template_id: self.template.unwrap_or_default(),
                r#type: self.r#type.clone(),
                name: self.name.clone(),
                order_by: self.sorted.order.clone(),
            };
            let answer = client.list_credentials(request).await?.into_inner();
            for credential in answer.credentials {
                list.values.push(value(&credential));
                list.rows.push(vec![
                    credential.id.to_string(),
                    credential.name,
                    credential.r#type,
                    credential.company_name,
                    credential.variables.join(", "),
                    numbers(&credential.run_template_ids),
                ]);
            }
            list.next_page_token = answer.next_page_token;
            Ok(())
        })
        .await?;
        let header = ["ID", "NAME", "TYPE", "COMPANY", "VARIABLES", "TEMPLATES"];
        output.list("credentials", &header, list)
    }
}

/// Shows a credential; never its values.
pub async fn show(server: &Server, output: Output, credential_id: i64) -> Result<(), Failure> {
    let request = GetCredentialRequest { credential_id };
    let answer = server.credentials().get_credential(request).await?;
    let credential = given(answer.into_inner().credential)?;
    let fields = [
        ("id", credential.id.to_string()),
        ("name", credential.name.clone()),
        ("type", credential.r#type.clone()),
        ("company", format!("{} ({})", credential.company_name, credential.company_id)),
        ("variables", credential.variables.join("\n")),
        ("run templates", numbers(&credential.run_template_ids)),
        ("created", json::local(credential.created.as_ref())),
    ];
    output.one(&value(&credential), &fields)
}

/// `credential:create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name, unique in the company
    #[arg(long)]
    name: String,
    /// The company that it is of
    #[arg(long, alias = "company_id", value_parser = arguments::id, value_name = "ID")]
    company: i64,
    /// The code of its type, which says what its variables are [default: no type]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "CODE")]
    r#type: String,
    #[command(flatten)]
    environment: arguments::Environment,
}

impl Create {
    /// Creates a credential: all its variables are stored encrypted, and none is shown.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let Given { values: variables, files, .. } = self.environment.given()?;
        let (company_id, name, r#type) = (self.company, self.name, self.r#type);
        let request = CreateCredentialRequest { company_id, name, r#type, variables, files };
        let answer = server.credentials().create_credential(request).await?;
        output.done_to("created", answer.into_inner().credential)
    }
}

/// `credential:update`.
#[derive(Debug, Args)]
pub struct Update {
    #[command(flatten)]
    by: ById,
    /// Its name, unique in the company
    #[arg(long)]
    name: Option<String>,
    /// The code of its type; empty for none
    #[arg(long, value_name = "CODE")]
    r#type: Option<String>,
    #[command(flatten)]
    environment: arguments::Environment,
    /// A variable to be removed; may be given again
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
}

impl Update {
    /// Changes a credential.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let Given { values: set_variables, files: set_files, .. } = self.environment.given()?;
        let credential_id = self.by.id();
        let request = UpdateCredentialRequest {
            credential_id,
            name: self.name,
            r#type: self.r#type,
            set_variables,
            set_files,
            unset_variables: self.unset,
        };
        let nothing = UpdateCredentialRequest { credential_id, ..Default::default() };
        some_change::<Credential, _>(credential_id, &request, &nothing)?;
        let answer = server.credentials().update_credential(request).await?;
        output.done_to("changed", answer.into_inner().credential)
    }
}

/// Removes a credential.
pub async fn delete(server: &Server, output: Output, delete: Delete) -> Result<(), Failure> {
    let credential_id = delete.by.id();
    let request = DeleteCredentialRequest { credential_id, cascade: delete.cascade };
    server.credentials().delete_credential(request).await?;
    output.deleted::<Credential>(credential_id)
}

/// `credential:assign`, `credential:unassign`.
#[derive(Debug, Args)]
pub struct Assign {
    #[command(flatten)]
    by: ById,
    /// The run template
    #[arg(long, alias = "runtemplate_id", value_parser = arguments::id, value_name = "ID")]
    template: i64,
}

impl Assign {
    /// Lets a run template use a credential, or no longer.
    pub async fn run(self, server: &Server, output: Output, unassign: bool) -> Result<(), Failure> {
        let (credential_id, run_template_id) = (self.by.id(), self.template);
        let request = AssignCredentialRequest { credential_id, run_template_id, unassign };
        let answer = server.credentials().assign_credential(request).await?;
        let AssignCredentialResponse { credential, changed } = answer.into_inner();
        let mut value = value(&given(credential)?);
        value["changed"] = changed.into();
        let (does, when) = match (unassign, changed) {
            (false, true) => ("uses", ""),
            (false, false) => ("uses", " already"),
            (true, true) => ("no longer uses", ""),
            (true, false) => ("did not use", ""),
        };
        let sentence =
            format!("run template {run_template_id} {does} credential {credential_id}{when}");
        output.done(&value, &sentence)
    }
}
