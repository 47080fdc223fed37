//! What a run template says, with its application, its company and its credentials.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use crate::domain::{
    application::Definition,
    credential_type::CredentialType,
    environment::Given,
    ids::{ApplicationId, CompanyId, RunTemplateId},
    retention::Keep,
    retry::RetryPolicy,
};

/// Time between SIGTERM and SIGKILL, if the template does not say.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long an unreachable agent's jobs are waited for, if the template does not say.
pub const LOST_AFTER: Duration = Duration::from_secs(600);

/// What a run template says, with its application and company.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The run template.
    pub id: RunTemplateId,
    /// Its name.
    pub name: String,
    /// The application.
    pub application: ApplicationId,
    /// The application's name.
    pub application_name: String,
    /// What the application says of itself.
    pub definition: Arc<Definition>,
    /// The company.
    pub company: CompanyId,
    /// The company's name.
    pub company_name: String,
    /// The company's short name; empty if it has none.
    pub company_code: String,
    /// The company's variables.
    pub company_environment: Given,
    /// The credentials that it uses; the later wins.
    pub credentials: Vec<Credential>,
    /// Its variables.
    pub environment: Given,
    /// How long a job may run; none for no limit.
    pub timeout: Option<Duration>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// How long an unreachable job is waited for.
    pub lost_after: Duration,
    /// When a job that ended is run again by itself.
    pub retry: RetryPolicy,
    /// What happens when output does not fit into the agent's spool.
    pub overflow: Overflow,
    /// What is claimed first: the higher.
    pub priority: i32,
    /// Most jobs of it at once; none for no limit.
    pub max_running: Option<u32>,
    /// How much of its ended jobs is kept.
    pub keep: Keep,
}

impl Template {
    /// Codes of the types of credentials that the application requires and of which there
    /// is none.
    pub fn missing_credentials(&self) -> Vec<String> {
        let codes: Vec<&str> = self
            .credentials
            .iter()
            .filter_map(|credential| Some(credential.kind.as_ref()?.code.as_str()))
            .collect();
        let missing = |code: &&String| !codes.iter().any(|known| known.eq_ignore_ascii_case(code));
        self.definition.requirements.iter().filter(missing).cloned().collect()
    }
}

/// A credential that a run template uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// Its name.
    pub name: String,
    /// Its type, if it has one.
    pub kind: Option<Arc<CredentialType>>,
    /// Its variables.
    pub given: Given,
}

/// What runs jobs. The PHP MultiFlexi has others too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Executor {
    /// A process on the agent's host.
    #[default]
    Native,
}

impl fmt::Display for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Native")
    }
}

impl FromStr for Executor {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name.eq_ignore_ascii_case("native") {
            return Ok(Self::Native);
        }
        let name: String = name.chars().take(40).collect();
        Err(format!(
            "there is no executor {name:?}: this version runs jobs as processes on the agent's \
             host; take Native or none, and if a job is to run in a container, let its \
             application's executable start one"
        ))
    }
}

/// What happens to a job whose output does not fit into the agent's spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It waits in its writes.
    #[default]
    Block,
    /// It goes on; the beginning and the end of its output are kept.
    HeadTail,
    /// It is ended and has failed.
    Fail,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "block",
            Self::HeadTail => "head_tail",
            Self::Fail => "fail",
        })
    }
}

impl FromStr for Overflow {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::Block, Self::HeadTail, Self::Fail];
        all.into_iter()
            .find(|overflow| overflow.to_string() == name)
            .ok_or_else(|| format!("{name:?} is nothing that can happen to output"))
    }
}
