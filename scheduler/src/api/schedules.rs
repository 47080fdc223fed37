//! `ScheduleService`.

use chrono_tz::Tz;
use multiflexi_proto::{
    duration, timestamp,
    v1::{
        self, ListSlotsRequest, ListSlotsResponse, PreviewScheduleRequest, PreviewScheduleResponse,
        ScheduleSettings, SetScheduleRequest, SetScheduleResponse,
        schedule_service_server::ScheduleService,
    },
};
use tonic::{Request, Response, Status};

use super::{Services, parse, status::invalid};
use crate::{
    domain::{
        ids::RunTemplateId,
        schedule::{
            self, Downtime, Entry, Interval, Overlap, Preview, Rhythm, Schedule, ScheduleError,
            What, local,
        },
    },
    store::{Listed, Page, ScheduleChange, ScheduleRow, SetSchedule, SlotOutcome, SlotRow},
};

/// The time of a preview that says no end.
const WEEK: i64 = 7 * 24 * 3600 * 1_000_000;

/// The longest time of a preview.
const LONGEST: i64 = 3660 * 24 * 3600 * 1_000_000;

/// Entries of a preview that says no number, and the most.
const ENTRIES: [i32; 2] = [1_000, 10_000];

fn overlap(overlap: Overlap) -> v1::ScheduleOverlap {
    match overlap {
        Overlap::Skip => v1::ScheduleOverlap::Skip,
        Overlap::Queue => v1::ScheduleOverlap::Queue,
        Overlap::Allow => v1::ScheduleOverlap::Allow,
        Overlap::Replace => v1::ScheduleOverlap::Replace,
    }
}

/// The schedule of a run template.
pub(super) fn answer(row: &ScheduleRow) -> v1::Schedule {
    let ScheduleRow { schedule, next, last, ahead } = row;
    v1::Schedule {
        interval: schedule.rhythm.interval().code().to_owned(),
        cron: schedule.rhythm.cron().to_owned(),
        time_zone: schedule.zone.name().to_owned(),
        not_before: schedule.not_before.map(timestamp),
        not_after: schedule.not_after.map(timestamp),
        delay: Some(duration(schedule.delay)),
        jitter: Some(duration(schedule.jitter)),
        overlap: overlap(schedule.overlap).into(),
        catch_up: i32::try_from(schedule.catch_up).unwrap_or(i32::MAX),
        next: next.map(timestamp),
        last: last.map(timestamp),
        description: schedule.rhythm.describe(),
        clock_was_ahead: *ahead,
    }
}

fn refuse(field: &str) -> impl Fn(ScheduleError) -> Status {
    move |error| invalid(field, error)
}

/// Which moments are asked for.
fn rhythm(settings: &ScheduleSettings) -> Result<Option<Rhythm>, Status> {
    let interval = settings.interval.as_deref().map(str::parse::<Interval>).transpose();
    let interval = interval.map_err(|error| invalid("interval", error))?;
    let (interval, cron) = match (interval, settings.cron.as_deref()) {
        (None, None) => return Ok(None),
        (None | Some(Interval::Cron), Some(cron)) => (Interval::Cron, cron),
        (Some(interval), None) => (interval, ""),
        (Some(interval), Some(_)) => {
            let reason = format!(
                "the interval {} and a cron expression contradict each other: give one of them",
                interval.code()
            );
            return Err(invalid("cron", reason));
        }
    };
    Rhythm::new(interval, cron).map(Some).map_err(|error| invalid("cron", error))
}

