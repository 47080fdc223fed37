//! Names of things, each a type of its own so that one is never taken for another.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }

        impl From<$name> for i64 {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// Names a company.
    CompanyId
);
id!(
    /// Names an application.
    ApplicationId
);
id!(
    /// Names a run template.
    RunTemplateId
);
id!(
    /// Names a job.
    JobId
);
id!(
    /// Names a credential.
    CredentialId
);
id!(
    /// Names a type of credentials.
    CredentialTypeId
);
id!(
    /// Names an action of a run template.
    ActionId
);
id!(
    /// Names an action of an ended job.
    PerformedActionId
);
id!(
    /// Names an artifact.
    ArtifactId
);
id!(
    /// Names an agent.
    AgentId
);
id!(
    /// Names a scheduler, from its start to its end.
    SchedulerId
);
id!(
    /// Grows with every attempt of a job; only the highest may change the job.
    Fence
);

/// Names one attempt of a job, with the fence under which it may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptKey {
    /// The job.
    pub job: JobId,
    /// Number of the attempt within the job, from 1 on.
    pub number: i32,
    /// Its fence.
    pub fence: Fence,
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {} attempt {} (fence {})", self.job, self.number, self.fence)
    }
}
