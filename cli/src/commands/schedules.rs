//! `runtemplate:schedule`, `schedule:list`, `schedule:preview`, `schedule:history`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use multiflexi_proto::v1::{
    self, Downtime, GetRunTemplateRequest, ListRunTemplatesRequest, ListSlotsRequest,
    PreviewScheduleRequest, PreviewScheduleResponse, ScheduleOverlap, ScheduleSettings,
    SetScheduleRequest, Slot,
};
use serde_json::{Value, json};

use super::{
    pages,
    resource::given,
    run_templates::{self, schedule},
};
use crate::{
    arguments::{self, ById, Paging, Sorted},
    connect::Server,
    failure::Failure,
    output::{self, Output, json},
};

/// Reads how many missed slots are caught up.
fn catch_up(text: &str) -> Result<i32, String> {
    match text {
        "skip" => Ok(0),
        "one" => Ok(1),
        number => number
            .parse()
            .ok()
            .filter(|number| (1..=1000).contains(number))
            .ok_or_else(|| "take skip, one, or how many at most, up to 1000".to_owned()),
    }
}

/// Reads a time in which no scheduler runs.
fn downtime(text: &str) -> Result<(DateTime<Utc>, DateTime<Utc>), String> {
    let (from, to) = text.split_once("..").ok_or("a downtime looks like FROM..TO")?;
    Ok((arguments::time(from)?, arguments::time(to)?))
}

/// What is said of a schedule; what is not stays as it is.
#[derive(Debug, Args)]
struct Settings {
    /// Each minute (i), hour (h), day (d), Monday (w), first of the month (m), first of January
    /// (y), or never (n)
    #[arg(long, alias = "interv", value_name = "CODE", conflicts_with = "cron",
        value_parser = ["n", "i", "h", "d", "w", "m", "y"])]
    interval: Option<String>,
    /// A cron expression: five fields, six with seconds first, or such as @daily. Days and months
    /// may be named; L is the last day of the month, 5L the last Friday, 1#2 the second Monday
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// Where its days and hours are, such as Europe/Prague [default: the scheduler's]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// No moment before: a time of this host's zone, unless it names another as
    /// 2027-01-31T06:00:00+01:00 does; "none" for no such time
    #[arg(long, value_parser = bound, value_name = "WHEN")]
    not_before: Option<Bound>,
    /// No moment after: a time as of --not-before; "none" for no such time
    #[arg(long, value_parser = bound, value_name = "WHEN")]
    not_after: Option<Bound>,
    /// How long after its moment a job starts [default: 0s]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    delay: Option<Duration>,
    /// How much later at most, spread over run templates and moments [default: 0s]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    jitter: Option<Duration>,
    /// While the run before has not ended: leave the moment out (skip), wait for it (queue), run
    /// beside it (allow), or cancel it (replace) [default: skip]
    #[arg(long, value_parser = arguments::named(ScheduleOverlap::name), value_name = "WHAT")]
    overlap: Option<ScheduleOverlap>,
    /// What of the moments is made up for at which no scheduler ran: nothing (skip), the last
    /// (one), or so many at most, which --overlap allow is needed for [default: one]
    #[arg(long, value_parser = catch_up, value_name = "WHAT")]
    catch_up: Option<i32>,
}

/// A time, or none.
#[derive(Clone, Copy, Debug)]
enum Bound {
    At(DateTime<Utc>),
    None,
}

fn bound(text: &str) -> Result<Bound, String> {
    match text {
        "none" => Ok(Bound::None),
        time => arguments::time(time).map(Bound::At),
    }
}

impl Settings {
    fn is_empty(&self) -> bool {
        self.request() == ScheduleSettings::default()
    }

    fn request(&self) -> ScheduleSettings {
        let time = |bound: &Option<Bound>| match bound {
            Some(Bound::At(time)) => Some(arguments::timestamp(*time)),
            _ => None,
        };
        ScheduleSettings {
            interval: self.interval.clone(),
            cron: self.cron.clone(),
            time_zone: self.timezone.clone(),
            not_before: time(&self.not_before),
            always_before: matches!(self.not_before, Some(Bound::None)),
            not_after: time(&self.not_after),
            always_after: matches!(self.not_after, Some(Bound::None)),
            delay: self.delay.map(multiflexi_proto::duration),
            jitter: self.jitter.map(multiflexi_proto::duration),
            overlap: self.overlap.unwrap_or_default().into(),
            catch_up: self.catch_up,
        }
    }
}

/// `runtemplate:schedule`.
#[derive(Debug, Args)]
pub struct Set {
    #[command(flatten)]
    by: ById,
    #[command(flatten)]
    settings: Settings,
}

