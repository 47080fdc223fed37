//! Jobs that are removed, one or many.

use std::{collections::BTreeSet, time::Duration};

use sqlx::{AssertSqlSafe, Row as _};

use super::state;
use crate::{
    domain::{
        ids::{JobId, RunTemplateId},
        job::State,
    },
    store::{
        Change, Store, StoreError, Tx,
        dialect::Kind,
        transitions::{self, admission},
    },
};

/// Removes a job and everything in the database that belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct DeleteJob(pub JobId);

impl Change for DeleteJob {
    /// The objects that held its logs and artifacts: nothing refers to them now.
    type Output = Vec<String>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
        let id = self.0;
        let deleted =
            DeleteJobs { ids: vec![id], states: State::REMOVABLE.into() }.apply(tx).await?;
        if deleted.jobs.is_empty() {
            let state: Option<String> = sqlx::query_scalar("SELECT state FROM job WHERE id = $1")
                .bind(id.0)
                .fetch_optional(&mut *tx.conn)
                .await?;
            let state = state.ok_or(StoreError::NotFound { what: "job", id: id.0 })?;
            return Err(on_agent(id, &state));
        }
        Ok(deleted.objects)
    }
}

fn on_agent(id: JobId, state: &str) -> StoreError {
    StoreError::Refused(format!("job {id} is {state}: cancel it before you delete it"))
}

/// Removes jobs that are in one of these states, and everything in the database that
/// belongs to them. Whoever has many removes a few at a time, so that nobody waits long
/// for the write lock.
#[derive(Clone, Debug)]
pub struct DeleteJobs {
    /// The jobs.
    pub ids: Vec<JobId>,
    /// The states.
    pub states: Vec<State>,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The jobs.
    pub jobs: Vec<JobId>,
    /// The objects that held their logs and artifacts: nothing refers to them now.
    pub objects: Vec<String>,
}

impl Change for DeleteJobs {
    type Output = Deleted;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Deleted, StoreError> {
        let rows = tx.dialect.rows("$1", &[("k_job", Kind::Int)]);
        let sql = format!(
            "SELECT id, company_id, state FROM job WHERE id IN (SELECT r.k_job FROM {rows}) \
             AND {} IN {} {}",
            tx.dialect.unindexed("state"),
            transitions::list(&self.states),
            tx.dialect.skip_locked()
        );
        let ids: Vec<[i64; 1]> = self.ids.iter().map(|id| [id.0]).collect();
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(&mut *tx.conn)
            .await?;
        let (mut jobs, mut companies) = (Vec::with_capacity(found.len()), BTreeSet::new());
        for row in &found {
            jobs.push(JobId(row.try_get(0)?));
            if state(row, 2)? == State::Queued {
                // It may have had a place under a limit.
                companies.insert(row.try_get(1)?);
            }
        }
        if jobs.is_empty() {
            return Ok(Deleted::default());
        }
        let ids = serde_json::json!(jobs.iter().map(|id| [id.0]).collect::<Vec<_>>()).to_string();
        let chosen = format!("IN (SELECT r.k_job FROM {rows})");
        let sql = format!(
            "SELECT object FROM log_chunk WHERE job_id {chosen} AND object IS NOT NULL \
             UNION ALL SELECT p.object FROM artifact_part p \
             JOIN artifacts a ON a.id = p.artifact_id WHERE a.job_id {chosen}"
        );
        let objects = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(ids.clone())
            .fetch_all(&mut *tx.conn)
            .await?;
        let sql = format!("DELETE FROM job WHERE id {chosen}");
        sqlx::query(AssertSqlSafe(sql)).bind(ids).execute(&mut *tx.conn).await?;
        admission::admit(tx, &companies).await?;
        Ok(Deleted { jobs, objects })
    }
}

impl Store {
    /// Jobs of a run template with an id above `after`: the first `limit` by id.
    pub async fn jobs_of(
        &self,
        template: RunTemplateId,
        after: JobId,
        limit: i64,
    ) -> Result<Vec<JobId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM job WHERE runtemplate_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        )
        .bind(template.0)
        .bind(after.0)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// A job of a run template that is on an agent, if there is one.
    pub async fn job_on_agent(&self, template: RunTemplateId) -> Result<Option<JobId>, StoreError> {
        let sql = format!(
            "SELECT id FROM job WHERE state IN {} AND runtemplate_id = $1 LIMIT 1",
            transitions::list(&State::ON_AGENT)
        );
        let id: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(template.0)
            .fetch_optional(&self.readers)
            .await?;
        Ok(id.map(JobId))
    }

    /// Refuses jobs of which one is not there or cannot be removed.
    pub async fn check_removable(&self, ids: &[JobId]) -> Result<(), StoreError> {
        let rows = self.dialect.rows("$1", &[("k_job", Kind::Int)]);
        let sql = format!(
            "SELECT id, state FROM job WHERE id IN (SELECT r.k_job FROM {rows}) ORDER BY id"
        );
        let wanted: Vec<[i64; 1]> = ids.iter().map(|id| [id.0]).collect();
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(serde_json::json!(wanted).to_string())
            .fetch_all(&self.readers)
            .await?;
        let mut known = BTreeSet::new();
        for row in &found {
            let (id, state) = (JobId(row.try_get(0)?), state(row, 1)?);
            if !State::REMOVABLE.contains(&state) {
                return Err(on_agent(id, state.name()));
            }
            known.insert(id);
        }
        match ids.iter().find(|id| !known.contains(*id)) {
            Some(unknown) => Err(StoreError::NotFound { what: "job", id: unknown.0 }),
            None => Ok(()),
        }
    }

    /// Jobs in one of these states that ended at least so long ago, with an id above
    /// `after`: the first `limit` by id.
    pub async fn ended_jobs(
        &self,
        states: &[State],
        age: Duration,
        after: JobId,
        limit: i64,
    ) -> Result<Vec<JobId>, StoreError> {
        let mut conn = self.readers.acquire().await?;
        let now: i64 = sqlx::query_scalar(self.dialect.now()).fetch_one(&mut *conn).await?;
        let before = now.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let mut ids = Vec::new();
        // One state after the other: each is a range of the index.
        for state in states {
            let found: Vec<i64> = sqlx::query_scalar(
                "SELECT id FROM job WHERE state = $1 AND id > $2 AND ended <= $3 \
                 ORDER BY id LIMIT $4",
            )
            .bind(state.name())
            .bind(after.0)
            .bind(before)
            .bind(limit)
            .fetch_all(&mut *conn)
            .await?;
            ids.extend(found.into_iter().map(JobId));
        }
        ids.sort_unstable();
        ids.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(ids)
    }
}
