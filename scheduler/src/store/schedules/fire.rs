//! Slots that are due: decided, and their jobs made, in one transaction with the next slot.

use std::{fmt, str::FromStr};

use sqlx::{AssertSqlSafe, Row as _};

use super::{ScheduleRow, columns, read};
use crate::{
    domain::{
        environment::Given,
        ids::{JobId, RunTemplateId},
        job::State,
        schedule::{Due, Open, Verdict},
    },
    store::{
        CancelJob, Cancelled, Change, CreateJobs, Dialect, NewJobs, Start, StoreError, Tx, jobs,
    },
};

/// Runs of a schedule that are looked at for overlaps, the newest.
const LOOKED_AT: i64 = 100;

/// Slots that are kept of each run template, the newest.
const KEPT: i64 = 1_000;

/// Who makes the jobs, for the record.
const BY: &str = "schedule";

/// What becomes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotOutcome {
    /// Its job was made in time.
    Fired,
    /// Its job was made after no scheduler had run.
    CaughtUp,
    /// It was left out because of the run before.
    Skipped,
    /// No scheduler ran, and it is not caught up.
    Missed,
}

impl SlotOutcome {
    const ALL: [Self; 4] = [Self::Fired, Self::CaughtUp, Self::Skipped, Self::Missed];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::CaughtUp => "caught_up",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
        }
    }
}

impl fmt::Display for SlotOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

impl FromStr for SlotOutcome {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|outcome| outcome.name() == name);
        found.ok_or_else(|| format!("{name:?} is nothing that becomes of a slot"))
    }
}

/// Decides slots that are due.
#[derive(Clone, Copy, Debug)]
pub struct FireSchedules {
    /// Of how many run templates at most.
    pub limit: i64,
    /// The time, in microseconds since the Unix epoch; none for the database's.
    pub now: Option<i64>,
}

/// What came of slots that were due.
#[derive(Clone, Debug, Default)]
pub struct Fired {
    /// How many run templates were looked at: as many as asked for, if there may be more.
    pub templates: usize,
    /// The jobs that were made.
    pub jobs: Vec<JobId>,
    /// Whether some of them wait for their time.
    pub delayed: bool,
    /// What became of jobs that others replace, with each.
    pub cancelled: Vec<(JobId, Cancelled)>,
}

impl Change for FireSchedules {
    type Output = Fired;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Fired, StoreError> {
        let now = self.now.unwrap_or(tx.now);
        let rows = sqlx::query(AssertSqlSafe(due_sql(tx.dialect)))
            .bind(now)
            .bind(self.limit)
            .fetch_all(&mut *tx.conn)
            .await?;
        let mut fired = Fired { templates: rows.len(), ..Fired::default() };
        for row in &rows {
            let id = RunTemplateId(row.try_get(0)?);
            let next = match read(row) {
                Ok(schedule) => fire(tx, id, &schedule, now, &mut fired).await?,
                // One that cannot be read must not stop the others.
                Err(error) => {
                    tracing::error!(run_template = %id, %error, "a schedule cannot be read; it starts no more jobs");
                    None
                }
            };
            sqlx::query("UPDATE runtemplate SET next_schedule = $1 WHERE id = $2")
                .bind(next)
                .bind(id.0)
                .execute(&mut *tx.conn)
                .await?;
        }
        Ok(fired)
    }
}

pub(super) fn due_sql(dialect: Dialect) -> String {
    format!(
        "SELECT {} FROM runtemplate t {} WHERE t.next_schedule <= $1 \
         ORDER BY t.next_schedule, t.id LIMIT $2 {}",
        columns(dialect),
        dialect.by_index("runtemplate_next"),
        dialect.skip_locked(),
    )
}

