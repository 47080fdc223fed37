//! What an import did, or would do: for people as text, for machines as JSON.

mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::adoption::map::precedence::Difference;

/// Most ids that are named of those that share a reason.
const NAMED: usize = 20;

/// Most remarks of one sort: a list that someone reads.
const LISTED: usize = 2000;

/// What stands for those that are beyond.
const UNLISTED: &str = "there is more of this that is not listed";

/// What stands in place of a secret.
const MASK: &str = "***";

/// The kinds of things, in the order in which they are imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An application.
    Application,
    /// A company.
    Company,
    /// A prototype of types of credentials.
    CredentialPrototype,
    /// A type of credentials.
    CredentialType,
    /// A credential.
    Credential,
    /// A run template.
    RunTemplate,
    /// What follows the ends of its jobs.
    Action,
    /// When its jobs start by themselves; the ids are of the run template.
    Schedule,
    /// A job.
    Job,
    /// A file of a job.
    Artifact,
}

impl Kind {
    /// The name, as the table of what was imported has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Company => "company",
            Self::CredentialPrototype => "credential prototype",
            Self::CredentialType => "credential type",
            Self::Credential => "credential",
            Self::RunTemplate => "run template",
            Self::Action => "action",
            Self::Schedule => "schedule",
            Self::Job => "job",
            Self::Artifact => "artifact",
        }
    }
}

/// What became of the things of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// How many there are in the source.
    pub read: u64,
    /// Those that are new here.
    pub created: u64,
    /// Those that were imported before and are the same.
    pub unchanged: u64,
    /// Those that were imported before and have changed in the source.
    pub changed: u64,
    /// Those that were left out.
    pub skipped: u64,
}

/// Something that the user has to know about one thing, or about several in the same words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// Its kind.
    pub kind: Kind,
    /// What it is, in words.
    pub text: String,
    /// How many things it is about.
    pub count: u64,
    /// Ids of the first of them in the source.
    pub ids: Vec<i64>,
}

/// A thing that has another id here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Its kind.
    pub kind: Kind,
    /// Its id in the source.
    pub from: i64,
    /// Its id here.
    pub to: i64,
}

/// A variable that has another value here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Differing {
    /// The run template's id in the source.
    pub run_template: i64,
    /// Its name.
    pub name: String,
    /// The variable.
    pub variable: String,
    /// Its value there; of a secret a mask.
    pub there: String,
    /// Who gives it there.
    pub there_by: String,
    /// Its value here; of a secret a mask.
    pub here: String,
    /// Who gives it here.
    pub here_by: String,
}

/// A schedule that was brought, by this import or before, as it is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scheduled {
    /// The run template's id in the source.
    pub run_template: i64,
    /// Its name.
    pub name: String,
    /// An interval's code or a cron expression.
    pub schedule: String,
    /// Where its days and hours are.
    pub time_zone: String,
    /// When its next job starts, in that time zone; none if it starts none.
    pub next: Option<String>,
    /// It is on in the source too.
    pub on_there: bool,
}

/// What is not imported of a sort of things.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NotBrought {
    /// How many there are.
    pub count: u64,
    /// How they are brought, if they can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
    /// Each of them, where it matters.
    pub items: Vec<String>,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What names the source.
    pub source: String,
    /// Its server's program and version.
    pub server: String,
    /// The time zone that its times were read in.
    pub time_zone: String,
    /// Nothing was written.
    pub dry_run: bool,
    /// In a dry run, the database that is made first; none if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_database: Option<String>,
    /// What became of the things of each kind.
    pub counts: BTreeMap<Kind, Counts>,
    /// What was left out, and why.
    pub skipped: Vec<Remark>,
    /// What has changed in the source since the last import.
    pub changed: Vec<Remark>,
    /// What has changed on both sides and stays as it is here.
    pub kept: Vec<Remark>,
    /// What was imported otherwise than it is there.
    pub remarks: Vec<Remark>,
    /// What has another id here.
    pub ids: Vec<Moved>,
    /// Variables that have another value here, as another of those who give them wins.
    pub differences: Vec<Differing>,
    /// Schedules that were brought, as they are here now.
    pub schedules: Vec<Scheduled>,
    /// What is not imported.
    pub not_brought: BTreeMap<&'static str, NotBrought>,
    /// What of the source's tables is missing, or was converted.
    pub of_the_source: Vec<String>,
}

impl Report {
    /// The counts of a kind.
    pub fn of(&mut self, kind: Kind) -> &mut Counts {
        self.counts.entry(kind).or_default()
    }

    /// A thing is new here.
    pub fn created(&mut self, kind: Kind, id: i64, own: i64) {
        self.of(kind).created += 1;
        self.moved(kind, id, own);
    }

