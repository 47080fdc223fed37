//! What is not imported: counted, and named where somebody would miss it.

use crate::adoption::{
    Error,
    map::schedule,
    report::{Kind, Report},
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
    let brought = target.known(Kind::Schedule).await?;
    let with_schedules = target.schedules.is_some();
    let report = &mut target.report;
    for row in &source.all(&RUNTEMPLATE).await? {
        of_run_template(row, report);
        if !with_schedules && !brought.contains_key(&row.id()) {
            schedule_of(row, report);
        }
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

/// What a run template is called in the report.
fn named(row: &Row) -> String {
    format!("run template {} {:?}", row.id(), row.text("name").unwrap_or_default())
}

/// Names a schedule that was left there, whether it could be brought or not.
fn schedule_of(row: &Row, report: &mut Report) {
    let this = named(row);
    let item = match schedule::schedule(row) {
        Ok(None) => return,
        Ok(Some(there)) => format!("{this}: {}", there.rhythm),
        Err(reason) => format!("{this}: {reason}"),
    };
    report.not_brought("schedules", item);
    report.hint("schedules", "--with-schedules brings them");
}

fn of_run_template(row: &Row, report: &mut Report) {
    let this = named(row);
    let mut window = Vec::new();
    window.extend(row.text("deadline_offset").map(|offset| format!("deadline {offset}")));
    window.extend(row.flag("allow_late").then(|| "late success".to_owned()));
    if !window.is_empty() {
        report.not_brought("deadlines", format!("{this}: {}", window.join(", ")));
    }
    let executor = row.text("executor").unwrap_or_default();
    if !matches!(executor.as_str(), "" | "Native") {
        let item = format!(
            "{this}: {executor}; here it is Native, a process on the agent's host, and its \
             program has to be there"
        );
        report.not_brought("executors", item);
    }
    if row.text("note").is_some() {
        report.not_brought("notes of run templates", this);
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
            ("interv", "c"),
            ("cron", "0 2 * * *"),
            ("deadline_offset", "+2 hours"),
            ("note", "x"),
        ];
        let rows = [
            Row::of(3, &cells),
            Row::of(4, &[("name", "Odd"), ("interv", "q"), ("executor", "Docker")]),
            Row::of(5, &[("interv", "n"), ("cron", "0 2 * * *"), ("executor", "Native")]),
        ];
        for row in &rows {
            of_run_template(row, &mut report);
            schedule_of(row, &mut report);
        }
        let left = &report.not_brought;
        let [first, second] = &left["schedules"].items[..] else { panic!("{left:?}") };
        assert_eq!(first, "run template 3 \"Nightly\": 0 2 * * *");
        assert!(second.starts_with("run template 4 \"Odd\": \"q\" is no interval"), "{second}");
        assert!(left["schedules"].hint.is_some_and(|hint| hint.contains("--with-schedules")));
        assert_eq!((left["deadlines"].count, left["executors"].count, left.len()), (1, 1, 4));
    }
}
