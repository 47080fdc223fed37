//! Reads the fields of requests: what comes out can be trusted.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use multiflexi_proto::{
    std_duration,
    v1::{self, VariableFile},
};
use tonic::Status;

use super::status::invalid;
use crate::{
    domain::{
        environment::{self, File, Given, Value, VariableChange, Variables},
        names,
    },
    store::{ListId, ListPage, Order, Sort, StoreError},
};

/// Most variables, and bytes in all of them, that one request may set: what Linux
/// lets a process have is of that order.
const MAX_VARIABLES_BYTES: usize = 1024 * 1024;

/// The end of the year 9999, in microseconds since the Unix epoch.
const MAX_TIME: i64 = 253_402_300_799_999_999;

/// Longest name of who asks, in characters.
const MAX_REQUESTED_BY: usize = 128;

/// The highest limit of how many jobs run at once.
const MAX_LIMIT: i32 = 1_000_000;

/// The highest priority; the lowest is its negative.
const MAX_PRIORITY: i32 = 1000;

/// Longest duration that a run template can ask for.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A name that people give.
pub(super) fn name(value: &str) -> Result<String, Status> {
    names::check(value).map_err(|wrong| invalid("name", format!("the name {wrong}")))?;
    Ok(value.to_owned())
}

/// Who asks, for the record.
pub(super) fn requested_by(value: String) -> Result<String, Status> {
    let characters = value.chars().count();
    if characters > MAX_REQUESTED_BY || value.chars().any(char::is_control) {
        let reason = format!(
            "requested_by has {characters} characters: it may have up to {MAX_REQUESTED_BY}, \
             and no control characters"
        );
        return Err(invalid("requested_by", reason));
    }
    Ok(value)
}

/// The list of a `what` that a request asks for: what is left of the request without the
/// page.
pub(super) fn list_id(what: &str, request: &impl prost::Message) -> ListId {
    ListId::of(what, &request.encode_to_vec())
}

/// A request for a page of a list.
pub(super) trait Paged: prost::Message {
    /// Takes the size and the token of the page out of it.
    fn take_page(&mut self) -> (i32, String);
}

macro_rules! paged {
    ($($request:ident,)*) => {$(
        impl Paged for v1::$request {
            fn take_page(&mut self) -> (i32, String) {
                (std::mem::take(&mut self.page_size), std::mem::take(&mut self.page_token))
            }
        }
    )*};
}

paged! {
    ListActionsRequest,
    ListAgentsRequest,
    ListApplicationsRequest,
    ListArtifactsRequest,
    ListCompaniesRequest,
    ListCredentialTypesRequest,
    ListCredentialsRequest,
    ListJobsRequest,
    ListPerformedActionsRequest,
    ListRunTemplatesRequest,
    ListSlotsRequest,
}

/// The list that a request asks for, and the size and the token of the page of it.
pub(super) fn pages(
    what: &str,
    request: &mut impl Paged,
) -> Result<(ListId, i32, String), StoreError> {
    let (size, token) = request.take_page();
    let list = list_id(what, request);
    Ok((list, size, list.open(&token)?.to_owned()))
}

/// The same, of a list that is sorted by what is chosen.
pub(super) fn list(what: &str, request: &mut impl Paged) -> Result<(ListId, ListPage), StoreError> {
    let (list, size, token) = pages(what, request)?;
    Ok((list, ListPage::parse(size, &token)?))
}

/// What a list is sorted by; `default` if the request does not say.
pub(super) fn sort(order: &str, known: &[Order], default: Sort) -> Result<Sort, Status> {
    let (name, ascending) = direction(order);
    let refuse = || no_order(name, known.iter().map(|order| order.name()));
    let by = match name {
        "" if ascending => return Ok(default),
        "id" => Order::Id,
        "name" => Order::Name,
        "created" => Order::Created,
        _ => return Err(refuse()),
    };
    if known.contains(&by) { Ok(Sort { by, ascending }) } else { Err(refuse()) }
}

/// What `order_by` names, and whether the smallest comes first.
pub(super) fn direction(order: &str) -> (&str, bool) {
    match order.trim().split_once(' ') {
        Some((name, "asc")) => (name, true),
        Some((name, "desc")) => (name, false),
        _ => (order.trim(), true),
    }
}

/// Refuses to sort a list by a name that is none of the `known`.
pub(super) fn no_order(name: &str, known: impl IntoIterator<Item = &'static str>) -> Status {
    let name: String = name.chars().take(40).collect();
    let known: Vec<&str> = known.into_iter().collect();
    let reason = format!(
        "{name:?} is nothing that this list is sorted by: use {}, or one of these with \" asc\" or \" desc\"",
        known.join(", ")
    );
    invalid("order_by", reason)
}

