//! What became of a run template's jobs.

use multiflexi_proto::v1::{RunTemplate, Runs};
use serde_json::{Value, json};

use crate::output::json;

/// For machines.
pub(super) fn value(template: &RunTemplate) -> Value {
    let Runs { succeeded, failed, cancelled, timed_out, lost, last_ended } =
        template.runs.unwrap_or_default();
    json!({
        "succeeded": succeeded,
        "failed": failed,
        "cancelled": cancelled,
        "timed_out": timed_out,
        "lost": lost,
        "last_ended": json::time(last_ended.as_ref()),
    })
}

/// For people: what there is of each.
pub(super) fn text(template: &RunTemplate) -> String {
    let runs = template.runs.unwrap_or_default();
    let [well, not] = columns(template);
    let cancelled = runs.cancelled;
    let all = format!(
        "{well} succeeded, {} failed, {} timed out, {} lost, {cancelled} cancelled",
        runs.failed, runs.timed_out, runs.lost
    );
    if [well, not, cancelled] == [0; 3] { "none ended yet".to_owned() } else { all }
}

/// For a table: those that ended well, and those that did not.
pub(super) fn columns(template: &RunTemplate) -> [i64; 2] {
    let runs = template.runs.unwrap_or_default();
    [runs.succeeded, runs.failed + runs.timed_out + runs.lost]
}
