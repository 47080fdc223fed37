//! What the rows of a run template say.

use std::{collections::BTreeSet, time::Duration};

use super::CREDENTIAL;
use crate::{
    adoption::{
        Error,
        map::{merge::Fields, variables},
        source::{FILE_STORE, Row, Source},
    },
    domain::{
        application::Definition,
        environment,
        retry::{Backoff, MAX_ATTEMPTS, RetryPolicy},
    },
};

/// The variables of a run template.
pub(super) fn read_variables(
    rows: &[&Row],
    definition: &Definition,
    hidden: &BTreeSet<String>,
    said: &mut Vec<String>,
) -> environment::Given {
    let secret = |name: &str, row: &Row| {
        let kind = row.text("config_type").unwrap_or_default();
        matches!(kind.as_str(), "password" | "secret")
            || hidden.contains(name)
            || definition.environment.get(name).is_some_and(|field| field.secret)
    };
    let (given, left_out) = variables::read(rows.iter().copied(), "name", "value", secret);
    said.extend(left_out.into_iter().map(|reason| format!("{reason}; it is left out")));
    given
}

/// Adds the files that were uploaded for a run template.
pub(super) async fn read_files(
    source: &mut Source,
    id: i64,
    environment: &mut environment::Given,
    said: &mut Vec<String>,
) -> Result<(), Error> {
    let mut rows = source.each(&FILE_STORE, "runtemplate_id", id, "id").await?;
    while let Some(row) = rows.next().await? {
        if let Err(reason) = variables::add_file(environment, &row) {
            said.push(format!("{reason}; the file is left out"));
        }
    }
    Ok(())
}

/// Whether its schedule starts jobs there.
pub(in crate::adoption::bring) fn is_active(row: &Row) -> bool {
    row.int("active") != Some(0)
}

/// When its jobs are tried again.
pub(super) fn retry(row: &Row, said: &mut Vec<String>) -> RetryPolicy {
    let usual = RetryPolicy::default();
    let attempts = row.int("max_attempts").unwrap_or(1);
    let max_attempts = attempts.clamp(1, i64::from(MAX_ATTEMPTS));
    if attempts != max_attempts && attempts != 0 {
        said.push(format!("it has {max_attempts} attempts here and not {attempts}"));
    }
    let gap = u64::try_from(row.int("retry_min_gap").unwrap_or_default()).unwrap_or_default();
    let min_gap = Duration::from_secs(gap.min(10 * 365 * 24 * 3600));
    let backoff = row.text("retry_backoff").unwrap_or_default();
    let backoff = match backoff.parse() {
        // There the pause of both is the gap.
        Ok(Backoff::None) if !min_gap.is_zero() => Backoff::Fixed,
        Ok(backoff) => backoff,
        Err(error) => {
            if !backoff.is_empty() {
                said.push(format!("{error}; it is taken as fixed"));
            }
            Backoff::Fixed
        }
    };
    let max_gap = usual.max_gap.max(min_gap);
    let max_attempts = u32::try_from(max_attempts).unwrap_or(1);
    RetryPolicy { max_attempts, on: usual.on, backoff, min_gap, max_gap }
}

/// Adds what is compared of a run template besides its variables.
pub(super) fn describe(
    fields: &mut Fields,
    name: &str,
    (application, company): (i64, i64),
    retry: &RetryPolicy,
    uses: &BTreeSet<i64>,
) {
    let texts = [
        ("name", name.to_owned()),
        ("application", application.to_string()),
        ("company", company.to_string()),
        ("max_attempts", retry.max_attempts.to_string()),
        ("retry_backoff", retry.backoff.to_string()),
        ("retry_min_gap", retry.min_gap.as_millis().to_string()),
    ];
    fields.extend(texts.map(|(name, value)| (name.to_owned(), value)));
    fields.extend(uses.iter().map(|id| (format!("{CREDENTIAL}{id}"), String::new())));
}
