//! What an argument may be that is none of the scheduler's things, but a name that belongs to
//! the command of the line: a field of what it prints, what its list is sorted by, a variable.

use std::{collections::HashMap, ffi::OsString};

use clap::{ArgMatches, CommandFactory as _};
use multiflexi_proto::v1::{
    Action, Agent, Application, Artifact, Company, Credential, CredentialType, GetActionRequest,
    GetApplicationRequest, GetCompanyRequest, GetCredentialRequest, GetRunTemplateRequest, Job,
    RunTemplate, VariableFile,
};
use serde_json::Value;

use super::candidates::Found;
use crate::{
    arguments::{self, Arguments},
    commands::{agents, resource::Resource},
    connect::Server,
    failure::Failure,
};

/// The line as far as it can be understood: its command, and the arguments that it has.
pub struct Line {
    command: String,
    arguments: ArgMatches,
}

impl Line {
    /// Reads it; none without a command.
    pub fn read(words: &[OsString]) -> Option<Self> {
        let all = arguments::with_any_values(Arguments::command()).ignore_errors(true);
        let mut found = all.try_get_matches_from(words).ok()?;
        let (command, arguments) = found.remove_subcommand()?;
        Some(Self { command, arguments })
    }

    /// What the command is about, and what it does.
    fn parts(&self) -> (&str, &str) {
        self.command.split_once(':').unwrap_or((&self.command, ""))
    }

    fn id(&self, argument: &str) -> Option<i64> {
        self.arguments.try_get_one::<i64>(argument).ok()?.copied()
    }

    /// The id that the command takes.
    fn own_id(&self) -> i64 {
        self.id("id").or_else(|| self.id("named")).unwrap_or_default()
    }

    /// The fields of what is listed or shown.
    pub fn fields(&self) -> Vec<Found> {
        let (what, "list" | "show") = self.parts() else { return Vec::new() };
        let value = match what {
            "action" => Action::default().value(),
            "agent" => agents::value(&Agent::default()),
            "application" => Application::default().value(),
            "artifact" => Artifact::default().value(),
            "company" => Company::default().value(),
            "credential" => Credential::default().value(),
            "credential-type" => CredentialType::default().value(),
            "job" => Job::default().value(),
            "runtemplate" => RunTemplate::default().value(),
            _ => Value::Null,
        };
        let names = value.as_object().into_iter().flatten().map(|(name, _)| name);
        names.map(|name| (name.clone(), String::new())).collect()
    }

    /// What the list can be sorted by.
    pub fn orders(&self) -> Vec<Found> {
        let names: &[&str] = match self.parts().0 {
            "job" => &["id", "created", "ended"],
            "agent" => &["id", "name"],
            _ => &["id", "name", "created"],
        };
        let both = |name: &&str| [(*name).to_owned(), format!("{name} desc")];
        names.iter().flat_map(both).map(|order| (order, String::new())).collect()
    }

    /// The variables, or the settings, that the thing of the line has, with their values.
    pub async fn variables(&self, server: &Server) -> Result<Vec<Found>, Failure> {
        let id = self.own_id();
        Ok(match self.parts().0 {
            "company" => {
                let request = GetCompanyRequest { company_id: id };
                let found = server.companies().get_company(request).await?.into_inner();
                found.company.map(|one| named(one.environment, one.files)).unwrap_or_default()
            }
            "runtemplate" => {
                let template = run_template(server, id).await?;
                template.map(|one| named(one.environment, one.files)).unwrap_or_default()
            }
            "credential" => {
                let request = GetCredentialRequest { credential_id: id };
                let found = server.credentials().get_credential(request).await?.into_inner();
                let names = found.credential.map(|one| one.variables).unwrap_or_default();
                names.into_iter().map(|name| (name, String::new())).collect()
            }
            "action" => {
                let request = GetActionRequest { action_id: id };
                let found = server.actions().get_action(request).await?.into_inner();
                found.action.map(|one| named(one.settings, Vec::new())).unwrap_or_default()
            }
            _ => Vec::new(),
        })
    }

    /// The variables that the application of the line declares, ready for their values.
    pub async fn declared(&self, server: &Server) -> Result<Vec<Found>, Failure> {
        let application_id = match (self.id("app"), self.id("template")) {
            (Some(application), _) => application,
            (None, template) => {
                let template = run_template(server, template.unwrap_or(self.own_id())).await?;
                template.map(|one| one.application_id).unwrap_or_default()
            }
        };
        let request = GetApplicationRequest { application_id };
        let found = server.applications().get_application(request).await?.into_inner();
        let fields = found.application.map(|one| one.fields).unwrap_or_default();
        Ok(fields.into_iter().map(|one| (format!("{}=", one.name), one.description)).collect())
    }
}

async fn run_template(server: &Server, id: i64) -> Result<Option<RunTemplate>, Failure> {
    let request = GetRunTemplateRequest { run_template_id: id };
    Ok(server.run_templates().get_run_template(request).await?.into_inner().run_template)
}

fn named(texts: HashMap<String, String>, files: Vec<VariableFile>) -> Vec<Found> {
    let files = files.into_iter().map(|file| (file.name, file.file_name));
    let mut all: Vec<Found> = texts.into_iter().chain(files).collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str]) -> Line {
        let words = ["multiflexi-cli"].iter().chain(words);
        Line::read(&words.map(OsString::from).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_line_is_read_as_far_as_it_goes() {
        let read = line(&["-f", "json", "run-template:update", "7", "--unset", ""]);
        assert_eq!((read.parts(), read.own_id()), (("runtemplate", "update"), 7));
        let read = line(&["job:create", "--template", "5", "--count", "x", "--env", ""]);
        assert_eq!(read.id("template"), Some(5));
        assert!(Line::read(&["multiflexi-cli".into(), "".into()]).is_none());
    }

    #[test]
    fn fields_and_orders_are_those_of_the_command() {
        let names = |found: Vec<Found>| found.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let jobs = line(&["job:list", "--fields", ""]);
        assert!(names(jobs.fields()).contains(&"run_template_name".to_owned()));
        assert_eq!(names(jobs.orders())[..2], ["id", "id desc"]);
        assert_eq!(names(line(&["agent:list", "--order", ""]).orders())[2], "name");
        assert_eq!(names(line(&["job:verify", "1", "--fields", ""]).fields()), [""; 0]);
    }
}