impl Set {
    /// Changes a schedule; shows it if nothing is said.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let run_template_id = self.by.id();
        if self.settings.is_empty() {
            let request = GetRunTemplateRequest { run_template_id };
            let answer = server.run_templates().get_run_template(request).await?;
            return show(answer.into_inner().run_template, output);
        }
        let request =
            SetScheduleRequest { run_template_id, settings: Some(self.settings.request()) };
        let answer = server.schedules().set_schedule(request).await?.into_inner();
        let template = given(answer.run_template)?;
        let next = schedule::next(template.schedule.as_ref());
        let sentence = match (next.as_str(), template.active) {
            ("", false) => "it is inactive: runtemplate:enable lets it start".to_owned(),
            ("", true) => "no job starts by itself; those that wait already stay".to_owned(),
            (next, _) => format!("the next moment is {next}"),
        };
        let id = template.id;
        output.done(&run_templates::value(&template), &format!("run template {id}: {sentence}"))
    }
}

fn show(template: Option<v1::RunTemplate>, output: Output) -> Result<(), Failure> {
    let template = given(template)?;
    let schedule = template.schedule.unwrap_or_default();
    let trouble = schedule::trouble(template.id, template.active, &schedule);
    let lasting = |time: Option<prost_types::Duration>| json::lasting(&time.unwrap_or_default());
    let fields = [
        ("run template", format!("{} ({})", template.name, template.id)),
        ("active", if template.active { "yes" } else { "no" }.to_owned()),
        ("interval", schedule.interval.clone()),
        ("cron", schedule.cron.clone()),
        ("in words", schedule.description.clone()),
        ("time zone", schedule.time_zone.clone()),
        ("not before", json::zoned(schedule.not_before.as_ref())),
        ("not after", json::zoned(schedule.not_after.as_ref())),
        ("delay", lasting(schedule.delay)),
        ("jitter up to", lasting(schedule.jitter)),
        ("overlap", schedule.overlap().name().to_owned()),
        ("catch-up", schedule::catch_up(&schedule)),
        ("next", schedule::next(Some(&schedule))),
        ("last", schedule::last(Some(&schedule))),
        ("note", trouble),
    ];
    let mut value = schedule::value(&schedule);
    value["id"] = template.id.into();
    output.one(&value, &fields)
}

/// `schedule:list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only run templates of this company
    #[arg(long, value_parser = arguments::id, value_name = "ID")]
    company: Option<i64>,
    #[command(flatten)]
    sorted: Sorted,
}

impl List {
    /// Lists run templates with a schedule.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut client = server.run_templates();
        let list = pages(&self.sorted.paging, async |page_size, page_token, list| {
            let request = ListRunTemplatesRequest {
                page_size,
                page_token,
                company_id: self.company.unwrap_or_default(),
                order_by: self.sorted.order.clone(),
                scheduled: true,
                ..ListRunTemplatesRequest::default()
            };
            let answer = client.list_run_templates(request).await?.into_inner();
            for template in &answer.run_templates {
                let schedule = template.schedule.clone().unwrap_or_default();
                let mut value = schedule::value(&schedule);
                value["id"] = template.id.into();
                value["name"] = template.name.clone().into();
                value["company_name"] = template.company_name.clone().into();
                value["active"] = template.active.into();
                list.values.push(value);
                let trouble = schedule::trouble(template.id, template.active, &schedule);
                let rhythm =
                    if schedule.cron.is_empty() { schedule.interval } else { schedule.cron };
                list.rows.push(vec![
                    template.id.to_string(),
                    template.name.clone(),
                    template.company_name.clone(),
                    rhythm,
                    schedule.time_zone,
                    schedule::next(template.schedule.as_ref()),
                    schedule::last(template.schedule.as_ref()),
                    trouble,
                ]);
            }
            list.next_page_token = answer.next_page_token;
            Ok(())
        })
        .await?;
        let header = ["ID", "NAME", "COMPANY", "SCHEDULE", "TIME ZONE", "NEXT", "LAST", "NOTE"];
        output.list("schedules", &header, list)
    }
}

/// `schedule:preview`.
#[derive(Debug, Args)]
pub struct Preview {
    /// The run template; what else is said is changed of its schedule, for the preview only.
    /// Without one, --cron or --interval says a schedule
    #[arg(value_parser = arguments::id, value_name = "ID")]
    id: Option<i64>,
    /// The first time, of this host's zone unless it names another [default: now]
    #[arg(long, value_parser = arguments::time, value_name = "WHEN")]
    from: Option<DateTime<Utc>>,
    /// The last time, as of --from [default: a week later]
    #[arg(long, value_parser = arguments::time, value_name = "WHEN")]
    to: Option<DateTime<Utc>>,
    /// Assume that no scheduler runs between two times, as of --from; may be given again
    #[arg(long, value_parser = downtime, value_name = "FROM..TO")]
    assume_down: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// Assume that each job runs so long [default: 0s]
    #[arg(long, value_parser = arguments::duration, value_name = "DURATION")]
    assume_runtime: Option<Duration>,
    /// Most moments to show
    #[arg(long, default_value_t = 1000, value_name = "N",
        value_parser = arguments::number::<i32>(1..=10_000))]
    limit: i32,
    #[command(flatten)]
    settings: Settings,
}