fn change(settings: &ScheduleSettings) -> Result<ScheduleChange, Status> {
    let bound = |field: &str, time: Option<&prost_types::Timestamp>, none: bool| match (time, none)
    {
        (Some(_), true) => Err(invalid(field, format!("{field} is both given and removed"))),
        (Some(time), false) => parse::time(field, time).map(|time| Some(Some(time))),
        (None, none) => Ok(none.then_some(None)),
    };
    let zone = settings.time_zone.as_deref().map(schedule::zone).transpose();
    let overlap = match settings.overlap() {
        v1::ScheduleOverlap::Unspecified => None,
        v1::ScheduleOverlap::Skip => Some(Overlap::Skip),
        v1::ScheduleOverlap::Queue => Some(Overlap::Queue),
        v1::ScheduleOverlap::Allow => Some(Overlap::Allow),
        v1::ScheduleOverlap::Replace => Some(Overlap::Replace),
    };
    let catch_up = settings.catch_up.map(|most| {
        let refused = |_| invalid("catch_up", format!("catch_up is {most}: take 0 to 1000"));
        u32::try_from(most).map_err(refused)
    });
    Ok(ScheduleChange {
        rhythm: rhythm(settings)?,
        zone: zone.map_err(refuse("time_zone"))?,
        not_before: bound("not_before", settings.not_before.as_ref(), settings.always_before)?,
        not_after: bound("not_after", settings.not_after.as_ref(), settings.always_after)?,
        delay: parse::duration("delay", settings.delay.as_ref())?,
        jitter: parse::duration("jitter", settings.jitter.as_ref())?,
        overlap,
        catch_up: catch_up.transpose()?,
    })
}

fn previewed(entry: Entry, zone: Tz) -> v1::Slot {
    let mut slot = v1::Slot {
        time: Some(timestamp(entry.slot)),
        local: local(entry.slot, zone),
        ..v1::Slot::default()
    };
    let outcome = match entry.what {
        What::Fires(start) => {
            slot.start = Some(timestamp(start));
            v1::SlotOutcome::Fired
        }
        What::CaughtUp(start) => {
            slot.start = Some(timestamp(start));
            v1::SlotOutcome::CaughtUp
        }
        What::Skipped(why) => {
            why.clone_into(&mut slot.note);
            v1::SlotOutcome::Skipped
        }
        What::Missed(since) => {
            slot.since = Some(timestamp(since));
            v1::SlotOutcome::Missed
        }
    };
    slot.set_outcome(outcome);
    slot
}

fn decided(row: SlotRow, zone: Tz) -> v1::Slot {
    let outcome = match row.outcome {
        SlotOutcome::Fired => v1::SlotOutcome::Fired,
        SlotOutcome::CaughtUp => v1::SlotOutcome::CaughtUp,
        SlotOutcome::Skipped => v1::SlotOutcome::Skipped,
        SlotOutcome::Missed => v1::SlotOutcome::Missed,
    };
    v1::Slot {
        time: Some(timestamp(row.slot)),
        outcome: outcome.into(),
        since: row.since.map(timestamp),
        start: None,
        job_id: row.job.map_or(0, |job| job.0),
        local: local(row.slot, zone),
        note: row.note,
        decided: Some(timestamp(row.decided)),
    }
}

fn downtimes(said: &[v1::Downtime]) -> Result<Vec<Downtime>, Status> {
    let time = |time: Option<&prost_types::Timestamp>| match time {
        Some(time) => parse::time("downtimes", time),
        None => Err(invalid("downtimes", "a downtime needs both its begin and its end")),
    };
    let mut downtimes = Vec::with_capacity(said.len());
    for down in said {
        let (from, to) = (time(down.from.as_ref())?, time(down.to.as_ref())?);
        if to <= from {
            return Err(invalid("downtimes", "a downtime is over before it begins"));
        }
        downtimes.push(Downtime { from, to });
    }
    downtimes.sort_by_key(|down| down.from);
    if downtimes.windows(2).any(|two| two[1].from < two[0].to) {
        return Err(invalid("downtimes", "two downtimes overlap: say them as one"));
    }
    Ok(downtimes)
}

