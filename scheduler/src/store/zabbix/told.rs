//! What has happened, with what is known of it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::Watched;
use crate::{
    domain::ids::JobId,
    store::{EventRow, Store, StoreError, dialect::Kind, jobs},
};

/// What is known of a job besides an event of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFacts {
    /// When it was created.
    pub created: i64,
    /// When it first entered the queue.
    pub entered: Option<i64>,
    /// Who asked for it; empty if that is not known.
    pub by: String,
    /// The time before which it is not run.
    pub due: Option<i64>,
    /// The slot of its run template's schedule that it was made for.
    pub slot: Option<i64>,
    /// When the attempt started.
    pub started: Option<i64>,
    /// When the attempt ended.
    pub ended: Option<i64>,
    /// How long it ran by its agent's clock, if that has said.
    pub ran: Option<Duration>,
    /// The attempt's process id.
    pub pid: Option<i64>,
    /// The attempt's agent.
    pub agent: Option<String>,
}

/// An event with what is known of its job.
#[derive(Clone, Debug)]
pub struct Told {
    /// What has happened.
    pub event: EventRow,
    /// Its run template, if it is still there.
    pub run_template: Option<Arc<Watched>>,
    /// Its job, if that is still there.
    pub job: Option<JobFacts>,
}

impl Store {
    /// Events after one, oldest first, with what is known of their jobs; and whether there
    /// are more, which may be preceded by one that is not committed yet.
    pub async fn told_events(
        &self,
        after: i64,
        most: i64,
    ) -> Result<(Vec<Told>, bool), StoreError> {
        let page = self.events(after, most).await?;
        let templates: Vec<i64> = page.events.iter().map(|event| event.run_template.0.0).collect();
        let templates = self.watched_of(&templates).await?;
        let mut jobs = self.facts(&page.events).await?;
        let told = |event: EventRow| Told {
            run_template: templates.get(&event.run_template.0).map(Arc::clone),
            job: jobs.remove(&(event.job, event.attempt, event.id)),
            event,
        };
        Ok((page.events.into_iter().map(told).collect(), page.held))
    }

    /// What is known of the jobs of some events, by job, attempt and event.
    async fn facts(
        &self,
        events: &[EventRow],
    ) -> Result<HashMap<(JobId, i32, i64), JobFacts>, StoreError> {
        let keys: Vec<_> =
            events.iter().map(|event| (event.job.0, event.attempt, event.id)).collect();
        let columns = [("k_job", Kind::Int), ("k_attempt", Kind::Int), ("k_event", Kind::Int)];
        let sql = format!(
            "SELECT j.id, r.k_attempt, r.k_event, j.created, COALESCE(f.queued, j.queued), \
             j.created_by, j.due, n.started, n.ended, n.pid, g.name, j.schedule, n.ran_us FROM {} \
             JOIN job j ON j.id = r.k_job \
             LEFT JOIN attempt f ON f.job_id = j.id AND f.number = 1 \
             LEFT JOIN attempt n ON n.job_id = j.id AND n.number = r.k_attempt \
             LEFT JOIN agent g ON g.id = n.agent_id",
            self.dialect.rows("$1", &columns)
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(serde_json::json!(keys).to_string())
            .fetch_all(&self.readers)
            .await?;
        let facts = |row: &AnyRow| {
            let attempt = jobs::small(row, 1)?.unwrap_or_default();
            let facts = JobFacts {
                created: row.try_get(3)?,
                entered: row.try_get(4)?,
                by: row.try_get(5)?,
                due: row.try_get(6)?,
                started: row.try_get(7)?,
                ended: row.try_get(8)?,
                pid: row.try_get(9)?,
                agent: row.try_get(10)?,
                slot: row.try_get(11)?,
                ran: jobs::micros(row, 12)?,
            };
            Ok::<_, sqlx::Error>(((JobId(row.try_get(0)?), attempt, row.try_get(2)?), facts))
        };
        Ok(rows.iter().map(facts).collect::<Result<_, _>>()?)
    }
}