impl Preview {
    /// Shows what a schedule will do.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let Settings { cron, interval, .. } = &self.settings;
        if self.id.is_none() && cron.is_none() && interval.is_none() {
            let message = "nothing is said to be previewed: name a run template by its ID, or a \
                           schedule with --cron or --interval";
            return Err(Failure::usage(message));
        }
        let time = arguments::timestamp;
        let request = PreviewScheduleRequest {
            run_template_id: self.id.unwrap_or_default(),
            settings: Some(self.settings.request()),
            from: self.from.map(time),
            to: self.to.map(time),
            downtimes: self
                .assume_down
                .into_iter()
                .map(|(from, to)| Downtime { from: Some(time(from)), to: Some(time(to)) })
                .collect(),
            run_time: self.assume_runtime.map(multiflexi_proto::duration),
            limit: self.limit,
        };
        let answer = server.schedules().preview_schedule(request).await?.into_inner();
        if output.is_chatty() {
            let heading = heading(&answer);
            output::tell(&heading)?;
            if answer.slots.is_empty() {
                return Ok(());
            }
        }
        let mut list = output::List { more: Some(answer.more), ..output::List::default() };
        for slot in &answer.slots {
            list.values.push(slot_value(slot));
            let mut row = slot_row(slot);
            row[2] = json::in_offset_of(&slot.local, slot.start.as_ref());
            list.rows.push(row);
        }
        output.list("slots", &["TIME", "OUTCOME", "START", "NOTE"], list)?;
        if answer.more && output.is_chatty() {
            output::print(&format!("there are more than {}: --limit shows more\n", self.limit))?;
        }
        Ok(())
    }
}

/// What stands above a preview; all of it, if there is nothing in it.
fn heading(preview: &PreviewScheduleResponse) -> String {
    let PreviewScheduleResponse { slots, description, time_zone: zone, inactive, .. } = preview;
    let inactive = match inactive {
        true => "the run template is inactive: nothing of this will be, unless it is enabled\n",
        false => "",
    };
    match (description.as_str(), slots.is_empty()) {
        ("", _) => "there is no schedule: no job starts by itself\n".to_owned(),
        (what, true) => {
            format!("{what}, {zone}\nno moment is in this time: a later --to looks further\n")
        }
        (what, false) => format!("{inactive}{what}, {zone}\n"),
    }
}

/// `schedule:history`.
#[derive(Debug, Args)]
pub struct History {
    #[command(flatten)]
    by: ById,
    #[command(flatten)]
    paging: Paging,
}

impl History {
    /// Shows what became of slots.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut client = server.schedules();
        let list = pages(&self.paging, async |page_size, page_token, list| {
            let request = ListSlotsRequest { page_size, page_token, run_template_id: self.by.id() };
            let answer = client.list_slots(request).await?.into_inner();
            for slot in &answer.slots {
                list.values.push(slot_value(slot));
                list.rows.push(slot_row(slot));
            }
            list.next_page_token = answer.next_page_token;
            Ok(())
        })
        .await?;
        output.list("slots", &["TIME", "OUTCOME", "JOB", "NOTE"], list)
    }
}

fn slot_value(slot: &Slot) -> Value {
    json!({
        "time": json::time(slot.time.as_ref()),
        "local": slot.local,
        "outcome": slot.outcome().name(),
        "since": json::time(slot.since.as_ref()),
        "start": json::time(slot.start.as_ref()),
        "job_id": json::id(slot.job_id),
        "note": json::text(&slot.note),
        "decided": json::time(slot.decided.as_ref()),
    })
}

fn slot_row(slot: &Slot) -> Vec<String> {
    let note = match &slot.since {
        Some(since) => {
            let since = json::in_offset_of(&slot.local, Some(since));
            format!("all from {since} on: no scheduler ran")
        }
        None => slot.note.clone(),
    };
    let job = if slot.job_id == 0 { String::new() } else { slot.job_id.to_string() };
    vec![slot.local.clone(), slot.outcome().name().to_owned(), job, note]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_without_moments_says_why() {
        let preview = |description: &str, slots: Vec<Slot>| {
            let (description, time_zone) = (description.to_owned(), "UTC".to_owned());
            let (more, inactive) = (false, false);
            heading(&PreviewScheduleResponse { slots, description, time_zone, more, inactive })
        };
        assert!(preview("", Vec::new()).contains("no schedule"));
        assert!(preview("On 1 January", Vec::new()).contains("On 1 January, UTC\nno moment"));
        assert_eq!(preview("Each day", vec![Slot::default()]), "Each day, UTC\n");
    }

    #[test]
    fn what_is_caught_up_is_said_in_one_way() {
        assert_eq!(["skip", "one", "7"].map(catch_up), [Ok(0), Ok(1), Ok(7)]);
        for other in ["0", "-1", "1001", "all"] {
            assert!(catch_up(other).unwrap_err().contains("take skip, one"), "{other}");
        }
    }
}