impl Services {
    /// The schedule that a preview is about, which run template it is, and whether that is
    /// inactive.
    async fn previewed(
        &self,
        request: &PreviewScheduleRequest,
    ) -> Result<(Schedule, i64, bool), Status> {
        let id = parse::optional_id("run_template_id", "run template", request.run_template_id)?;
        let (mut schedule, active) = match id.map(RunTemplateId) {
            Some(id) => {
                let schedule = self.store.schedule(id).await?.schedule;
                (schedule, self.store.run_template(id).await?.active)
            }
            None => (Schedule::none(self.zone), true),
        };
        let settings = request.settings.clone().unwrap_or_default();
        change(&settings)?.apply(&mut schedule, self.zone);
        Ok((schedule, id.unwrap_or_default(), !active))
    }
}

#[tonic::async_trait]
impl ScheduleService for Services {
    async fn set_schedule(
        &self,
        request: Request<SetScheduleRequest>,
    ) -> Result<Response<SetScheduleResponse>, Status> {
        let request = request.into_inner();
        let id = parse::id("run_template_id", "run template", request.run_template_id)?;
        let id = RunTemplateId(id);
        let change = change(&request.settings.unwrap_or_default())?;
        self.store.change(SetSchedule { id, change, zone: self.zone }).await?;
        self.dispatch.schedule_changed();
        // Its jobs may no longer have to wait for each other.
        self.dispatch.job_queued();
        let run_template = Some(self.run_template(id).await?);
        Ok(Response::new(SetScheduleResponse { run_template }))
    }

    async fn preview_schedule(
        &self,
        request: Request<PreviewScheduleRequest>,
    ) -> Result<Response<PreviewScheduleResponse>, Status> {
        let request = request.into_inner();
        let (schedule, seed, inactive) = self.previewed(&request).await?;
        let now = self.store.now().await?;
        schedule.check(now).map_err(refuse("settings"))?;
        let time = |field, time: Option<&prost_types::Timestamp>| {
            time.map(|time| parse::time(field, time)).transpose()
        };
        let from = time("from", request.from.as_ref())?.unwrap_or(now);
        let to = time("to", request.to.as_ref())?.unwrap_or(from.saturating_add(WEEK));
        if to < from || to - from > LONGEST {
            return Err(invalid("to", "the preview has to end after it begins, within ten years"));
        }
        let [usual, most] = ENTRIES;
        if !(0..=most).contains(&request.limit) {
            let reason = format!("limit is {}: take 1 to {most}", request.limit);
            return Err(invalid("limit", reason));
        }
        let limit = if request.limit == 0 { usual } else { request.limit };
        let limit = usize::try_from(limit).unwrap_or_default();
        let down = downtimes(&request.downtimes)?;
        let run_time = parse::duration("run_time", request.run_time.as_ref())?.unwrap_or_default();
        let (description, zone) = (schedule.rhythm.describe(), schedule.zone);
        // It may be long: nobody else has to wait for it.
        let entries = tokio::task::spawn_blocking(move || {
            schedule.preview(&Preview { from, to, down: &down, run_time, seed, most: limit + 1 })
        });
        let mut entries = entries.await.map_err(|error| Status::internal(error.to_string()))?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let slots = entries.into_iter().map(|entry| previewed(entry, zone)).collect();
        let time_zone = zone.name().to_owned();
        Ok(Response::new(PreviewScheduleResponse { slots, more, description, time_zone, inactive }))
    }

    async fn list_slots(
        &self,
        request: Request<ListSlotsRequest>,
    ) -> Result<Response<ListSlotsResponse>, Status> {
        let mut request = request.into_inner();
        let (list, size, token) = parse::pages("slot", &mut request)?;
        let page = Page::parse(size, &token)?;
        let id = parse::id("run_template_id", "run template", request.run_template_id)?;
        let id = RunTemplateId(id);
        let zone = self.store.schedule(id).await?.schedule.zone;
        let Listed { rows, next } = self.store.slots(id, page).await?;
        let next_page_token = list.seal(&next);
        let slots = rows.into_iter().map(|row| decided(row, zone)).collect();
        Ok(Response::new(ListSlotsResponse { slots, next_page_token }))
    }
}
