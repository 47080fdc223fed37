//! A database with a million finished jobs: how soon lists answer, and how long the write
//! lock is held and others wait while a hundred thousand jobs are deleted.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use multiflexi_proto::v1::{
    ApplyRetentionRequest, ClearQueueRequest, CreateJobsRequest, GetQueueStatusRequest, JobState,
    Keep, ListJobsRequest, UpdateRunTemplateRequest, queue_service_client::QueueServiceClient,
    retention_service_client::RetentionServiceClient,
    run_template_service_client::RunTemplateServiceClient,
};
use sqlx::{ConnectOptions as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::task::JoinSet;

use crate::{
    options::{Options, Part},
    percentile::p50_p99,
    report::{Measure, Report, Target},
    system::System,
    write_lock,
};

/// Jobs that are written in one transaction.
const ROWS: u32 = 100_000;

/// How often each list is asked for.
const TIMES: usize = 20;

/// Milliseconds that a first page may take.
const PAGE: f64 = 50.0;

/// Time between two jobs that are submitted while others are deleted.
const PACE: Duration = Duration::from_millis(5);

/// How long jobs are submitted while nothing is deleted, to compare.
const QUIET: Duration = Duration::from_secs(30);

/// One of so many jobs has failed.
const FAILED: u32 = 10;

/// Jobs of a run template that are the oldest of all, and have failed.
const RARE: usize = 3;

/// Runs the part.
pub async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let system = System::start_with(options, write_lock::watched()).await?;
    let rare = system.template("/bin/false".as_ref(), "").await?;
    for _ in 0..RARE {
        let job = system.submit_one(rare).await?;
        while system.open_jobs().await?.iter().any(|open| open.id == job) {}
    }
    let template = system.template("/bin/true".as_ref(), "").await?;
    let first = system.submit_one(template).await?;
    while system.open_jobs().await?.iter().any(|job| job.id == first) {}
    let count = options.million_jobs;
    let file = system.folder().join("data/multiflexi.db");
    let mut db = SqliteConnectOptions::new()
        .filename(&file)
        .busy_timeout(Duration::from_secs(60))
        .connect()
        .await?;
    let mut made = 0;
    while made < count {
        let rows = ROWS.min(count - made);
        write(&mut db, first, i64::from(made), i64::from(rows)).await?;
        made += rows;
    }
    // What was written here is not the scheduler's to bring into the file.
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut db).await?;
    lists(&system, [template, rare], report).await?;
    let quiet = async {
        tokio::time::sleep(QUIET).await;
        Ok(())
    };
    beside(&system, template, "while nothing is deleted", quiet, report).await?;
    let cleared = clear(&system, i64::from(count / FAILED) + RARE as i64);
    beside(&system, template, "while failed jobs are deleted", cleared, report).await?;
    let retained = retain(&system, template, count);
    beside(&system, template, "while retention is applied", retained, report).await?;
    write_lock::longest(&system, report)
}

/// Copies the first job, with its attempt and artifacts.
async fn write(db: &mut SqliteConnection, first: i64, from: i64, rows: i64) -> anyhow::Result<()> {
    let columns = "runtemplate_id, app_id, company_id, env, fence, request_index, created_by, \
                   created, queued, ended, retries, priority, rank, limited";
    let sql = format!(
        "BEGIN; INSERT INTO job (id, state, attempt, {columns}) \
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
         SELECT {first} + {from} + n.i, \
         CASE (n.i % {FAILED}) WHEN 0 THEN 'failed' ELSE 'succeeded' END, 1, {columns} \
         FROM job, n WHERE job.id = {first}; \
         INSERT INTO attempt (job_id, number, fence, state, agent_id, command, queued, offered, \
         started, ended, exit_code, pid, stdout_bytes, stdout_sha256, stderr_bytes, stderr_sha256, \
         log_length) SELECT j.id, 1, a.fence, j.state, a.agent_id, a.command, a.queued, \
         a.offered, a.started, a.ended, CASE j.state WHEN 'failed' THEN 3 ELSE 0 END, a.pid, 0, \
         a.stdout_sha256, 0, a.stderr_sha256, 0 FROM job j, attempt a \
         WHERE a.job_id = {first} AND j.id > {first} + {from}; \
         INSERT INTO artifacts (job_id, attempt, source, filename, content_type, size, sha256, \
         note, state, created) SELECT j.id, 1, a.source, a.filename, a.content_type, a.size, \
         a.sha256, a.note, a.state, a.created FROM job j, artifacts a \
         WHERE a.job_id = {first} AND j.id > {first} + {from}; COMMIT;"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(db).await?;
    Ok(())
}

/// How soon the first pages are there.
async fn lists(
    system: &System,
    [template, rare]: [i64; 2],
    report: &mut Report,
) -> anyhow::Result<()> {
    let all = ListJobsRequest::default;
    let of = |template| ListJobsRequest { run_template_id: template, ..all() };
    let only = |state: JobState, filter| ListJobsRequest { states: vec![state.into()], ..filter };
    let by_end = |filter| ListJobsRequest { order_by: "ended desc".to_owned(), ..filter };
    let by_agent = || ListJobsRequest { agent: "agent".to_owned(), ..all() };
    let asked = [
        ("first page of all jobs", all(), 50),
        ("first page of failed jobs", only(JobState::Failed, all()), 50),
        ("first page of a run template", of(template), 50),
        ("first page of an exit code", ListJobsRequest { exit_code: Some(3), ..all() }, 50),
        ("first page of an agent", by_agent(), 50),
        ("first page by end", by_end(all()), 50),
        ("three failed jobs of a run template", only(JobState::Failed, of(rare)), RARE),
        ("the same by end", by_end(only(JobState::Failed, of(rare))), RARE),
        ("no running job of a run template", only(JobState::Running, of(template)), 0),
        ("no running job of an agent", only(JobState::Running, by_agent()), 0),
        ("no cancelled job of an agent", only(JobState::Cancelled, by_agent()), 0),
    ];
    for (what, request, jobs) in asked {
        let mut times = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let begun = Instant::now();
            let page = system.jobs().list_jobs(request.clone()).await?.into_inner();
            times.push(begun.elapsed());
            ensure!(page.jobs.len() == jobs, "{what} has {} jobs", page.jobs.len());
        }
        let [_, most] = p50_p99(times);
        report.add(Measure::new(Part::Million, what, most, "ms").target(Target::AtMost(PAGE)));
    }
    let mut queue = QueueServiceClient::new(system.channel());
    let begun = Instant::now();
    queue.get_queue_status(GetQueueStatusRequest {}).await?;
    let time = begun.elapsed().as_secs_f64() * 1000.0;
    report.add(Measure::new(Part::Million, "queue:status", time, "ms"));
    Ok(())
}

