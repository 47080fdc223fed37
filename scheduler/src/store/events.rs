//! What has happened to jobs, in order: the table `event`, which the database's triggers fill.
//!
//! An event that was read is never followed by one with a lower id. Where several schedulers
//! write, a transaction may get its ids before another and commit after it: a gap in the ids
//! is read past only when every transaction that could fill it has ended.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{Change, Store, StoreError, Tx, jobs, transitions::list, zabbix};
use crate::domain::{
    ids::{CompanyId, JobId, RunTemplateId},
    job::State,
};

/// Events that are removed in one transaction.
const AT_ONCE: i64 = 2_000;

/// The setting whose value is the last event that was removed.
const REMOVED: &str = "events_removed";

/// Gaps that are remembered; beyond that they are all found anew.
const MOST_GAPS: usize = 1_000;

/// A job has come into a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Where it is among all events.
    pub id: i64,
    /// The job, which may be deleted by now.
    pub job: JobId,
    /// Number of its newest attempt then; 0 before the first.
    pub attempt: i32,
    /// The state.
    pub state: State,
    /// Its run template, with its name if it is still there.
    pub run_template: (RunTemplateId, String),
    /// Its company, with its name if it is still there.
    pub company: (CompanyId, String),
    /// When, by the database's clock.
    pub at: i64,
    /// The attempt's exit code, if that is how it ended.
    pub exit_code: Option<i32>,
    /// The signal that ended the attempt, if one did.
    pub signal: Option<i32>,
}

/// Events in their order.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    /// The events.
    pub events: Vec<EventRow>,
    /// There are more, which may be preceded by one that is not committed yet.
    pub held: bool,
}

/// Gaps in the ids that were seen, each with the transaction before which all have to have
/// ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaps(Arc<Mutex<BTreeMap<i64, i64>>>);

impl Gaps {
    /// How many of `ids`, which follow `after`, may be read. `oldest` is the oldest transaction
    /// that has not ended, `newest` the one that is next to begin.
    fn readable(&self, after: i64, ids: &[i64], (oldest, newest): (i64, i64)) -> usize {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = after;
        for (index, id) in ids.iter().enumerate() {
            if *id > before + 1 {
                if seen.len() >= MOST_GAPS {
                    seen.clear();
                }
                if oldest < *seen.entry(before).or_insert(newest) {
                    return index;
                }
            }
            before = *id;
        }
        ids.len()
    }
}

impl Store {
    /// The newest event; 0 if there never was one.
    pub async fn last_event(&self) -> Result<i64, StoreError> {
        let last: Option<i64> =
            sqlx::query_scalar("SELECT MAX(id) FROM event").fetch_one(&self.readers).await?;
        // What is removed is older than what was kept.
        Ok(last.unwrap_or(0).max(self.removed_events().await?))
    }

    /// The last event that was removed; 0 if none was.
    pub async fn removed_events(&self) -> Result<i64, StoreError> {
        let removed: Option<String> =
            sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
                .bind(REMOVED)
                .fetch_optional(&self.readers)
                .await?;
        Ok(removed.and_then(|id| id.parse().ok()).unwrap_or(0))
    }

    /// Events after one, oldest first. 0 stands for the beginning: what is still there. Events
    /// after another one must not have been removed.
    pub async fn events(&self, after: i64, most: i64) -> Result<EventPage, StoreError> {
        let removed = self.removed_events().await?;
        if after > 0 && after < removed {
            return Err(StoreError::Invalid(format!(
                "what happened after {after} is not known any more, only what happened after \
                 {removed}: begin anew"
            )));
        }
        let after = after.max(removed);
        let sql = format!(
            "SELECT e.id, e.job_id, e.attempt, e.state, e.runtemplate_id, e.company_id, e.at, \
             COALESCE(t.name, ''), COALESCE(c.name, ''), a.exit_code, a.signal, \
             {oldest}, {newest} FROM event e \
             LEFT JOIN runtemplate t ON t.id = e.runtemplate_id \
             LEFT JOIN company c ON c.id = e.company_id \
             LEFT JOIN attempt a ON a.job_id = e.job_id AND a.number = e.attempt \
             AND e.state IN {ended} WHERE e.id > $1 ORDER BY e.id LIMIT $2",
            oldest = self.dialect.oldest_transaction(),
            newest = self.dialect.next_transaction(),
            ended = list(&State::ENDED),
        );
        let rows =
            sqlx::query(AssertSqlSafe(sql)).bind(after).bind(most).fetch_all(&self.readers).await?;
        let Some(first) = rows.first() else { return Ok(EventPage::default()) };
        let transactions = (first.try_get(11)?, first.try_get(12)?);
        let mut events: Vec<EventRow> = rows.iter().map(event).collect::<Result<_, _>>()?;
        let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
        let readable = self.gaps.readable(after, &ids, transactions);
        events.truncate(readable);
        Ok(EventPage { events, held: readable < ids.len() })
    }
}

