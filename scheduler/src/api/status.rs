//! What users learn when something fails: a gRPC status whose message is the
//! error's sentence, with the details that Google's API guide asks for.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    artifacts::ArtifactError, domain::application::Invalid, logs::LogError, objects::ObjectError,
    removal::RemovalError, store::StoreError,
};

/// When a client may try again after the store was full.
const RETRY_FULL: Duration = Duration::from_secs(5);

/// A field of a request that cannot be taken.
pub(super) fn invalid(field: &str, reason: impl std::fmt::Display) -> Status {
    let reason = reason.to_string();
    let details = ErrorDetails::with_bad_request_violation(field, reason.clone());
    Status::with_error_details(Code::InvalidArgument, reason, details)
}

fn full(error: &dyn std::fmt::Display) -> Status {
    let mut details = ErrorDetails::with_quota_failure_violation("store", error.to_string());
    details.set_retry_info(Some(RETRY_FULL));
    Status::with_error_details(Code::ResourceExhausted, error.to_string(), details)
}

fn reason(reason: &str, metadata: HashMap<String, String>) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, "multiflexi", metadata)
}

fn internal(error: &dyn std::fmt::Display) -> Status {
    tracing::error!(%error, "a request failed");
    Status::internal(error.to_string())
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::NotFound { what, id } => {
                let details = ErrorDetails::with_resource_info(what, id.to_string(), "", &message);
                Self::with_error_details(Code::NotFound, message, details)
            }
            StoreError::AlreadyExists { what, name } => {
                let details = ErrorDetails::with_resource_info(what, name, "", &message);
                Self::with_error_details(Code::AlreadyExists, message, details)
            }
            StoreError::Invalid(_) => Self::invalid_argument(message),
            StoreError::Refused(_) => {
                let details = reason("STATE", HashMap::new());
                Self::with_error_details(Code::FailedPrecondition, message, details)
            }
            StoreError::Full => full(&message),
            StoreError::Closed | StoreError::Away(_) | StoreError::Open { .. } => {
                Self::unavailable(message)
            }
            StoreError::Vault(_) => Self::failed_precondition(message),
            StoreError::Database(_) => internal(&message),
        }
    }
}

impl From<Invalid> for Status {
    fn from(invalid: Invalid) -> Self {
        let mut details = ErrorDetails::new();
        for fault in &invalid.faults {
            details.add_bad_request_violation(&fault.path, &fault.problem);
        }
        Self::with_error_details(Code::InvalidArgument, invalid.to_string(), details)
    }
}

impl From<ObjectError> for Status {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Full => full(&error),
            ObjectError::Away { .. } | ObjectError::Refused { .. } => {
                Self::unavailable(error.to_string())
            }
            ObjectError::Missing { .. } => Self::data_loss(error.to_string()),
            ObjectError::Failed { .. } => internal(&error),
        }
    }
}

impl From<RemovalError> for Status {
    fn from(error: RemovalError) -> Self {
        match error {
            RemovalError::Store(error) => error.into(),
            RemovalError::Objects(error) => error.into(),
        }
    }
}

impl From<LogError> for Status {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Store(error) => error.into(),
            LogError::Objects(error) => error.into(),
            LogError::Damaged { .. } => Self::data_loss(error.to_string()),
        }
    }
}

impl From<ArtifactError> for Status {
    fn from(error: ArtifactError) -> Self {
        let message = error.to_string();
        match error {
            // The file is still where it comes from: that is no reason to give it up.
            ArtifactError::Store(StoreError::Database(_)) => Self::unavailable(message),
            ArtifactError::Store(error) => error.into(),
            ArtifactError::Objects(error) => error.into(),
            ArtifactError::Log(error) => error.into(),
            ArtifactError::Filename(_) => invalid("filename", message),
            ArtifactError::Offset { .. } => Self::aborted(message),
            ArtifactError::Mismatch { .. } => Self::data_loss(message),
            ArtifactError::BrokeOff { .. } => Self::cancelled(message),
            ArtifactError::NotKept { .. } => Self::failed_precondition(message),
            ArtifactError::BeyondEnd { .. } => Self::out_of_range(message),
        }
    }
}