    /// A thing is here already, though it was not imported.
    pub fn linked(&mut self, kind: Kind, id: i64, own: i64) {
        self.of(kind).unchanged += 1;
        self.moved(kind, id, own);
    }

    fn moved(&mut self, kind: Kind, id: i64, own: i64) {
        if id != own {
            self.ids.push(Moved { kind, from: id, to: own });
        }
    }

    /// A thing was left out.
    pub fn skipped(&mut self, kind: Kind, id: i64, reason: impl Into<String>) {
        self.of(kind).skipped += 1;
        add(&mut self.skipped, kind, id, reason.into());
    }

    /// A thing has changed in the source.
    pub fn changed(&mut self, kind: Kind, id: i64, what: impl Into<String>) {
        self.of(kind).changed += 1;
        add(&mut self.changed, kind, id, what.into());
    }

    /// Something of a thing has changed on both sides.
    pub fn kept(&mut self, kind: Kind, id: i64, what: impl Into<String>) {
        add(&mut self.kept, kind, id, what.into());
    }

    /// Something was imported otherwise than it is there.
    pub fn remark(&mut self, kind: Kind, id: i64, text: impl Into<String>) {
        add(&mut self.remarks, kind, id, text.into());
    }

    /// A variable has another value here.
    pub fn differs(&mut self, run_template: i64, name: &str, difference: Difference) {
        let Difference { variable, there, there_by, here, here_by } = difference;
        let shown = |value: Option<String>| value.unwrap_or_else(|| MASK.to_owned());
        self.differences.push(Differing {
            run_template,
            name: name.to_owned(),
            variable,
            there: shown(there),
            there_by,
            here: shown(here),
            here_by,
        });
    }

    /// Something is not imported.
    pub fn not_brought(&mut self, what: &'static str, item: String) {
        let of = self.not_brought.entry(what).or_default();
        of.count += 1;
        of.items.push(item);
    }

    /// How what is not imported can be.
    pub fn hint(&mut self, what: &'static str, hint: &'static str) {
        self.not_brought.entry(what).or_default().hint = Some(hint);
    }
}

fn add(to: &mut Vec<Remark>, kind: Kind, id: i64, text: String) {
    // What is said of many stands last: it is looked for from there.
    let known = to.iter_mut().rev().find(|known| known.kind == kind && known.text == text);
    let Some(known) = known else {
        let text = if to.len() < LISTED { text } else { UNLISTED.to_owned() };
        let known = to.iter_mut().find(|known| known.kind == kind && known.text == text);
        if let Some(known) = known {
            known.count += 1;
            return;
        }
        return to.push(Remark { kind, text, count: 1, ids: vec![id] });
    };
    known.count += 1;
    if known.ids.len() < NAMED {
        known.ids.push(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_what_became_of_everything() {
        let mut report =
            Report { source: "db:3306/flexi".into(), dry_run: true, ..Report::default() };
        for id in 1..=30 {
            report.of(Kind::Job).read += 1;
            report.skipped(Kind::Job, id, "it has not ended");
        }
        report.of(Kind::Company).read = 1;
        report.created(Kind::Company, 1, 9);
        report.remark(Kind::Company, 1, "a \u{1b}[31mtext");
        report.not_brought("schedules", "run template 3 \"x\": d".into());
        report.hint("schedules", "bring them");
        let (name, time_zone) = ("x".to_owned(), "UTC".to_owned());
        let next = Some("2026-12-24T02:30:00+00:00".to_owned());
        let schedule = "30 2 24 12 *".to_owned();
        let one = Scheduled { run_template: 4, name, schedule, time_zone, next, on_there: true };
        report.schedules.push(Scheduled { next: None, on_there: false, ..one.clone() });
        report.schedules.push(one);
        report.new_database = Some("/d/multiflexi.db".into());
        let text = report.to_string();
        assert!(text.contains("/d/multiflexi.db is no database of a scheduler yet"), "{text}");
        assert!(text.contains("30 × job (1, 2, ") && text.contains("and 10 more): it has not"));
        assert!(text.contains("company 1 is 9 here") && text.contains("schedules: 1 (bring them)"));
        let schedule = "run template 4 \"x\": 30 2 24 12 * in UTC, ";
        let next = "next 2026-12-24T02:30:00+00:00; on there too";
        assert!(text.contains(&format!("{schedule}{next}")), "{text}");
        assert!(text.contains(&format!("{schedule}starts nothing; off there")), "{text}");
        assert!(!text.contains('\u{1b}') && text.contains("Nothing was written"), "{text}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["counts"]["job"]["skipped"], 30);
        assert_eq!(json["skipped"][0]["count"], 30);
        assert_eq!(json["ids"][0]["to"], 9);
    }
}
