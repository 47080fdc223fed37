//! Where an object store is: read from what the user says, which never holds
//! credentials.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use object_store::path::Path as Name;
use url::Url;

/// Where an object store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder of this host, or one that is mounted here.
    Folder(PathBuf),
    /// A bucket or container of a cloud.
    Bucket {
        /// Whose.
        cloud: Cloud,
        /// Its name.
        bucket: String,
        /// What the names of all our objects begin with.
        prefix: Name,
    },
}

/// Whose protocol an object store speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon S3, or a server that speaks its protocol.
    S3,
    /// Azure Blob Storage.
    Azure,
    /// Google Cloud Storage.
    Google,
}

impl Cloud {
    fn of(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" => Some(Self::S3),
            "az" => Some(Self::Azure),
            "gs" => Some(Self::Google),
            _ => None,
        }
    }

    /// What its URLs begin with.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Azure => "az",
            Self::Google => "gs",
        }
    }
}

impl Place {
    /// Reads a URL or the path of a folder. The error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known = "give a folder, file:///FOLDER, s3://BUCKET/PREFIX, az://CONTAINER/PREFIX or \
                     gs://BUCKET/PREFIX";
        if text.is_empty() {
            return Err(format!("the object store is an empty text: {known}"));
        }
        let Some((scheme, _)) = text.split_once("://") else {
            return Ok(Self::Folder(text.into()));
        };
        let url = Url::parse(text)
            .map_err(|error| format!("the object store is no URL ({error}): {known}"))?;
        // Neither it nor its parts are quoted: they may be the secret itself.
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(format!(
                "the {scheme}:// URL of the object store holds a user, a password or a query: \
                 credentials come from the environment alone, as arguments can be read by everybody"
            ));
        }
        if url.port().is_some() || url.fragment().is_some() {
            return Err(format!(
                "the object store {text:?} has a port or a fragment: {known}; the address of a \
                 server of your own is AWS_ENDPOINT_URL"
            ));
        }
        if scheme == "file" {
            let folder = url.to_file_path();
            return folder.map(Self::Folder).map_err(|()| {
                format!("the object store {text:?} names no folder of this host: {known}")
            });
        }
        let Some(cloud) = Cloud::of(scheme) else {
            return Err(format!("the object store {text:?} is of no kind that is known: {known}"));
        };
        let bucket = url.host_str().unwrap_or_default().to_owned();
        if bucket.is_empty() {
            return Err(format!("the object store {text:?} names no bucket: {known}"));
        }
        let prefix = Name::from_url_path(url.path())
            .map_err(|error| format!("the prefix of the object store {text:?} is none: {error}"))?;
        Ok(Self::Bucket { cloud, bucket, prefix })
    }

    /// The folder `path`.
    pub fn folder(path: &Path) -> Self {
        Self::Folder(path.to_owned())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Bucket { cloud, bucket, prefix } => {
                write!(f, "{}://{bucket}", cloud.scheme())?;
                if prefix.as_ref().is_empty() { Ok(()) } else { write!(f, "/{prefix}") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(cloud: Cloud, bucket: &str, prefix: &str) -> Place {
        Place::Bucket { cloud, bucket: bucket.to_owned(), prefix: prefix.into() }
    }

    #[test]
    fn folders_and_buckets_are_named_by_path_and_url() {
        let read = |text| Place::parse(text).unwrap();
        assert_eq!(read("/srv/objects"), Place::Folder("/srv/objects".into()));
        assert_eq!(read("objects"), Place::Folder("objects".into()));
        assert_eq!(read("file:///srv/a%20b"), Place::Folder("/srv/a b".into()));
        assert_eq!(read("s3://logs"), bucket(Cloud::S3, "logs", ""));
        assert_eq!(read("s3://logs/"), bucket(Cloud::S3, "logs", ""));
        assert_eq!(read("s3://logs/a/b/"), bucket(Cloud::S3, "logs", "a/b"));
        assert_eq!(read("az://logs/a"), bucket(Cloud::Azure, "logs", "a"));
        assert_eq!(
            read("gs://logs_of_us.example/a"),
            bucket(Cloud::Google, "logs_of_us.example", "a")
        );
        for text in ["/srv/objects", "s3://logs", "s3://logs/a/b", "az://logs/a", "gs://logs/a"] {
            assert_eq!(read(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_object_store_is_refused_with_what_is_one() {
        for (text, why) in [
            ("", "empty"),
            ("http://host/bucket", "\"http://host/bucket\" is of no kind"),
            ("ftp://host", "is of no kind"),
            ("s3://", "s3://BUCKET/PREFIX"),
            ("file://host/path", "no folder of this host"),
            ("s3://bucket:9000/a", "AWS_ENDPOINT_URL"),
            ("s3://bucket/a//b", "is none"),
        ] {
            let error = Place::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_in_a_url_are_refused_and_not_told() {
        for text in [
            "s3://AKIASECRET:hidden@bucket/a",
            "s3://hidden@bucket",
            "az://container/a?sig=hidden",
            "gs://bucket?key=hidden",
        ] {
            let error = Place::parse(text).unwrap_err();
            assert!(error.contains("environment"), "{error}");
            assert!(!error.contains("hidden") && !error.contains("SECRET"), "{error}");
        }
    }
}
