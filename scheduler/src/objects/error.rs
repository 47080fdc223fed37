//! What can go wrong with an object store, as sentences for its user: which store,
//! what is wrong, what to do. What a server answers is quoted only as far as it is
//! its code and message.

use std::error::Error as StdError;

use object_store::client::{HttpError, HttpErrorKind};

use super::place::Cloud;

/// What can go wrong with the object store.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ObjectError {
    /// No room is left.
    #[error("the store for logs and artifacts has no room left: free some space")]
    Full,
    /// It cannot be asked at the moment.
    #[error("the object store {store} is away: {reason}")]
    Away {
        /// The store.
        store: String,
        /// Why, and what to do.
        reason: String,
    },
    /// It says no.
    #[error("the object store {store} cannot be used: {reason}")]
    Refused {
        /// The store.
        store: String,
        /// Why, and what to do.
        reason: String,
    },
    /// An object is not there.
    #[error(
        "the object {object} is not in the object store {store}: what it held is lost, or is in \
         another store"
    )]
    Missing {
        /// The store.
        store: String,
        /// The object.
        object: String,
    },
    /// An object cannot be read or written.
    #[error("the object store {store} failed: {reason}")]
    Failed {
        /// The store.
        store: String,
        /// Why.
        reason: String,
    },
}

impl ObjectError {
    /// Whether it passes without a change of ours: when the store is back, or is set
    /// right. Nothing is given up for such an error.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Full | Self::Away { .. } | Self::Refused { .. })
    }
}

/// What is known of a store besides its error.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// How to name it.
    pub(super) name: String,
    /// Whose it is; none for a folder.
    pub(super) cloud: Option<Cloud>,
}

/// The causes of an error, itself first.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The innermost cause: what happened, without what was done meanwhile.
pub(super) fn root(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

impl Told {
    /// The error as a sentence; `object` is what was asked for.
    pub(super) fn explain(&self, object: &str, error: &object_store::Error) -> ObjectError {
        let io = causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>());
        if io.is_some_and(|io| {
            use std::io::ErrorKind::{QuotaExceeded, StorageFull};
            matches!(io.kind(), StorageFull | QuotaExceeded)
        }) {
            return ObjectError::Full;
        }
        let store = self.name.clone();
        match self.cloud {
            Some(cloud) => self.explain_answer(cloud, object, error),
            None => match error {
                object_store::Error::NotFound { .. } => {
                    ObjectError::Missing { store, object: object.to_owned() }
                }
                error => ObjectError::Failed { store, reason: root(error) },
            },
        }
    }

    fn explain_answer(
        &self,
        cloud: Cloud,
        object: &str,
        error: &object_store::Error,
    ) -> ObjectError {
        let store = self.name.clone();
        let text = error.to_string();
        let answer = Answer::of(&text);
        let refused = |reason: String| ObjectError::Refused { store: store.clone(), reason };
        if METADATA.iter().any(|host| text.contains(host)) {
            return refused(format!("no credentials were found: {}", credentials(cloud)));
        }
        if answer.is_about_bucket() {
            return refused(format!("there is no such bucket{answer}: create it, or name another"));
        }
        if answer.is_about_region() || text.contains("without LOCATION") {
            return refused(format!(
                "the bucket is in another region{answer}: set AWS_REGION to it"
            ));
        }
        if let object_store::Error::NotFound { .. } = error {
            return ObjectError::Missing { store, object: object.to_owned() };
        }
        let http = causes(error).find_map(|cause| cause.downcast_ref::<HttpError>());
        if let Some(http) = http {
            let cause = root(http);
            let reason = match http.kind() {
                HttpErrorKind::Connect => format!(
                    "it cannot be reached ({cause}); check {} and the network",
                    address(cloud)
                ),
                HttpErrorKind::Timeout => "it does not answer in time".to_owned(),
                _ => format!("the connection broke off ({cause})"),
            };
            return ObjectError::Away { store, reason };
        }
        match answer.status {
            Some(401 | 403) => {
                refused(format!("access is refused{answer}: {}", credentials(cloud)))
            }
            Some(429 | 408 | 500..) => {
                ObjectError::Away { store, reason: format!("it has trouble of its own{answer}") }
            }
            Some(_) => refused(format!("it takes no request of ours{answer}")),
            None => ObjectError::Failed { store, reason: root(error) },
        }
    }
}

/// Where clouds' machines ask for credentials when the environment has none.
const METADATA: [&str; 3] = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];

/// What to check when access is refused.
pub(super) fn credentials(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::S3 => {
            "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may read, write, \
             list and delete there"
        }
        Cloud::Azure => {
            "check AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, and that they may \
             read, write, list and delete there"
        }
        Cloud::Google => {
            "check GOOGLE_SERVICE_ACCOUNT, and that it may read, write, list and delete there"
        }
    }
}

/// What says where the server is.
fn address(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::S3 => "AWS_ENDPOINT_URL, AWS_REGION",
        Cloud::Azure => "AZURE_STORAGE_ACCOUNT_NAME",
        Cloud::Google => "the name of the bucket",
    }
}

/// What a server has answered, as far as an error's text tells.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    status: Option<u16>,
    code: String,
    message: String,
}

