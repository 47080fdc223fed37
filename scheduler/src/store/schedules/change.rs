//! Schedules that are changed.

use std::time::Duration;

use chrono_tz::Tz;

use super::one;
use crate::{
    domain::{
        ids::RunTemplateId,
        schedule::{Overlap, Rhythm, Schedule},
    },
    store::{Change, StoreError, Tx, transitions::admission},
};

/// What is changed of a schedule; what is absent stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ScheduleChange {
    /// Which moments.
    pub rhythm: Option<Rhythm>,
    /// Where its days and hours are.
    pub zone: Option<Tz>,
    /// No slot is before; `Some(None)` for no such time.
    pub not_before: Option<Option<i64>>,
    /// No slot is after; `Some(None)` for no such time.
    pub not_after: Option<Option<i64>>,
    /// How long after its slot a job starts.
    pub delay: Option<Duration>,
    /// How much later at most.
    pub jitter: Option<Duration>,
    /// What happens while a run before has not ended.
    pub overlap: Option<Overlap>,
    /// How many slots that were missed are caught up.
    pub catch_up: Option<u32>,
}

impl ScheduleChange {
    /// Makes the change. One that had no slots before is in `zone`, if nothing else is said.
    pub fn apply(&self, schedule: &mut Schedule, zone: Tz) {
        let change = self.clone();
        if schedule.rhythm.is_none() {
            schedule.zone = zone;
        }
        schedule.rhythm = change.rhythm.unwrap_or(std::mem::take(&mut schedule.rhythm));
        schedule.zone = change.zone.unwrap_or(schedule.zone);
        schedule.not_before = change.not_before.unwrap_or(schedule.not_before);
        schedule.not_after = change.not_after.unwrap_or(schedule.not_after);
        schedule.delay = change.delay.unwrap_or(schedule.delay);
        schedule.jitter = change.jitter.unwrap_or(schedule.jitter);
        schedule.overlap = change.overlap.unwrap_or(schedule.overlap);
        schedule.catch_up = change.catch_up.unwrap_or(schedule.catch_up);
    }
}

/// Changes the schedule of a run template. Its next slot is the first from now on.
#[derive(Clone, Debug)]
pub struct SetSchedule {
    /// The run template.
    pub id: RunTemplateId,
    /// What is changed.
    pub change: ScheduleChange,
    /// Where days and hours are, if nobody has ever said.
    pub zone: Tz,
}

impl Change for SetSchedule {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let before = one(&mut *tx.conn, tx.dialect, self.id).await?.schedule;
        let mut schedule = before.clone();
        self.change.apply(&mut schedule, self.zone);
        schedule.check(tx.now).map_err(|error| StoreError::Invalid(error.to_string()))?;
        let milliseconds =
            |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        sqlx::query(
            "UPDATE runtemplate SET interv = $1, cron = $2, timezone = $3, not_before = $4, \
             not_after = $5, delay_ms = $6, jitter_ms = $7, overlap = $8, catch_up = $9 \
             WHERE id = $10",
        )
        .bind(schedule.rhythm.interval().code())
        .bind(schedule.rhythm.cron().to_owned())
        .bind(schedule.zone.name())
        .bind(schedule.not_before)
        .bind(schedule.not_after)
        .bind(milliseconds(schedule.delay))
        .bind(milliseconds(schedule.jitter))
        .bind(schedule.overlap.name())
        .bind(i64::from(schedule.catch_up))
        .bind(self.id.0)
        .execute(&mut *tx.conn)
        .await?;
        reset_next(tx, self.id).await?;
        let exclusive = [&before, &schedule]
            .map(|schedule| !schedule.rhythm.is_none() && schedule.overlap.is_exclusive());
        if exclusive[0] != exclusive[1] {
            let company: i64 =
                sqlx::query_scalar("SELECT company_id FROM runtemplate WHERE id = $1")
                    .bind(self.id.0)
                    .fetch_one(&mut *tx.conn)
                    .await?;
            admission::limits_changed(tx, company).await?;
        }
        Ok(())
    }
}

/// Makes a run template's next slot the first from now on, and none while it is inactive:
/// what would have been its slots meanwhile is nobody's loss. What was decided while the clock was
/// far ahead is forgotten.
pub(in crate::store) async fn reset_next(
    tx: &mut Tx<'_>,
    id: RunTemplateId,
) -> Result<(), StoreError> {
    let row = one(&mut *tx.conn, tx.dialect, id).await?;
    if row.ahead {
        forget_ahead(tx, id).await?;
    }
    let next = row.schedule.after(tx.now);
    sqlx::query(
        "UPDATE runtemplate SET next_schedule = CASE active WHEN 1 THEN $1 END WHERE id = $2",
    )
    .bind(next)
    .bind(id.0)
    .execute(&mut *tx.conn)
    .await?;
    Ok(())
}

/// How far ahead slots are that stay decided, in microseconds: a clock that is put back by days
/// fires none twice.
const NEAR: i64 = 7 * 24 * 3_600 * 1_000_000;

/// Forgets the slots of a run template that are far in the future; its last one is what was last
/// by now.
async fn forget_ahead(tx: &mut Tx<'_>, id: RunTemplateId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM schedule_slot WHERE runtemplate_id = $1 AND slot > $2")
        .bind(id.0)
        .bind(tx.now.saturating_add(NEAR))
        .execute(&mut *tx.conn)
        .await?;
    let last: Option<i64> = sqlx::query_scalar(
        "SELECT MAX(slot) FROM schedule_slot \
         WHERE runtemplate_id = $1 AND job_id IS NOT NULL AND slot <= $2",
    )
    .bind(id.0)
    .bind(tx.now)
    .fetch_one(&mut *tx.conn)
    .await?;
    sqlx::query("UPDATE runtemplate SET last_schedule = $1 WHERE id = $2")
        .bind(last)
        .bind(id.0)
        .execute(&mut *tx.conn)
        .await?;
    Ok(())
}
