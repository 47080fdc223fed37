//! What the commands of every resource have in common: the answer that must hold one,
//! and what is said when one was made, changed or removed.

use clap::Args;
use multiflexi_proto::v1::{
    Action, Application, Artifact, Company, Credential, CredentialType, Job, PerformedAction,
    RunTemplate,
};
use serde_json::{Value, json};

use super::{
    actions, applications, artifacts, companies, credential_types, credentials, jobs, missing,
    run_templates,
};
use crate::{arguments::ById, failure::Failure, output::Output};

/// A message of the protocol that people know by a name and an id.
pub trait Resource {
    /// What people call it.
    const NAME: &str;

    /// Its id.
    fn id(&self) -> i64;

    /// What machines are told of it.
    fn value(&self) -> Value;
}

macro_rules! resources {
    ($($message:ty: $name:literal, $value:path;)*) => {$(
        impl Resource for $message {
            const NAME: &str = $name;

            fn id(&self) -> i64 {
                self.id
            }

            fn value(&self) -> Value {
                $value(self)
            }
        }
    )*};
}

resources! {
    Action: "action", actions::value;
    Application: "application", applications::value;
    Artifact: "artifact", artifacts::value;
    Company: "company", companies::value;
    Credential: "credential", credentials::value;
    CredentialType: "credential type", credential_types::value;
    Job: "job", jobs::value;
    PerformedAction: "action of a job", actions::performed_value;
    RunTemplate: "run template", run_templates::value;
}

/// What an answer must hold.
pub fn given<R: Resource>(answered: Option<R>) -> Result<R, Failure> {
    answered.ok_or_else(|| missing(R::NAME))
}

/// Refuses a change of `R` that changes nothing: `request` asks for no more than `nothing`.
pub fn some_change<R: Resource, M: PartialEq>(
    id: i64,
    request: &M,
    nothing: &M,
) -> Result<(), Failure> {
    if request != nothing {
        return Ok(());
    }
    let message = format!("nothing is said that changes {} {id}", R::NAME);
    Err(Failure::usage(message).hint("add what is to be another; --help shows all options"))
}

impl Output {
    /// Tells what was done to a resource: `created`, `changed`.
    pub fn done_to<R: Resource>(self, does: &str, answered: Option<R>) -> Result<(), Failure> {
        let resource = given(answered)?;
        self.done(&resource.value(), &format!("{does} {} {}", R::NAME, resource.id()))
    }

    /// Tells that a resource is gone.
    pub fn deleted<R: Resource>(self, id: i64) -> Result<(), Failure> {
        let value = json!({ "id": id, "deleted": true });
        self.done(&value, &format!("deleted {} {id}", R::NAME))
    }
}

/// Names one thing that is removed.
#[derive(Debug, Args)]
pub struct Delete {
    /// Which.
    #[command(flatten)]
    pub by: ById,
    /// With everything that depends on it: run templates, jobs, output, artifacts
    #[arg(long)]
    pub cascade: bool,
}