impl Answer {
    fn of(text: &str) -> Self {
        let element = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            let (value, _) = rest.split_once('<')?;
            Some(value.lines().next().unwrap_or_default().trim().to_owned())
        };
        let status =
            text.split_once("status code: ").and_then(|(_, rest)| rest.get(..3)?.parse().ok());
        Self {
            status,
            code: element("Code").unwrap_or_default(),
            message: element("Message").unwrap_or_default(),
        }
    }

    fn is_about_bucket(&self) -> bool {
        matches!(self.code.as_str(), "NoSuchBucket" | "ContainerNotFound")
    }

    fn is_about_region(&self) -> bool {
        matches!(
            self.code.as_str(),
            "AuthorizationHeaderMalformed"
                | "PermanentRedirect"
                | "IllegalLocationConstraintException"
        ) || matches!(self.status, Some(301 | 307))
    }
}

impl std::fmt::Display for Answer {
    /// In brackets after what it means to us.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code.as_str(), self.message.trim_end_matches('.'), self.status) {
            ("", _, Some(status)) => write!(f, " (it answers {status})"),
            ("", _, None) => Ok(()),
            (code, "", _) => write!(f, " ({code})"),
            (code, message, _) => write!(f, " ({code}: {message})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(cloud: Cloud) -> Told {
        Told { name: format!("{}://logs", cloud.scheme()), cloud: Some(cloud) }
    }

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "test", source: text.to_owned().into() }
    }

    fn denied(text: &str) -> object_store::Error {
        object_store::Error::PermissionDenied { path: "a".into(), source: text.to_owned().into() }
    }

    fn not_found(text: &str) -> object_store::Error {
        object_store::Error::NotFound { path: "a".into(), source: text.to_owned().into() }
    }

    #[test]
    fn each_cloud_says_what_to_check_when_access_is_refused() {
        let body = "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?>\
                    <Error><Code>AuthenticationFailed</Code><Message>Wrong signature.\n\
                    RequestId:1</Message><Secret>hidden</Secret></Error>";
        for (cloud, variable) in [
            (Cloud::S3, "AWS_ACCESS_KEY_ID"),
            (Cloud::Azure, "AZURE_STORAGE_ACCOUNT_KEY"),
            (Cloud::Google, "GOOGLE_SERVICE_ACCOUNT"),
        ] {
            let error = told(cloud).explain("a", &denied(body));
            assert!(error.passes());
            let text = error.to_string();
            assert!(
                text.contains("access is refused (AuthenticationFailed: Wrong signature)"),
                "{text}"
            );
            assert!(text.contains(variable) && !text.contains("hidden"), "{text}");
            assert!(text.contains(&format!("{}://logs", cloud.scheme())), "{text}");
        }
    }

    #[test]
    fn a_bucket_that_is_not_there_is_told_from_an_object_that_is_not() {
        for (cloud, code) in [
            (Cloud::S3, "NoSuchBucket"),
            (Cloud::Azure, "ContainerNotFound"),
            (Cloud::Google, "NoSuchBucket"),
        ] {
            let body = format!("status code: 404 Not Found: <Error><Code>{code}</Code></Error>");
            let error = told(cloud).explain("a", &not_found(&body));
            assert!(error.passes() && error.to_string().contains("no such bucket"), "{error}");
        }
        let body = "status code: 404 Not Found: <Error><Code>NoSuchKey</Code></Error>";
        let error = told(Cloud::S3).explain("logs/1", &not_found(body));
        assert_eq!(
            error,
            ObjectError::Missing { store: "s3://logs".into(), object: "logs/1".into() }
        );
        assert!(!error.passes());
    }

    #[test]
    fn another_region_no_credentials_and_a_busy_server_are_named() {
        let region = "status code: 400 Bad Request: <Error><Code>AuthorizationHeaderMalformed\
                      </Code><Message>the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message></Error>";
        let error = told(Cloud::S3).explain("a", &generic(region)).to_string();
        assert!(error.contains("AWS_REGION") && error.contains("expecting 'eu-west-1'"), "{error}");
        let bare = "Received redirect without LOCATION, this normally indicates";
        let error = told(Cloud::S3).explain("a", &generic(bare)).to_string();
        assert!(error.contains("AWS_REGION"), "{error}");
        let metadata = "Error performing PUT http://169.254.169.254/latest/api/token in 3s";
        let error = told(Cloud::S3).explain("a", &generic(metadata)).to_string();
        assert!(error.contains("no credentials") && error.contains("AWS_ACCESS_KEY_ID"), "{error}");
        let busy = "status code: 503 Service Unavailable: <Error><Code>SlowDown</Code></Error>";
        let error = told(Cloud::Azure).explain("a", &generic(busy));
        assert!(
            matches!(&error, ObjectError::Away { reason, .. } if reason.contains("SlowDown")),
            "{error}"
        );
    }

    #[test]
    fn a_server_that_cannot_be_reached_is_away() {
        for (kind, why) in [
            (HttpErrorKind::Connect, "cannot be reached (Connection refused"),
            (HttpErrorKind::Timeout, "does not answer in time"),
            (HttpErrorKind::Interrupted, "broke off"),
        ] {
            let cause = std::io::Error::from_raw_os_error(111);
            let source = Box::new(HttpError::new(kind, cause));
            let error = object_store::Error::Generic { store: "test", source };
            for cloud in [Cloud::S3, Cloud::Azure, Cloud::Google] {
                let error = told(cloud).explain("a", &error);
                assert!(
                    matches!(&error, ObjectError::Away { reason, .. } if reason.contains(why)),
                    "{error}"
                );
            }
        }
    }
}