/// Decides the slots of one schedule; its next one.
async fn fire(
    tx: &mut Tx<'_>,
    id: RunTemplateId,
    row: &ScheduleRow,
    now: i64,
    fired: &mut Fired,
) -> Result<Option<i64>, StoreError> {
    let Some(first) = row.next else { return Ok(None) };
    let Due { missed, caught_up, in_time, next } = row.schedule.due(first, now);
    if let Some((since, last)) = missed {
        let why = "no scheduler ran";
        record(tx, id, (last, SlotOutcome::Missed), Some(since), why).await?;
    }
    let late = caught_up.into_iter().map(|slot| (slot, SlotOutcome::CaughtUp));
    let in_time = in_time.into_iter().map(|slot| (slot, SlotOutcome::Fired));
    for (slot, outcome) in late.chain(in_time) {
        let (open, jobs) = open(tx, id).await?;
        let verdict = row.schedule.overlap.decide(open);
        if let Verdict::Leave(why) = verdict {
            record(tx, id, (slot, SlotOutcome::Skipped), None, why).await?;
            continue;
        }
        // Decided before, if the clock was put back since: then it stays so.
        if !record(tx, id, (slot, outcome), None, "").await? {
            continue;
        }
        if verdict == Verdict::Replace {
            for job in jobs {
                let by = format!("{BY}: the next run of run template {id} replaces it");
                match (CancelJob { job, by }).apply(tx).await {
                    Ok(cancelled) => fired.cancelled.push((job, cancelled)),
                    Err(error) if error.is_answer() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let start = row.schedule.start(slot, id.0);
        let start = if start > now { Start::At(start) } else { Start::AtOnce };
        fired.delayed |= start != Start::AtOnce;
        fired.jobs.push(make(tx, id, slot, start).await?);
    }
    Ok(next)
}

/// Records what becomes of a slot; false if that was decided before.
async fn record(
    tx: &mut Tx<'_>,
    id: RunTemplateId,
    (slot, outcome): (i64, SlotOutcome),
    since: Option<i64>,
    note: &str,
) -> Result<bool, StoreError> {
    let recorded = sqlx::query(
        "INSERT INTO schedule_slot (runtemplate_id, slot, outcome, since, note, decided) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (runtemplate_id, slot) DO NOTHING",
    )
    .bind(id.0)
    .bind(slot)
    .bind(outcome.name())
    .bind(since)
    .bind(note.to_owned())
    .bind(tx.now)
    .execute(&mut *tx.conn)
    .await?;
    Ok(recorded.rows_affected() > 0)
}

/// The runs of a schedule that have not ended.
async fn open(tx: &mut Tx<'_>, id: RunTemplateId) -> Result<(Open, Vec<JobId>), StoreError> {
    let rows = sqlx::query(
        "SELECT j.id, j.state FROM schedule_slot s JOIN job j ON j.id = s.job_id \
         WHERE s.runtemplate_id = $1 ORDER BY s.slot DESC LIMIT $2",
    )
    .bind(id.0)
    .bind(LOOKED_AT)
    .fetch_all(&mut *tx.conn)
    .await?;
    let (mut open, mut ids) = (Open::default(), Vec::new());
    for row in &rows {
        let state = jobs::state(row, 1)?;
        if state.is_terminal() {
            continue;
        }
        open.waits |= matches!(state, State::Loaded | State::Queued | State::Offered);
        open.runs |= matches!(state, State::Running | State::Unreachable | State::Finishing);
        ids.push(JobId(row.try_get(0)?));
    }
    Ok((open, ids))
}

/// Makes the job of a slot.
async fn make(
    tx: &mut Tx<'_>,
    id: RunTemplateId,
    slot: i64,
    start: Start,
) -> Result<JobId, StoreError> {
    let new = NewJobs {
        run_template: id,
        company: None,
        environment: Given::default(),
        count: 1,
        queue: true,
        start,
        priority: None,
        request_id: None,
        by: BY.to_owned(),
        slot: Some(slot),
    };
    let missing = StoreError::NotFound { what: "run template", id: id.0 };
    let job = CreateJobs(new).apply(tx).await?.pop().ok_or(missing)?;
    sqlx::query("UPDATE schedule_slot SET job_id = $1 WHERE runtemplate_id = $2 AND slot = $3")
        .bind(job.0)
        .bind(id.0)
        .bind(slot)
        .execute(&mut *tx.conn)
        .await?;
    sqlx::query(
        "UPDATE runtemplate SET last_schedule = $1 \
         WHERE id = $2 AND COALESCE(last_schedule, 0) < $1",
    )
    .bind(slot)
    .bind(id.0)
    .execute(&mut *tx.conn)
    .await?;
    Ok(job)
}

/// Forgets the oldest slots of the next run template after one that has too many; the run
/// template, if there was one.
#[derive(Clone, Copy, Debug)]
pub struct TrimSlots(pub RunTemplateId);

impl Change for TrimSlots {
    type Output = Option<RunTemplateId>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<RunTemplateId>, StoreError> {
        let next: Option<i64> = sqlx::query_scalar(
            "SELECT MIN(runtemplate_id) FROM schedule_slot WHERE runtemplate_id > $1",
        )
        .bind(self.0.0)
        .fetch_one(&mut *tx.conn)
        .await?;
        let Some(id) = next else { return Ok(None) };
        let last: Option<i64> = sqlx::query_scalar(
            "SELECT slot FROM schedule_slot WHERE runtemplate_id = $1 \
             ORDER BY slot DESC LIMIT 1 OFFSET $2",
        )
        .bind(id)
        .bind(KEPT)
        .fetch_optional(&mut *tx.conn)
        .await?;
        if let Some(last) = last {
            sqlx::query("DELETE FROM schedule_slot WHERE runtemplate_id = $1 AND slot <= $2")
                .bind(id)
                .bind(last)
                .execute(&mut *tx.conn)
                .await?;
        }
        Ok(Some(RunTemplateId(id)))
    }
}