fn event(row: &AnyRow) -> Result<EventRow, sqlx::Error> {
    Ok(EventRow {
        id: row.try_get(0)?,
        job: JobId(row.try_get(1)?),
        attempt: jobs::small(row, 2)?.unwrap_or_default(),
        state: jobs::state(row, 3)?,
        run_template: (RunTemplateId(row.try_get(4)?), row.try_get(7)?),
        company: (CompanyId(row.try_get(5)?), row.try_get(8)?),
        at: row.try_get(6)?,
        exit_code: jobs::small(row, 9)?,
        signal: jobs::small(row, 10)?,
    })
}

/// Removes some of the events that are too old or too many; whether that may not be all. What
/// Zabbix is still to be told stays, if it is not too old.
#[derive(Clone, Copy, Debug)]
pub struct TrimEvents {
    /// How long they are kept.
    pub age: Duration,
    /// How many are kept, about.
    pub most: i64,
}

impl Default for TrimEvents {
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 24 * 3600), most: 1_000_000 }
    }
}

impl Change for TrimEvents {
    type Output = bool;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let newest: Option<i64> =
            sqlx::query_scalar("SELECT MAX(id) FROM event").fetch_one(&mut *tx.conn).await?;
        let row = sqlx::query("SELECT id, at FROM event ORDER BY id LIMIT 1 OFFSET $1")
            .bind(AT_ONCE - 1)
            .fetch_optional(&mut *tx.conn)
            .await?;
        let (Some(newest), Some(row)) = (newest, row) else { return Ok(false) };
        let (last, at): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let kept = i64::try_from(self.age.as_micros()).unwrap_or(i64::MAX);
        let too_old = at <= tx.now.saturating_sub(kept);
        let owed = match zabbix::told(tx).await? {
            Some(cursor) => last > cursor.event,
            None => false,
        };
        if !too_old && (owed || last > newest - self.most) {
            return Ok(false);
        }
        sqlx::query("DELETE FROM event WHERE id <= $1").bind(last).execute(&mut *tx.conn).await?;
        sqlx::query(
            "INSERT INTO setting (name, value, changed) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed = excluded.changed",
        )
        .bind(REMOVED)
        .bind(last.to_string())
        .bind(tx.now)
        .execute(&mut *tx.conn)
        .await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_read_past_when_nobody_can_fill_it_any_more() {
        let gaps = Gaps::default();
        // 12 is missing; the transactions 7 and 8 have not ended.
        assert_eq!(gaps.readable(10, &[11, 13], (7, 9)), 1);
        assert_eq!(gaps.readable(11, &[13], (8, 20)), 0);
        // All that had begun when it was seen have ended, and none has filled it.
        assert_eq!(gaps.readable(11, &[13, 14], (9, 20)), 2);
        // At the very beginning too.
        assert_eq!(gaps.readable(14, &[16], (9, 20)), 0);
        assert_eq!(gaps.readable(14, &[15, 16], (9, 20)), 2);
    }

    #[test]
    fn where_one_writes_there_is_nothing_to_wait_for() {
        assert_eq!(Gaps::default().readable(0, &[5, 9], (0, 0)), 2);
    }
}