/// An id that must be there.
pub(super) fn id(field: &str, what: &str, value: i64) -> Result<i64, Status> {
    if value > 0 {
        return Ok(value);
    }
    Err(invalid(field, format!("{value} is no {what}'s id: ids begin at 1")))
}

/// An id of which 0 means that there is none.
pub(super) fn optional_id(field: &str, what: &str, value: i64) -> Result<Option<i64>, Status> {
    if value == 0 { Ok(None) } else { id(field, what, value).map(Some) }
}

/// A limit of how many jobs run at once; 0 is none.
pub(super) fn limit(field: &str, value: Option<i32>) -> Result<Option<u32>, Status> {
    match value {
        None | Some(0) => Ok(None),
        Some(most @ 1..=MAX_LIMIT) => Ok(Some(most.unsigned_abs())),
        Some(most) => Err(invalid(
            field,
            format!("{field} is {most}: take 1 to {MAX_LIMIT}, or 0 for no limit"),
        )),
    }
}

/// A limit that is changed: 0 takes it away.
pub(super) fn changed_limit(
    field: &str,
    value: Option<i32>,
) -> Result<Option<Option<u32>>, Status> {
    value.map(|most| limit(field, Some(most))).transpose()
}

/// Variables of which some are secret and some are files.
pub(super) fn given(
    values: HashMap<String, String>,
    secrets: Vec<String>,
    files: Vec<VariableFile>,
) -> Result<Given, Status> {
    let mut given = Given::from(variables(values)?);
    if let Some(name) = secrets.iter().find(|name| !given.contains(name)) {
        let name: String = name.chars().take(80).collect();
        let reason = format!("{name:?} is said to be secret, and is none of the variables");
        return Err(invalid("secrets", reason));
    }
    given.secret = BTreeSet::from_iter(secrets);
    for VariableFile { name, file_name, content, secret, .. } in files {
        environment::check_name(&name).map_err(|error| invalid("files", error))?;
        if given.contains(&name) {
            return Err(invalid("files", format!("{name} is given twice: give it once")));
        }
        given.set(name, Value::File(File { name: file_name, content }), secret);
    }
    environment::check_files(&given.files).map_err(|error| invalid("files", error))?;
    Ok(given)
}

/// Variables to be set and removed.
pub(super) fn variable_change(set: Given, unset: Vec<String>) -> Result<VariableChange, Status> {
    if let Some(name) = unset.iter().find(|name| set.contains(name)) {
        let reason = format!("{name} is to be set and to be removed");
        return Err(invalid("unset_environment", reason));
    }
    Ok(VariableChange { set, unset })
}

/// What is claimed first.
pub(super) fn priority(value: i32) -> Result<i32, Status> {
    if (-MAX_PRIORITY..=MAX_PRIORITY).contains(&value) {
        return Ok(value);
    }
    let reason = format!("the priority is {value}: take -{MAX_PRIORITY} to {MAX_PRIORITY}");
    Err(invalid("priority", reason))
}

/// Variables for a process.
fn variables(values: HashMap<String, String>) -> Result<Variables, Status> {
    let variables: Variables = BTreeMap::from_iter(values);
    environment::check(&variables).map_err(|error| invalid("environment", error))?;
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if bytes > MAX_VARIABLES_BYTES {
        return Err(invalid(
            "environment",
            format!(
                "the variables have {bytes} bytes; a process can be given at most {MAX_VARIABLES_BYTES}"
            ),
        ));
    }
    Ok(variables)
}

/// A time, in microseconds since the Unix epoch.
pub(super) fn time(field: &str, value: &prost_types::Timestamp) -> Result<i64, Status> {
    let microseconds = value
        .seconds
        .checked_mul(1_000_000)
        .and_then(|time| time.checked_add(i64::from(value.nanos) / 1000));
    microseconds
        .filter(|time| (0..=MAX_TIME).contains(time))
        .ok_or_else(|| invalid(field, format!("the time in {field} is not between 1970 and 9999")))
}

/// A duration in whole milliseconds.
pub(super) fn duration(
    field: &str,
    value: Option<&prost_types::Duration>,
) -> Result<Option<Duration>, Status> {
    let Some(value) = value else { return Ok(None) };
    let duration = std_duration(value)
        .ok_or_else(|| invalid(field, format!("the {field} is negative or out of range")))?;
    if duration > MAX_DURATION {
        return Err(invalid(field, format!("the {field} is longer than ten years")));
    }
    if duration.subsec_nanos() % 1_000_000 != 0 {
        return Err(invalid(
            field,
            format!("the {field} {duration:?} is not in whole milliseconds"),
        ));
    }
    Ok(Some(duration))
}
