//! What is kept of ended jobs, and what refers to objects.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _};

use super::{Store, StoreError};
use crate::domain::{
    ids::{JobId, RunTemplateId},
    retention::Keep,
};

/// Jobs whose bytes are added up at once.
const PAGE: i64 = 500;

/// The limits of a run template, from three columns.
pub(super) fn keep(row: &sqlx::any::AnyRow, first: usize) -> Result<Keep, sqlx::Error> {
    let number = |column: usize| -> Result<Option<u64>, sqlx::Error> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(i64::unsigned_abs))
    };
    Ok(Keep {
        age: number(first)?.map(Duration::from_millis),
        count: number(first + 1)?,
        bytes: number(first + 2)?,
    })
}

impl Store {
    /// What each run template keeps, by its own word.
    pub async fn kept_by_templates(&self) -> Result<Vec<(RunTemplateId, Keep)>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, keep_age_ms, keep_count, keep_bytes FROM runtemplate ORDER BY id",
        )
        .fetch_all(&self.readers)
        .await?;
        let kept = |row: &sqlx::any::AnyRow| Ok((RunTemplateId(row.try_get(0)?), keep(row, 1)?));
        rows.iter().map(kept).collect::<Result<_, sqlx::Error>>().map_err(Into::into)
    }

    /// The newest of the ended jobs of a run template that are beyond its newest `count`.
    pub async fn job_beyond_count(
        &self,
        template: RunTemplateId,
        count: u64,
    ) -> Result<Option<JobId>, StoreError> {
        let id: Option<i64> = sqlx::query_scalar(
            "SELECT id FROM job WHERE runtemplate_id = $1 AND ended IS NOT NULL \
             ORDER BY id DESC LIMIT 1 OFFSET $2",
        )
        .bind(template.0)
        .bind(i64::try_from(count).unwrap_or(i64::MAX))
        .fetch_optional(&self.readers)
        .await?;
        Ok(id.map(JobId))
    }

    /// The newest of the ended jobs of a run template that are beyond its newest `bytes`
    /// of output and artifacts. The newest job of all is never beyond.
    pub async fn job_beyond_bytes(
        &self,
        template: RunTemplateId,
        bytes: u64,
    ) -> Result<Option<JobId>, StoreError> {
        let (mut sum, mut before, mut first) = (0_u64, i64::MAX, true);
        loop {
            let rows = sqlx::query(
                "SELECT j.id, COALESCE((SELECT CAST(SUM(a.size) AS BIGINT) FROM artifacts a \
                 WHERE a.job_id = j.id), 0) FROM job j WHERE j.runtemplate_id = $1 \
                 AND j.ended IS NOT NULL AND j.id < $2 ORDER BY j.id DESC LIMIT $3",
            )
            .bind(template.0)
            .bind(before)
            .bind(PAGE)
            .fetch_all(&self.readers)
            .await?;
            let Some(last) = rows.last() else { return Ok(None) };
            before = last.try_get(0)?;
            for row in &rows {
                sum = sum.saturating_add(row.try_get::<i64, _>(1)?.unsigned_abs());
                if sum > bytes && !first {
                    return Ok(Some(JobId(row.try_get(0)?)));
                }
                first = false;
            }
        }
    }

    /// Ended jobs of a run template that are not kept, with an id above `after`: those up
    /// to a job, and those that ended so long ago. The first `limit` by id. One whose actions
    /// are still to be done stays.
    pub async fn jobs_beyond(
        &self,
        template: RunTemplateId,
        (last, age): (Option<JobId>, Option<Duration>),
        after: JobId,
        limit: i64,
    ) -> Result<Vec<JobId>, StoreError> {
        let mut conn = self.readers.acquire().await?;
        let now: i64 = sqlx::query_scalar(self.dialect.now()).fetch_one(&mut *conn).await?;
        let age = age.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let ids: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT id FROM job {} WHERE runtemplate_id = $1 AND id > $2 AND ended IS NOT NULL \
             AND (id <= $3 OR ended <= $4) AND NOT EXISTS (SELECT 1 FROM action o \
             WHERE o.job_id = job.id AND {} IN ('pending', 'running')) ORDER BY id LIMIT $5",
            self.dialect.by_index("job_runtemplate"),
            self.dialect.unindexed("o.state")
        )))
        .bind(template.0)
        .bind(after.0)
        .bind(last.map_or(0, |last| last.0))
        .bind(age.map_or(i64::MIN, |age| now.saturating_sub(age)))
        .bind(limit)
        .fetch_all(&mut *conn)
        .await?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// Whether a chunk of an attempt's log or a part of its artifacts is this object.
    pub async fn refers_to(
        &self,
        job: JobId,
        attempt: i32,
        object: &str,
    ) -> Result<bool, StoreError> {
        let found = sqlx::query(
            "SELECT 1 FROM log_chunk WHERE job_id = $1 AND attempt = $2 AND object = $3 \
             UNION ALL SELECT 1 FROM artifacts a JOIN artifact_part p ON p.artifact_id = a.id \
             WHERE a.job_id = $1 AND a.attempt = $2 AND p.object = $3",
        )
        .bind(job.0)
        .bind(i64::from(attempt))
        .bind(object.to_owned())
        .fetch_optional(&self.readers)
        .await?;
        Ok(found.is_some())
    }
}
