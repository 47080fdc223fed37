//! `application:list`, `application:show`, `application:create`, `application:update`,
//! `application:delete`, `application:show-config`; what has to do with definition files
//! is in [`definitions`](super::definitions).

use clap::Args;
use multiflexi_proto::v1::{
    Application, ApplicationDetails, ApplicationField, CreateApplicationRequest,
    DeleteApplicationRequest, ExportApplicationRequest, GetApplicationRequest,
    ImportApplicationRequest, ListApplicationsRequest, UpdateApplicationRequest,
    ValidateApplicationRequest, WordList,
};
use serde_json::{Value, json};
use tonic::Status;

use super::{
    definitions::{Defined, Imported, Verdict},
    pages,
    resource::{Delete, given, some_change},
};
use crate::{
    arguments::{ById, Sorted},
    connect::Server,
    failure::Failure,
    output::{self, Output, json},
};

fn field_value(field: &ApplicationField) -> Value {
    json!({
        "name": field.name,
        "type": field.r#type,
        "description": json::text(&field.description),
        "hint": json::text(&field.hint),
        "default": field.default_value,
        "required": field.required,
        "secret": field.secret,
        "options": field.options,
    })
}

/// An application, for machines.
pub fn value(application: &Application) -> Value {
    let exit_codes = application.exit_codes.iter().map(|meaning| {
        json!({
            "code": meaning.code,
            "description": meaning.description,
            "severity": meaning.severity,
            "retry": meaning.retry,
        })
    });
    let artifacts = application.artifacts.iter().map(|artifact| {
        json!({
            "name": artifact.name,
            "path": artifact.path,
            "description": json::text(&artifact.description),
        })
    });
    json!({
        "id": application.id,
        "name": application.name,
        "executable": application.executable,
        "cmdparams": application.cmdparams,
        "title": json::text(&application.title),
        "description": json::text(&application.description),
        "uuid": json::text(&application.uuid),
        "version": json::text(&application.version),
        "homepage": json::text(&application.homepage),
        "oci_image": json::text(&application.oci_image),
        "tags": application.tags,
        "fields": application.fields.iter().map(field_value).collect::<Vec<_>>(),
        "exit_codes": exit_codes.collect::<Vec<_>>(),
        "artifacts": artifacts.collect::<Vec<_>>(),
        "requirements": application.requirements,
        "created": json::time(application.created.as_ref()),
    })
}

/// `application:list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only applications whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    name: String,
    /// Only applications with this tag
    #[arg(long, default_value = "", hide_default_value = true)]
    tag: String,
    /// Only applications that run this program, as it is written in them
    #[arg(long, value_name = "PROGRAM", default_value = "", hide_default_value = true)]
    executable: String,
    #[command(flatten)]
    sorted: Sorted,
}

impl List {
    /// Lists applications.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut client = server.applications();
        let list = pages(&self.sorted.paging, async |page_size, page_token, list| {
            let request = ListApplicationsRequest {
                page_size,
                page_token,
                name: self.name.clone(),
                tag: self.tag.clone(),
                executable: self.executable.clone(),
                order_by: self.sorted.order.clone(),
            };
            let answer = client.list_applications(request).await?.into_inner();
            for application in answer.applications {
                list.values.push(value(&application));
                let Application { id, name, version, executable, fields, .. } = application;
                let fields = fields.len().to_string();
                list.rows.push(vec![id.to_string(), name, version, executable, fields]);
            }
            list.next_page_token = answer.next_page_token;
            Ok(())
        })
        .await?;
        output.list("applications", &["ID", "NAME", "VERSION", "EXECUTABLE", "VARIABLES"], list)
    }
}

async fn get(server: &Server, application_id: i64) -> Result<Application, Failure> {
    let request = GetApplicationRequest { application_id };
    let answer = server.applications().get_application(request).await?;
    given(answer.into_inner().application)
}

/// Shows an application.
pub async fn show(server: &Server, output: Output, application_id: i64) -> Result<(), Failure> {
    let application = get(server, application_id).await?;
    let exit_codes = application.exit_codes.iter().map(|meaning| {
        let retry = match meaning.retry {
            Some(true) => ", retried if attempts are left",
            Some(false) => ", not retried",
            None => "",
        };
        format!("{}: {} ({}{retry})", meaning.code, meaning.description, meaning.severity)
    });
    let artifacts = application.artifacts.iter().map(|one| format!("{}: {}", one.name, one.path));
    let names: Vec<&str> = application.fields.iter().map(|field| field.name.as_str()).collect();
    let fields = [
        ("id", application.id.to_string()),
        ("name", application.name.clone()),
        ("title", application.title.clone()),
        ("description", application.description.clone()),
        ("executable", application.executable.clone()),
        ("cmdparams", application.cmdparams.clone()),
        ("version", application.version.clone()),
        ("uuid", application.uuid.clone()),
        ("homepage", application.homepage.clone()),
        ("image", application.oci_image.clone()),
        ("tags", application.tags.join(", ")),
        ("needs credentials", application.requirements.join(", ")),
        ("variables", names.join("\n")),
        ("exit codes", exit_codes.collect::<Vec<_>>().join("\n")),
        ("artifacts", artifacts.collect::<Vec<_>>().join("\n")),
        ("created", json::local(application.created.as_ref())),
    ];
    output.one(&value(&application), &fields)
}

