//! How the runs of run templates went, from their jobs.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{Store, StoreError, jobs, transitions::list};
use crate::domain::{
    ids::{JobId, RunTemplateId},
    job::State,
};

/// The newest run of a job that has ended, or one that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// The job.
    pub job: JobId,
    /// Where it is in its life.
    pub state: State,
    /// When its process was started.
    pub started: Option<i64>,
    /// When it ended; none while it runs.
    pub ended: Option<i64>,
    /// How long it ran, by its agent's clock if that has said; until now, if it still does.
    pub took: Option<Duration>,
    /// Its exit code.
    pub exit_code: Option<i32>,
}

fn run(row: &AnyRow) -> Result<RunRow, sqlx::Error> {
    let (started, until): (Option<i64>, Option<i64>) = (row.try_get(2)?, row.try_get(5)?);
    let until = started.zip(until).map(|(from, to)| to - from);
    let took = row.try_get::<Option<i64>, _>(6)?.or(until);
    Ok(RunRow {
        job: JobId(row.try_get(0)?),
        state: jobs::state(row, 1)?,
        started,
        ended: row.try_get(3)?,
        took: took.map(|took| Duration::from_micros(u64::try_from(took).unwrap_or(0))),
        exit_code: jobs::small(row, 4)?,
    })
}

impl Store {
    /// The newest runs of a run template that have ended, but for cancelled ones: the newest
    /// first.
    pub async fn ended_runs(
        &self,
        of: RunTemplateId,
        most: i64,
    ) -> Result<Vec<RunRow>, StoreError> {
        let sql = format!(
            "SELECT j.id, j.state, n.started, n.ended, n.exit_code, n.ended, n.ran_us FROM job j \
             JOIN attempt n ON n.job_id = j.id AND n.number = j.attempt \
             WHERE j.runtemplate_id = $1 AND {} IN {} ORDER BY j.id DESC LIMIT $2",
            self.dialect.unindexed("j.state"),
            list(&[State::Succeeded, State::Failed, State::TimedOut, State::Lost]),
        );
        let rows =
            sqlx::query(AssertSqlSafe(sql)).bind(of.0).bind(most).fetch_all(&self.readers).await?;
        Ok(rows.iter().map(run).collect::<Result<_, _>>()?)
    }

    /// The runs of a run template that go on, the oldest first.
    pub async fn running(&self, of: RunTemplateId) -> Result<Vec<RunRow>, StoreError> {
        let now = self.now().await?;
        let sql = format!(
            "SELECT j.id, j.state, n.started, n.ended, n.exit_code, CAST($2 AS BIGINT), n.ran_us \
             FROM job j \
             JOIN attempt n ON n.job_id = j.id AND n.number = j.attempt \
             WHERE j.runtemplate_id = $1 AND j.state IN {} AND n.started IS NOT NULL \
             ORDER BY j.id LIMIT 1000",
            list(&[State::Running, State::Unreachable, State::Finishing]),
        );
        let rows =
            sqlx::query(AssertSqlSafe(sql)).bind(of.0).bind(now).fetch_all(&self.readers).await?;
        Ok(rows.iter().map(run).collect::<Result<_, _>>()?)
    }
}
