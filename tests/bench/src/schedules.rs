//! Many run templates whose schedules are due at one instant: how soon their jobs start.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use multiflexi_proto::{
    timestamp_micros,
    v1::{
        CreateRunTemplateRequest, GetRunTemplateRequest, ListJobsRequest, ScheduleSettings,
        SetScheduleRequest, WatchRequest, run_template_service_client::RunTemplateServiceClient,
        schedule_service_client::ScheduleServiceClient,
    },
};
use tokio::task::JoinSet;

use crate::{
    batch::{PROGRAM, WARM_UP, run_one},
    options::{Options, Part},
    percentile::p50_p99,
    report::{Measure, Report},
    system::System,
};

/// Calls that are under way at once while run templates are made.
const AT_ONCE: usize = 64;

/// Until the instant, from when the first schedule is set: long enough for all.
const AHEAD: u64 = 20;

/// Runs the part.
pub async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let system = System::start(options).await?;
    let first = system.template(Path::new(PROGRAM), "").await?;
    run_one(&system, first, WARM_UP).await?;
    let templates = copies(&system, first, options.templates).await?;
    let instant = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + AHEAD;
    schedule(&system, &templates, instant).await?;

    let mut changes = system.jobs().watch(WatchRequest::default()).await?.into_inner();
    ensure!(
        SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() < instant,
        "setting the schedules took more than {AHEAD} s: take fewer --templates"
    );
    let (mut ended, mut left) = (BTreeMap::new(), templates.len());
    while left > 0 {
        let answer = changes.message().await?.context("the watch has ended")?;
        for change in answer.changes.iter().filter(|change| change.state().is_terminal()) {
            ended.insert(change.job_id, change.time.as_ref().map(timestamp_micros));
            left -= 1;
        }
    }
    let instant = i64::try_from(instant)? * 1_000_000;
    let late = |time: i64| Duration::from_micros(u64::try_from(time - instant).unwrap_or(0));
    let starts = starts(&system, instant).await?;
    ensure!(starts.len() == templates.len(), "{} jobs have that slot", starts.len());
    let [p50, p99] = p50_p99(starts.into_iter().map(late).collect());
    let last = ended.values().filter_map(|time| *time).max().map_or(Duration::ZERO, late);

    let count = templates.len();
    let measure = |what: &str, value, unit| Measure::new(Part::Schedules, what, value, unit);
    report.add(measure(&format!("{count} due at one instant, until started, p50"), p50, "ms"));
    report.add(measure("the same, p99", p99, "ms"));
    let seconds = last.as_secs_f64();
    report.add(measure("from the instant until the last has ended", seconds * 1000.0, "ms"));
    report.add(measure("jobs of that time", count as f64 / seconds, "jobs/s"));
    Ok(())
}

/// Does something with each of `items`, some at once.
async fn each<T, R, F>(items: Vec<T>, mut call: impl FnMut(T) -> F) -> anyhow::Result<Vec<R>>
where
    R: Send + 'static,
    F: Future<Output = anyhow::Result<R>> + Send + 'static,
{
    let (mut calls, mut done) = (JoinSet::new(), Vec::with_capacity(items.len()));
    for item in items {
        if calls.len() >= AT_ONCE {
            done.push(calls.join_next().await.context("a call is missing")???);
        }
        calls.spawn(call(item));
    }
    while let Some(result) = calls.join_next().await {
        done.push(result??);
    }
    Ok(done)
}

/// Run templates like one.
async fn copies(system: &System, like: i64, count: u32) -> anyhow::Result<Vec<i64>> {
    let mut client = RunTemplateServiceClient::new(system.channel());
    let request = GetRunTemplateRequest { run_template_id: like };
    let like = client.get_run_template(request).await?.into_inner();
    let like = like.run_template.context("the answer has no run template")?;
    each((0..count).collect(), |index| {
        let mut client = client.clone();
        let request = CreateRunTemplateRequest {
            name: format!("scheduled {index}"),
            application_id: like.application_id,
            company_id: like.company_id,
            ..CreateRunTemplateRequest::default()
        };
        async move {
            let made = client.create_run_template(request).await?.into_inner();
            Ok(made.run_template.context("the answer has no run template")?.id)
        }
    })
    .await
}

/// Makes all of them due at one instant, in seconds since the Unix epoch.
async fn schedule(system: &System, templates: &[i64], instant: u64) -> anyhow::Result<()> {
    let (second, minute, hour) = (instant % 60, instant / 60 % 60, instant / 3600 % 24);
    let cron = format!("{second} {minute} {hour} * * *");
    let client = ScheduleServiceClient::new(system.channel());
    each(templates.to_vec(), |run_template_id| {
        let mut client = client.clone();
        let settings = ScheduleSettings {
            cron: Some(cron.clone()),
            time_zone: Some("UTC".to_owned()),
            ..ScheduleSettings::default()
        };
        let request = SetScheduleRequest { run_template_id, settings: Some(settings) };
        async move { Ok(client.set_schedule(request).await.map(|_| ())?) }
    })
    .await?;
    Ok(())
}

/// When the jobs of a slot were started, in microseconds since the Unix epoch.
async fn starts(system: &System, slot: i64) -> anyhow::Result<Vec<i64>> {
    let mut starts = Vec::new();
    let mut request = ListJobsRequest { page_size: 1000, ..ListJobsRequest::default() };
    loop {
        let page = system.jobs().list_jobs(request.clone()).await?.into_inner();
        let of_slot = |job: &&multiflexi_proto::v1::Job| {
            job.slot.as_ref().is_some_and(|time| timestamp_micros(time) == slot)
        };
        for job in page.jobs.iter().filter(of_slot) {
            starts.push(job.started.as_ref().map(timestamp_micros).context("it was not started")?);
        }
        if page.next_page_token.is_empty() {
            return Ok(starts);
        }
        request.page_token = page.next_page_token;
    }
}
