//! `application:list`, `application:show`, `application:create`.

use clap::Args;
use multiflexi_proto::v1::{
    Application, CreateApplicationRequest, GetApplicationRequest, ListApplicationsRequest,
};
use serde_json::{Value, json};

use super::{missing, pages};
use crate::{
    arguments::Paging,
    connect::Server,
    failure::Failure,
    output::{Output, json},
};

fn value(application: &Application) -> Value {
    json!({
        "id": application.id,
        "name": application.name,
        "executable": application.executable,
        "cmdparams": application.cmdparams,
        "created": json::time(application.created.as_ref()),
    })
}

/// Lists applications.
pub async fn list(server: &Server, output: Output, paging: Paging) -> Result<(), Failure> {
    let mut client = server.applications();
    let list = pages(&paging, async |page_size, page_token, list| {
        let request = ListApplicationsRequest { page_size, page_token };
        let answer = client.list_applications(request).await?.into_inner();
        for application in answer.applications {
            list.values.push(value(&application));
            let Application { id, name, executable, cmdparams, .. } = application;
            list.rows.push(vec![id.to_string(), name, executable, cmdparams]);
        }
        list.next_page_token = answer.next_page_token;
        Ok(())
    })
    .await?;
    output.list("applications", &["ID", "NAME", "EXECUTABLE", "CMDPARAMS"], list)
}

/// Shows an application.
pub async fn show(server: &Server, output: Output, application_id: i64) -> Result<(), Failure> {
    let request = GetApplicationRequest { application_id };
    let answer = server.applications().get_application(request).await?;
    let application = answer.into_inner().application.ok_or_else(|| missing("application"))?;
    let fields = [
        ("id", application.id.to_string()),
        ("name", application.name.clone()),
        ("executable", application.executable.clone()),
        ("cmdparams", application.cmdparams.clone()),
        ("created", json::local(application.created.as_ref())),
    ];
    output.one(&value(&application), &fields)
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
}

impl Create {
    /// Creates an application.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let Self { name, executable, cmdparams } = self;
        let request = CreateApplicationRequest { name, executable, cmdparams };
        let answer = server.applications().create_application(request).await?;
        let application = answer.into_inner().application.ok_or_else(|| missing("application"))?;
        output.done(&value(&application), &format!("created application {}", application.id))
    }
}