/// Shows the variables that an application takes.
pub async fn show_config(
    server: &Server,
    output: Output,
    application_id: i64,
) -> Result<(), Failure> {
    let application = get(server, application_id).await?;
    let list = output::List {
        values: application.fields.iter().map(field_value).collect(),
        rows: application.fields.iter().map(field_row).collect(),
        ..output::List::default()
    };
    let header = ["NAME", "TYPE", "REQUIRED", "DEFAULT", "OPTIONS", "DESCRIPTION"];
    output.list("fields", &header, list)
}

fn field_row(field: &ApplicationField) -> Vec<String> {
    vec![
        field.name.clone(),
        field.r#type.clone(),
        if field.required { "yes" } else { "" }.to_owned(),
        field.default_value.clone().unwrap_or_default(),
        field.options.join(", "),
        field.description.clone(),
    ]
}

/// `application:create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name, unique
    #[arg(long)]
    name: String,
    /// The program: a path, or a name that is looked up in the agent's PATH
    #[arg(long)]
    executable: String,
    /// Its arguments, quoted as for a shell, though no shell runs; {NAME} stands for
    /// the value of a variable
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    cmdparams: String,
    #[command(flatten)]
    details: Details,
}

impl Create {
    /// Creates an application.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let Self { name, executable, cmdparams, details } = self;
        let details = Some(details.given());
        let request = CreateApplicationRequest { name, executable, cmdparams, details };
        let answer = server.applications().create_application(request).await?;
        output.done_to("created", answer.into_inner().application)
    }
}

/// What an application says of itself besides what is run.
#[derive(Debug, Args)]
struct Details {
    /// A longer name
    #[arg(long)]
    title: Option<String>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// The UUID by which it is known everywhere
    #[arg(long)]
    uuid: Option<String>,
    /// Its version, one to four numbers
    #[arg(long = "app-version", value_name = "VERSION")]
    version: Option<String>,
    /// Its home page
    #[arg(long, value_name = "URL")]
    homepage: Option<String>,
    /// The container image that holds it
    #[arg(long, alias = "ociimage", value_name = "IMAGE")]
    oci_image: Option<String>,
    /// A word by which it is found; may be given again, and "" takes all out
    #[arg(long, value_name = "WORD")]
    tag: Vec<String>,
    /// The code of a type of credentials that it needs; may be given again, and "" takes all
    /// out
    #[arg(long, value_name = "CODE")]
    requires: Vec<String>,
}

impl Details {
    fn given(self) -> ApplicationDetails {
        let list = |words: Vec<String>| {
            let said = !words.is_empty();
            let words = words.into_iter().filter(|word| !word.is_empty()).collect();
            said.then_some(WordList { words })
        };
        ApplicationDetails {
            title: self.title,
            description: self.description,
            uuid: self.uuid,
            version: self.version,
            homepage: self.homepage,
            oci_image: self.oci_image,
            tags: list(self.tag),
            requirements: list(self.requires),
        }
    }
}

/// `application:update`.
#[derive(Debug, Args)]
pub struct Update {
    #[command(flatten)]
    by: ById,
    /// Its name, unique
    #[arg(long)]
    name: Option<String>,
    /// The program
    #[arg(long)]
    executable: Option<String>,
    /// Its arguments; {NAME} stands for the value of a variable
    #[arg(long, allow_hyphen_values = true)]
    cmdparams: Option<String>,
    #[command(flatten)]
    details: Details,
}

impl Update {
    /// Changes an application; what is not given stays as it is.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let application_id = self.by.id();
        let request = UpdateApplicationRequest {
            application_id,
            name: self.name,
            executable: self.executable,
            cmdparams: self.cmdparams,
            details: Some(self.details.given()),
        };
        let details = Some(ApplicationDetails::default());
        let nothing = UpdateApplicationRequest { application_id, details, ..Default::default() };
        some_change::<Application, _>(application_id, &request, &nothing)?;
        let answer = server.applications().update_application(request).await?;
        output.done_to("changed", answer.into_inner().application)
    }
}

/// Removes an application.
pub async fn delete(server: &Server, output: Output, delete: Delete) -> Result<(), Failure> {
    let Delete { cascade, dry_run, .. } = delete;
    let application_id = delete.by.id();
    let request = DeleteApplicationRequest { application_id, cascade, dry_run };
    let went = server.applications().delete_application(request).await?.into_inner();
    let went = [("run template", went.run_templates), ("job", went.jobs)];
    output.deleted_with::<Application>(&delete, "with", &went)
}

impl Defined for Application {
    const PLURAL: &str = "applications";

    fn known_as(&self) -> &str {
        &self.name
    }

    async fn import(server: &Server, document: String) -> Result<Imported<Self>, Status> {
        let request = ImportApplicationRequest { document };
        let answer = server.applications().import_application(request).await?.into_inner();
        let (outcome, notes) = (answer.outcome(), answer.notes);
        Ok(Imported { resource: answer.application, outcome, notes })
    }

    async fn export(server: &Server, application_id: i64) -> Result<String, Status> {
        let request = ExportApplicationRequest { application_id };
        Ok(server.applications().export_application(request).await?.into_inner().document)
    }

    async fn validate(server: &Server, document: String) -> Result<Verdict, Status> {
        let request = ValidateApplicationRequest { document };
        let answer = server.applications().validate_application(request).await?.into_inner();
        Ok(Verdict { faults: answer.faults, notes: answer.notes })
    }
}
