//! Schedules of run templates, and what became of their slots. A slot is decided in one
//! transaction with the job that is made for it and the schedule's next slot: any number of
//! schedulers, restarts and clocks that jump decide it once.

mod change;
mod fire;

use std::{collections::HashMap, time::Duration};

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{
    Dialect, Listed, Page, Store, StoreError, connection::Connection, dialect::Kind, jobs,
};
use crate::domain::{
    ids::{JobId, RunTemplateId},
    schedule::{self, Rhythm, Schedule},
};

pub(super) use change::reset_next;
pub use change::{ScheduleChange, SetSchedule};
pub use fire::{FireSchedules, Fired, SlotOutcome, TrimSlots};

/// A run template's schedule.
#[derive(Clone, Debug)]
pub struct ScheduleRow {
    /// What it says.
    pub schedule: Schedule,
    /// The first slot that was not decided yet; none if there is none, or the run template is
    /// inactive.
    pub next: Option<i64>,
    /// The last slot whose job was made.
    pub last: Option<i64>,
    /// That is in the future: the clock was ahead, and no slot before it is decided again.
    pub ahead: bool,
}

/// What became of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotRow {
    /// Its run template.
    pub run_template: RunTemplateId,
    /// The slot.
    pub slot: i64,
    /// What became of it.
    pub outcome: SlotOutcome,
    /// The job that was made for it, which may be deleted by now.
    pub job: Option<JobId>,
    /// The first slot, if it stands for several that were missed.
    pub since: Option<i64>,
    /// Why it was left out; empty if it was not.
    pub note: String,
    /// When that was decided.
    pub decided: i64,
}

/// The columns of a schedule, of the run template `t`; see [`read`].
fn columns(dialect: Dialect) -> String {
    format!(
        "t.id, t.interv, t.cron, t.timezone, t.not_before, t.not_after, t.delay_ms, t.jitter_ms, \
         t.overlap, t.catch_up, t.next_schedule, t.last_schedule, \
         CASE WHEN {} THEN 1 ELSE 0 END",
        ahead(dialect)
    )
}

/// Whether the last slot of the run template `t` is further in the future than one that is in
/// time could be late.
fn ahead(dialect: Dialect) -> String {
    format!("t.last_schedule > ({}) + {}", dialect.now(), schedule::LATE.as_micros())
}

fn read(row: &AnyRow) -> Result<ScheduleRow, StoreError> {
    let text = |column: usize| row.try_get::<String, _>(column);
    let time = |column: usize| row.try_get::<Option<i64>, _>(column);
    let milliseconds = |column: usize| -> Result<Duration, sqlx::Error> {
        Ok(Duration::from_millis(row.try_get::<i64, _>(column)?.unsigned_abs()))
    };
    let interval = text(1)?.parse().map_err(jobs::decode)?;
    Ok(ScheduleRow {
        schedule: Schedule {
            rhythm: Rhythm::new(interval, &text(2)?).map_err(jobs::decode)?,
            zone: schedule::zone(&text(3)?).map_err(jobs::decode)?,
            not_before: time(4)?,
            not_after: time(5)?,
            delay: milliseconds(6)?,
            jitter: milliseconds(7)?,
            overlap: text(8)?.parse().map_err(|error: String| jobs::decode(error))?,
            catch_up: jobs::small(row, 9)?.unwrap_or_default().unsigned_abs(),
        },
        next: time(10)?,
        last: time(11)?,
        ahead: row.try_get::<i64, _>(12)? != 0,
    })
}

/// The schedule of a run template.
async fn one(
    conn: &mut Connection<'_>,
    dialect: Dialect,
    id: RunTemplateId,
) -> Result<ScheduleRow, StoreError> {
    let sql = format!("SELECT {} FROM runtemplate t WHERE t.id = $1", columns(dialect));
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.0).fetch_optional(conn).await?;
    read(&row.ok_or(StoreError::NotFound { what: "run template", id: id.0 })?)
}

impl Store {
    /// The schedule of a run template.
    pub async fn schedule(&self, id: RunTemplateId) -> Result<ScheduleRow, StoreError> {
        one(&mut *self.readers.acquire().await?, self.dialect, id).await
    }

    /// The schedules of run templates, by their ids.
    pub async fn schedules(
        &self,
        ids: &[RunTemplateId],
    ) -> Result<HashMap<RunTemplateId, ScheduleRow>, StoreError> {
        let wanted: Vec<[i64; 1]> = ids.iter().map(|id| [id.0]).collect();
        let sql = format!(
            "SELECT {} FROM runtemplate t WHERE t.id IN (SELECT r.k_id FROM {})",
            columns(self.dialect),
            self.dialect.rows("$1", &[("k_id", Kind::Int)])
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(serde_json::json!(wanted).to_string())
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| Ok((RunTemplateId(row.try_get(0)?), read(row)?))).collect()
    }

    /// How long until the next slot of any schedule; none if there is none.
    pub async fn next_slot(&self) -> Result<Option<Duration>, StoreError> {
        let mut conn = self.readers.acquire().await?;
        let now: i64 = sqlx::query_scalar(self.dialect.now()).fetch_one(&mut *conn).await?;
        let next: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(next_sql(self.dialect))).fetch_one(&mut *conn).await?;
        Ok(next.map(|next| Duration::from_micros(u64::try_from(next - now).unwrap_or(0))))
    }

    /// Run templates whose schedule waits because the clock was ahead, by id.
    pub async fn schedules_ahead(&self) -> Result<Vec<RunTemplateId>, StoreError> {
        let sql = format!(
            "SELECT t.id FROM runtemplate t WHERE t.next_schedule IS NOT NULL AND {} ORDER BY t.id",
            ahead(self.dialect)
        );
        let ids = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&self.readers).await?;
        Ok(ids.into_iter().map(RunTemplateId).collect())
    }

    /// What became of the slots of a run template, the newest first.
    pub async fn slots(
        &self,
        of: RunTemplateId,
        page: Page,
    ) -> Result<Listed<SlotRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT runtemplate_id, slot, outcome, job_id, since, note, decided \
             FROM schedule_slot WHERE runtemplate_id = $1 AND slot < $2 \
             ORDER BY slot DESC LIMIT $3",
        )
        .bind(of.0)
        .bind(page.after.unwrap_or(i64::MAX))
        .bind(page.size + 1)
        .fetch_all(&self.readers)
        .await?;
        let rows = rows.iter().map(slot).collect::<Result<_, _>>()?;
        Ok(Listed::of(rows, page.size, |row| row.slot.to_string()))
    }
}

fn next_sql(dialect: Dialect) -> String {
    format!(
        "SELECT MIN(next_schedule) FROM runtemplate {} WHERE next_schedule IS NOT NULL",
        dialect.by_index("runtemplate_next")
    )
}

fn slot(row: &AnyRow) -> Result<SlotRow, StoreError> {
    Ok(SlotRow {
        run_template: RunTemplateId(row.try_get(0)?),
        slot: row.try_get(1)?,
        outcome: row
            .try_get::<String, _>(2)?
            .parse()
            .map_err(|error: String| jobs::decode(error))?,
        job: row.try_get::<Option<i64>, _>(3)?.map(JobId),
        since: row.try_get(4)?,
        note: row.try_get(5)?,
        decided: row.try_get(6)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::transitions::tests::plan;

    #[tokio::test]
    async fn what_is_due_is_read_from_the_front_of_its_index() {
        for sql in [next_sql(Dialect::Sqlite), fire::due_sql(Dialect::Sqlite)] {
            let plan = plan(&sql).await;
            assert!(plan.contains("INDEX runtemplate_next"), "{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}
