//! Opens object stores of clouds. What they need besides the bucket comes from the
//! environment, under the names that each cloud's own programs use.

use std::{sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    path::Path as Name,
    prefix::PrefixStore,
};
use url::Url;

use super::{error, place::Cloud};

/// How one request is tried again: for long enough to get over a hiccup, and so
/// briefly that who waits is told of an outage. Beyond it, those who keep what has
/// to be stored try on.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 4,
        retry_timeout: Duration::from_secs(10),
    }
}

/// A store, and the server that it is on, if that is not the cloud's own.
pub(super) type Opened = (Arc<dyn ObjectStore>, Option<String>);

/// Opens a bucket; nothing is asked of it yet. The error is a sentence.
pub(super) fn open(cloud: Cloud, bucket: &str, prefix: &Name) -> Result<Opened, String> {
    // Whoever was first has chosen the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (store, endpoint, http) = match cloud {
        Cloud::S3 => {
            let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry());
            let value = |key| builder.get_config_value(&key);
            let endpoint =
                value(AmazonS3ConfigKey::S3Endpoint).or(value(AmazonS3ConfigKey::Endpoint));
            let http = value(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
            (built(cloud, prefix, builder.build())?, endpoint, http)
        }
        Cloud::Azure => {
            let builder =
                MicrosoftAzureBuilder::from_env().with_container_name(bucket).with_retry(retry());
            let value = |key| builder.get_config_value(&key);
            if value(AzureConfigKey::AccountName).is_none() {
                return Err(
                    "AZURE_STORAGE_ACCOUNT_NAME is not set: it is half of its address".to_owned()
                );
            }
            let endpoint = value(AzureConfigKey::Endpoint);
            let http = value(AzureConfigKey::Client(ClientConfigKey::AllowHttp));
            (built(cloud, prefix, builder.build())?, endpoint, http)
        }
        Cloud::Google => {
            let builder =
                GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retry());
            let value = |key| builder.get_config_value(&key);
            let endpoint = value(GoogleConfigKey::BaseUrl);
            let http = value(GoogleConfigKey::Client(ClientConfigKey::AllowHttp));
            (built(cloud, prefix, builder.build())?, endpoint, http)
        }
    };
    Ok((store, endpoint.map(|url| server(cloud, &url, http.as_deref())).transpose()?))
}

/// What is below `prefix` of a store that was built.
fn built<T: ObjectStore>(
    cloud: Cloud,
    prefix: &Name,
    store: Result<T, object_store::Error>,
) -> Result<Arc<dyn ObjectStore>, String> {
    match store {
        Ok(store) => Ok(Arc::new(PrefixStore::new(store, prefix.clone()))),
        Err(error) => {
            let reason = error::root(&error);
            Err(match reason.contains("certificate") {
                true => format!(
                    "{reason}: install ca-certificates, or name a file of them with SSL_CERT_FILE"
                ),
                false => {
                    format!("its settings are not enough ({reason}): {}", error::credentials(cloud))
                }
            })
        }
    }
}

/// The server that a URL names, without what else may be in the URL.
fn server(cloud: Cloud, url: &str, http: Option<&str>) -> Result<String, String> {
    let variable = match cloud {
        Cloud::S3 => "AWS_ENDPOINT_URL",
        Cloud::Azure => "AZURE_STORAGE_ENDPOINT",
        Cloud::Google => "GOOGLE_BASE_URL",
    };
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(parsed) = parsed.filter(Url::has_host) else {
        return Err(format!("{variable} is no URL such as https://storage.example:9000"));
    };
    let server = parsed.origin().ascii_serialization();
    let allow = match cloud {
        Cloud::S3 => "AWS_ALLOW_HTTP",
        Cloud::Azure => "AZURE_ALLOW_HTTP",
        Cloud::Google => "GOOGLE_ALLOW_HTTP",
    };
    if parsed.scheme() == "http" && http != Some("true") {
        return Err(format!(
            "{variable} is {server}, which is not encrypted: use https, or set {allow}=true if \
             nobody can listen on the way"
        ));
    }
    Ok(server)
}
