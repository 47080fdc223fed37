//! `WebHook`: tells a server of the job, in a document of ours or in a text of the user's.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{
    EndedJob, Field, SettingError, Settings, Takes,
    asking::{Ask, Asked, url},
    event, fields,
};
use crate::{
    domain::action::{Facts, Within},
    requests::Answer,
};

/// The header that proves who sends: `t=<Unix time>,v1=<hexadecimal HMAC-SHA256>` over the
/// time, a dot and the body.
const SIGNATURE: &str = "X-MultiFlexi-Signature";

/// Tells a server of the job.
#[derive(Debug)]
pub(super) struct WebHook;

/// What a body is, by its header.
fn content_type(headers: &[(String, String)]) -> &str {
    let known = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    known.map_or("application/json", |(_, value)| value)
}

fn body(text: &str, content_type: &str, facts: &Facts) -> String {
    let within = match content_type {
        json if json.contains("json") => Within::Json,
        form if form.contains("x-www-form-urlencoded") => Within::Url,
        _ => Within::Text,
    };
    match text {
        "" => event::document(facts).to_string(),
        text => facts.fill(text, within),
    }
}

fn signature(secret: &str, time: u64, body: &str) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|_| "the secret cannot sign".to_owned())?;
    mac.update(format!("{time}.{body}").as_bytes());
    let mac: [u8; 32] = mac.finalize().into_bytes().into();
    Ok(format!("t={time},v1={}", crate::store::hex(&mac)))
}

impl Ask for WebHook {
    const NAME: &'static str = "WebHook";
    const ABOUT: &'static str = "tells a server of the job over HTTP";
    const FIELDS: &'static [Field] = &[
        Field::required("uri", "where it is told; {NAME} stands for a fact", Takes::Url).secret(),
        Field::optional("method", "the method of the request", Takes::Method).or("POST"),
        Field::optional("headers", "more headers, a line each", Takes::Headers).secret(),
        Field::optional(
            "body",
            "what is told; {NAME} stands for a fact; a JSON document of all if empty",
            Takes::Lines,
        ),
        Field::optional("secret", "signs what is told, with HMAC-SHA256", Takes::Text).secret(),
    ];

    fn check(settings: &Settings) -> Result<(), SettingError> {
        let headers = fields::headers(settings.text("headers")).unwrap_or_default();
        let kind = content_type(&headers);
        let text = body(settings.text("body"), kind, &event::example());
        let read = serde_json::from_str::<serde::de::IgnoredAny>(&text);
        match read {
            Err(error) if kind.contains("json") => Err(SettingError::new(
                "body",
                format!(
                    "body is no JSON once its placeholders are filled ({error}): put texts in \
                     quotes, or name another Content-Type in headers"
                ),
            )),
            _ => Ok(()),
        }
    }

    fn request(settings: &Settings, ended: &EndedJob) -> Result<Asked, String> {
        let mut headers = fields::headers(settings.text("headers"))?;
        let kind = content_type(&headers).to_owned();
        let body = body(settings.text("body"), &kind, &ended.facts);
        if headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("content-type")) {
            headers.push(("Content-Type".to_owned(), kind));
        }
        if !settings.text("secret").is_empty() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let signature = signature(settings.text("secret"), now, &body)?;
            headers.push((SIGNATURE.to_owned(), signature));
        }
        let url = url(settings, "uri", &ended.facts)?;
        Ok(Asked { method: settings.text("method").to_owned(), url, headers, body: body.into() })
    }

    fn outcome(_: &Settings, server: &str, answer: &Answer) -> Result<String, String> {
        Ok(format!("{server} answered {}", answer.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_time_and_body() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac sesame
        assert_eq!(
            signature("sesame", 1_700_000_000, "{\"a\":1}").unwrap(),
            "t=1700000000,v1=961ee441db69fca5ccc174d9488a77f3c0397cd3ce633bd80dbc6e3320242468"
        );
    }

    #[test]
    fn a_body_is_filled_as_its_type_wants_it() {
        let mut facts = event::example();
        facts.set("COMPANY_NAME", "A \"&\" B".to_owned());
        let filled = |kind| body("x={COMPANY_NAME}", kind, &facts);
        assert_eq!(filled("application/json; charset=utf-8"), "x=A \\\"&\\\" B");
        assert_eq!(filled("application/x-www-form-urlencoded"), "x=A%20%22%26%22%20B");
        assert_eq!(filled("text/plain"), "x=A \"&\" B");
        let document: serde_json::Value = serde_json::from_str(&body("", "", &facts)).unwrap();
        assert!(document["company"]["name"] == "A \"&\" B" && document["signal"].is_null());
    }
}
