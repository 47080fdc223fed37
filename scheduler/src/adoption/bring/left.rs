//! What this version does not import: counted, and named where somebody would miss it.

use crate::adoption::{
    Error,
    report::Report,
    source::{COMPANY, RUNTEMPLATE, Row, Source},
    target::Target,
};

/// Tables of which only the number of rows is said.
const COUNTED: [(&str, &str); 9] = [
    ("user", "users"),
    ("token", "tokens"),
    ("event_source", "event sources"),
    ("event_rule", "event rules"),
    ("companyapp", "applications assigned to companies"),
    ("task", "tasks"),
    ("modconfig", "settings of modules"),
    ("schedule", "jobs in the queue"),
    ("log", "messages of the log"),
];

/// Says what is not imported.
pub async fn count(source: &mut Source, target: &mut Target) -> Result<(), Error> {
    let report = &mut target.report;
    for row in source.all(&COMPANY).await? {
        let fields = ["ic", "email"];
        let mut fields: Vec<&str> =
            fields.into_iter().filter(|field| row.text(field).is_some()).collect();
        if row.flag("enabled") {
            fields.push("enabled");
        }
        if !fields.is_empty() {
            let name = row.text("name").unwrap_or_default();
            let item = format!("company {} {name:?}: {}", row.id(), fields.join(", "));
            report.not_brought("fields of companies", item);
        }
    }
    let templates = source.all(&RUNTEMPLATE).await?;
    for row in &templates {
        of_run_template(row, report);
    }
    for (table, what) in COUNTED {
        let count = source.count(table).await?;
        if count > 0 {
            let known = report.not_brought.entry(what).or_default();
            known.count = u64::try_from(count).unwrap_or_default();
        }
    }
    Ok(())
}

fn of_run_template(row: &Row, report: &mut Report) {
    let name = row.text("name").unwrap_or_default();
    let this = format!("run template {} {name:?}", row.id());
    let mut schedule = Vec::new();
    let interval = row.text("interv").unwrap_or_default();
    if !matches!(interval.as_str(), "" | "n") {
        schedule.push(format!("interval {}", words(&interval)));
    }
    schedule.extend(row.text("cron").map(|cron| format!("cron {cron}")));
    for (column, what) in [("delay", "delay (s)"), ("allow_late", "late success")] {
        schedule.extend(row.int(column).filter(|n| *n != 0).map(|n| format!("{what} {n}")));
    }
    schedule.extend(row.text("deadline_offset").map(|offset| format!("deadline {offset}")));
    if !schedule.is_empty() {
        report.not_brought("schedules", format!("{this}: {}", schedule.join(", ")));
    }
    let executor = row.text("executor").unwrap_or_default();
    if !matches!(executor.as_str(), "" | "Native") {
        let item = format!(
            "{this}: {executor}; here it is Native, a process on the agent's host, and its \
             program has to be there"
        );
        report.not_brought("executors", item);
    }
    if row.int("active") == Some(0) {
        let item = format!("{this}: it is inactive there, and can be run here");
        report.not_brought("inactive run templates", item);
    }
    if row.text("note").is_some() {
        report.not_brought("notes of run templates", this);
    }
}

/// What an interval's letter stands for.
fn words(interval: &str) -> &str {
    match interval {
        "i" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "m" => "month",
        "y" => "year",
        "c" => "custom",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_template_with_a_schedule_or_a_note_is_named() {
        let mut report = Report::default();
        let cells = [
            ("name", "Nightly"),
            ("interv", "d"),
            ("cron", "0 2 * * *"),
            ("executor", "Docker"),
            ("active", "0"),
            ("note", "x"),
        ];
        of_run_template(&Row::of(3, &cells), &mut report);
        of_run_template(&Row::of(4, &[("interv", "n"), ("executor", "Native")]), &mut report);
        assert_eq!(
            report.not_brought["schedules"].items,
            ["run template 3 \"Nightly\": interval day, cron 0 2 * * *"]
        );
        assert_eq!(report.not_brought["executors"].count, 1);
        assert_eq!(report.not_brought.len(), 4);
    }
}