/// Submits jobs beside something that goes on, each when it is its time, whether the one before
/// was answered or not. Reports how long the scheduler's transactions
/// held the write lock meanwhile, and the longest time that a submit took.
async fn beside(
    system: &System,
    template: i64,
    when: &str,
    work: impl Future<Output = anyhow::Result<()>>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let before = write_lock::read(system)?;
    let (mut longest, mut submitted) = (Duration::ZERO, 0_u32);
    let began = Instant::now();
    let mut pace = tokio::time::interval(PACE);
    let submit = async {
        let mut on_their_way = JoinSet::new();
        loop {
            tokio::select! {
                _ = pace.tick() => {
                    let mut jobs = system.jobs();
                    let one = CreateJobsRequest {
                        run_template_id: template,
                        count: 1,
                        queue: true,
                        ..CreateJobsRequest::default()
                    };
                    on_their_way.spawn(async move {
                        let begun = Instant::now();
                        jobs.create_jobs(one).await.map(|_| begun.elapsed())
                    });
                }
                Some(answered) = on_their_way.join_next() => {
                    longest = longest.max(answered??);
                    submitted += 1;
                }
            }
        }
    };
    tokio::select! {
        done = work => done,
        failed = submit => failed,
    }?;
    let rate = f64::from(submitted) / began.elapsed().as_secs_f64();
    let open = system.open_jobs().await?.len();
    write_lock::report(&write_lock::read(system)?.since(&before), when, report);
    let name = format!("a job is submitted {when}, longest");
    let longest = longest.as_secs_f64() * 1000.0;
    report.add(Measure::new(Part::Million, &name, longest, "ms"));
    // As many as the pace asks for, but for what a tick is late at the end.
    let wanted = 0.95 / PACE.as_secs_f64();
    let name = format!("jobs submitted {when}");
    let rate = Measure::new(Part::Million, &name, rate, "jobs/s");
    report.add(rate.target(Target::AtLeast(wanted)));
    let name = format!("of these not ended by then (50: or more), {when}");
    report.add(Measure::new(Part::Million, &name, open as f64, ""));
    Ok(())
}

/// Deletes all that has failed.
async fn clear(system: &System, expected: i64) -> anyhow::Result<()> {
    let mut queue = QueueServiceClient::new(system.channel());
    let mut answers = queue.clear_queue(ClearQueueRequest::default()).await?.into_inner();
    let mut removed = 0;
    while let Some(answer) = answers.message().await? {
        removed = answer.removed;
    }
    ensure!(removed == expected, "{removed} jobs were deleted, not {expected}");
    Ok(())
}

/// Lets the run template keep a twentieth less than it has.
async fn retain(system: &System, template: i64, count: u32) -> anyhow::Result<()> {
    let keep =
        Keep { count: Some(i64::from(count - count / FAILED - count / 20)), ..Keep::default() };
    let update = UpdateRunTemplateRequest {
        run_template_id: template,
        keep: Some(keep),
        ..UpdateRunTemplateRequest::default()
    };
    RunTemplateServiceClient::new(system.channel()).update_run_template(update).await?;
    let mut retention = RetentionServiceClient::new(system.channel());
    let mut answers =
        retention.apply_retention(ApplyRetentionRequest::default()).await?.into_inner();
    let mut last = None;
    while let Some(answer) = answers.message().await? {
        last = Some(answer.jobs);
    }
    let removed = last.context("nothing was removed")?;
    ensure!(removed >= i64::from(count / 20), "only {removed} jobs were removed");
    Ok(())
}
