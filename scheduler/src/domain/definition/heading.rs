//! What a definition says of itself before it comes to the point: its name, UUID,
//! version, home page and tags.

use crate::domain::names;

use super::{
    check,
    localized::Localized,
    report::{Report, quote_text},
    section::Section,
};

/// The name, which must be there.
pub(in crate::domain) fn name(section: &mut Section<'_>, report: &mut Report) -> Localized {
    let path = section.path("name");
    if section.get("name").is_none() {
        section.missing("name", "a name of 1 to 128 characters", report);
        return Localized::default();
    }
    let faultless = report.faults();
    let name = section.localized("name", report);
    // What is no text cannot be empty or too long besides.
    if report.faults() == faultless
        && let Err(wrong) = names::check(name.main())
    {
        report.fault(&path, wrong);
    }
    name
}

/// The UUID, in small letters.
pub(in crate::domain) fn uuid(section: &mut Section<'_>, report: &mut Report) -> Option<String> {
    let text = section.text("uuid", report)?;
    // The crate takes other forms too, which other programs do not.
    if text.len() != 36 || uuid::Uuid::try_parse(&text).is_err() {
        let problem = "is no UUID: use 32 hexadecimal digits, as \
                       01234567-89ab-4cde-8f01-23456789abcd";
        report.fault(&section.path("uuid"), format!("{} {problem}", quote_text(&text)));
        return None;
    }
    Some(text.to_ascii_lowercase())
}

/// The version: one to four numbers.
pub(in crate::domain) fn version(section: &mut Section<'_>, report: &mut Report) -> Option<String> {
    let text = section.text("version", report)?;
    let number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    if text.split('.').count() > 4 || !text.split('.').all(number) {
        let problem = "is no version: use one to four numbers without leading zeros, as 1.2.3";
        report.fault(&section.path("version"), format!("{} {problem}", quote_text(&text)));
    }
    Some(text)
}

/// The home page, at http or https.
pub(in crate::domain) fn homepage(
    section: &mut Section<'_>,
    report: &mut Report,
) -> Option<String> {
    let text = section.text("homepage", report)?;
    // People click on it, so it is nothing but a page.
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let page = matches!(scheme.as_deref(), Some("http" | "https"));
    if !page || !check::url(&text) {
        let problem = "is no home page: use a URL that begins with https:// or http://";
        report.fault(&section.path("homepage"), format!("{} {problem}", quote_text(&text)));
    }
    Some(text)
}

/// Words by which it is found; `topics` in older documents.
pub(in crate::domain) fn tags(section: &mut Section<'_>, report: &mut Report) -> Vec<String> {
    let tags = section.words("tags", report);
    let topics = section.words("topics", report);
    if section.get("topics").is_none() {
        return tags;
    }
    if section.get("tags").is_none() {
        report.note(&section.path("topics"), "is the older key: use tags");
        return topics;
    }
    report.note(&section.path("topics"), "is older than tags, which is taken instead");
    tags
}
