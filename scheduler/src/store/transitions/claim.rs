//! From the queue to an agent: claim, accept, withdraw.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    ATTEMPT_IS_KEY, JOB_IS_KEY, KEY,
    admission::{self, LEAVES_LIMITS, QUEUE_PAUSED},
    ends::End,
    key, keys_json, list, shares, transition, united,
};
use crate::{
    domain::{
        ids::{AgentId, AttemptKey, RunTemplateId},
        job::{Launch, Outcome, Transition, run_begin},
    },
    store::{
        Change, Dialect, StoreError, Tx, decisions, dialect::Kind, run_templates, schedulers,
        variables,
    },
    telemetry,
};

/// Takes the jobs whose turn it is for an agent and makes their attempts.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The agent that they will be offered to.
    pub agent: AgentId,
    /// How many at most.
    pub limit: usize,
    /// Why it is this agent.
    pub choice: String,
}

/// What a claim took.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// What to offer.
    pub launches: Vec<Launch>,
    /// How long each of these waited since it could run.
    pub waited: Vec<Duration>,
    /// Jobs whose configuration cannot be run: they have failed.
    pub failed: Vec<AttemptKey>,
    /// Nothing was taken: the agent is connected to another scheduler now.
    pub elsewhere: bool,
}

impl Change for Claim {
    type Output = Claimed;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Claimed, StoreError> {
        if !schedulers::is_here(tx, self.agent).await? {
            return Ok(Claimed { elsewhere: true, ..Claimed::default() });
        }
        let sql = claim_sql(tx.dialect);
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let mut rows = sqlx::query(AssertSqlSafe(sql)).bind(limit).fetch_all(&mut *tx.conn).await?;
        if rows.is_empty() {
            return Ok(Claimed::default());
        }
        rows.sort_by_key(|row| row.try_get::<i64, _>(0).unwrap_or_default());
        let mut ids: Vec<i64> = rows.iter().map(|row| row.try_get(3)).collect::<Result<_, _>>()?;
        ids.dedup();
        let templates = run_templates::by_ids(&mut *tx.conn, tx.dialect, tx.known, &ids).await?;

        let mut claimed = Claimed::default();
        let mut attempts = Vec::with_capacity(rows.len());
        let mut troubles = Vec::new();
        for row in &rows {
            let key = key(row)?;
            let template: i64 = row.try_get(3)?;
            let own = variables::from_json(&row.try_get::<String, _>(4)?, tx.vault)?;
            let template = templates
                .get(&RunTemplateId(template))
                .ok_or(StoreError::NotFound { what: "run template", id: template })?;
            let told = telemetry::variables(key, &own);
            let begun = run_begin(key, &template.template, &own, &told);
            let command =
                begun.as_ref().map_or_else(|_| Vec::new(), |launch| launch.command.clone());
            let command = serde_json::json!(command).to_string();
            let queued: i64 = row.try_get(5)?;
            attempts.push((key.job.0, key.number, key.fence.0, command, queued));
            match begun {
                Ok(launch) => {
                    let ready = row.try_get::<Option<i64>, _>(6)?.unwrap_or(queued).max(queued);
                    let waited = u64::try_from(tx.now - ready).unwrap_or(0);
                    claimed.waited.push(Duration::from_micros(waited));
                    claimed.launches.push(launch);
                }
                Err(error) => troubles.push((key, template.template.id, error.to_string())),
            }
        }
        self.insert_attempts(tx, &attempts).await?;
        for (key, template, trouble) in troubles {
            fail(tx, key, trouble).await?;
            let ran = Some((key.job.0, key.number));
            tx.ends.push(End { template: template.0, state: Outcome::Failed.state(), ran });
            claimed.failed.push(key);
        }
        admission::admit_beside(tx, &claimed.failed).await?;
        Ok(claimed)
    }
}

/// A subquery in place of the `WITH` could be run again for each row of a join, on
/// PostgreSQL, and skip what it has locked itself: it would claim more than asked for. SQLite
/// must not see the limit either: it would plan the statement anew for each other number.
fn claim_sql(dialect: Dialect) -> String {
    format!(
        "WITH next AS (SELECT id FROM job {index} WHERE state = 'queued' AND held IS NULL \
         AND NOT EXISTS (SELECT 1 FROM setting WHERE name = '{QUEUE_PAUSED}') \
         ORDER BY priority DESC, rank, id LIMIT {limit} {skip}) \
         UPDATE job SET state = '{to}', attempt = attempt + 1, fence = fence + 1 FROM next \
         WHERE job.id = next.id AND {state} = 'queued' AND {held} IS NULL \
         RETURNING job.id, attempt, fence, runtemplate_id, env, job.queued, job.due",
        to = Transition::Offer.to(),
        state = dialect.unindexed("job.state"),
        held = dialect.unindexed("job.held"),
        limit = dialect.unplanned("$1"),
        index = dialect.by_index("job_ready"),
        skip = dialect.skip_locked(),
    )
}

impl Claim {
    async fn insert_attempts(
        &self,
        tx: &mut Tx<'_>,
        attempts: &[(i64, i32, i64, String, i64)],
    ) -> Result<(), StoreError> {
        let [job, number, fence] = KEY;
        let columns = [job, number, fence, ("k_command", Kind::Text), ("k_queued", Kind::Int)];
        let rows = tx.dialect.rows("$1", &columns);
        let sql = format!(
            "INSERT INTO attempt \
             (job_id, number, fence, state, agent_id, command, queued, offered, choice) \
             SELECT r.k_job, r.k_attempt, r.k_fence, '{}', $2, r.k_command, r.k_queued, $3, $4 \
             FROM {rows}",
            Transition::Offer.to()
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(serde_json::json!(attempts).to_string())
            .bind(self.agent.0)
            .bind(tx.now)
            .bind(self.choice.clone())
            .execute(&mut *tx.conn)
            .await?;
        Ok(())
    }
}

/// Ends an attempt that cannot even be offered.
async fn fail(tx: &mut Tx<'_>, key: AttemptKey, trouble: String) -> Result<(), StoreError> {
    let state = Outcome::Failed.state();
    sqlx::query(AssertSqlSafe(format!(
        "UPDATE job SET state = '{state}', ended = $1, {LEAVES_LIMITS} \
         WHERE id = $2 AND attempt = $3 AND fence = $4 AND state = 'offered'"
    )))
    .bind(tx.now)
    .bind(key.job.0)
    .bind(i64::from(key.number))
    .bind(key.fence.0)
    .execute(&mut *tx.conn)
    .await?;
    sqlx::query(AssertSqlSafe(format!(
        "UPDATE attempt SET state = '{state}', ended = $1, trouble = $2 \
         WHERE job_id = $3 AND number = $4 AND fence = $5 AND state = 'offered'"
    )))
    .bind(tx.now)
    .bind(trouble)
    .bind(key.job.0)
    .bind(i64::from(key.number))
    .bind(key.fence.0)
    .execute(&mut *tx.conn)
    .await?;
    Ok(())
}

/// Records that an agent takes offers, if it is connected to this scheduler.
#[derive(Clone, Debug)]
pub struct Accept {
    /// The agent.
    pub agent: AgentId,
    /// The offers.
    pub keys: Vec<AttemptKey>,
}

impl Change for Accept {
    /// Those that it may start.
    type Output = Vec<AttemptKey>;
    const TOGETHER: bool = true;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<AttemptKey>, StoreError> {
        let accepted = Self::apply_all(&[self], tx).await?;
        Ok(accepted.into_iter().flatten().collect())
    }

    async fn apply_all(
        changes: &[&Self],
        tx: &mut Tx<'_>,
    ) -> Result<Vec<Vec<AttemptKey>>, StoreError> {
        let agents: Vec<AgentId> = changes.iter().map(|change| change.agent).collect();
        let here = schedulers::are_here(tx, &agents).await?;
        let part = |(change, here): (&&Self, bool)| if here { change.keys.clone() } else { vec![] };
        let parts: Vec<Vec<AttemptKey>> = changes.iter().zip(here).map(part).collect();
        let parts = || parts.iter().map(Vec::as_slice);
        let keys = united(parts());
        let started = transition(tx, Transition::Start, &keys, "", ", started = $2").await?;
        Ok(shares(parts(), started))
    }
}

/// Takes offers back into the queue: the attempts never were.
#[derive(Clone, Debug)]
pub struct Withdraw {
    /// The offers.
    pub keys: Vec<AttemptKey>,
    /// Why, as a sentence.
    pub why: String,
}

impl Change for Withdraw {
    /// Those that are in the queue again.
    type Output = Vec<AttemptKey>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<AttemptKey>, StoreError> {
        take_back(tx, Transition::Withdraw, &self.keys, &self.why).await
    }
}

/// Takes attempts of which nothing ran back into the queue, by `transition`.
pub(super) async fn take_back(
    tx: &mut Tx<'_>,
    transition: Transition,
    keys: &[AttemptKey],
    why: &str,
) -> Result<Vec<AttemptKey>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tx.dialect.rows("$1", &KEY);
    let from = list(transition.from());
    let sql = format!(
        "UPDATE job SET state = '{}', attempt = attempt - 1 FROM {rows} \
         WHERE {JOB_IS_KEY} AND {} IN {from} \
         RETURNING job.id, job.attempt + 1, job.fence",
        transition.to(),
        tx.dialect.unindexed("job.state")
    );
    let withdrawn =
        sqlx::query(AssertSqlSafe(sql)).bind(keys_json(keys)).fetch_all(&mut *tx.conn).await?;
    let withdrawn: Vec<AttemptKey> = withdrawn.iter().map(key).collect::<Result<_, _>>()?;
    let sql = format!(
        "DELETE FROM attempt WHERE {} IN {from} \
         AND EXISTS (SELECT 1 FROM {rows} WHERE {ATTEMPT_IS_KEY})",
        tx.dialect.unindexed("attempt.state")
    );
    sqlx::query(AssertSqlSafe(sql)).bind(keys_json(&withdrawn)).execute(&mut *tx.conn).await?;
    decisions::record_all(tx, &withdrawn, "withdrawn", why).await?;
    Ok(withdrawn)
}

/// A process that was started.
#[derive(Clone, Copy, Debug)]
pub struct StartedRow {
    /// The attempt.
    pub key: AttemptKey,
    /// The process id.
    pub pid: i64,
}

/// Records process ids of running attempts.
#[derive(Clone, Debug)]
pub struct Started(pub Vec<StartedRow>);

impl Change for Started {
    type Output = ();
    const TOGETHER: bool = true;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        Self::apply_all(&[self], tx).await.map(|_| ())
    }

    async fn apply_all(changes: &[&Self], tx: &mut Tx<'_>) -> Result<Vec<()>, StoreError> {
        let [job, number, fence] = KEY;
        let rows = tx.dialect.rows("$1", &[job, number, fence, ("k_pid", Kind::Int)]);
        let sql = format!(
            "UPDATE attempt SET pid = r.k_pid FROM {rows} \
             WHERE {ATTEMPT_IS_KEY} AND {} = 'running'",
            tx.dialect.unindexed("attempt.state")
        );
        // A process has one id, however often it is said.
        let started: BTreeMap<_, _> = changes
            .iter()
            .flat_map(|change| &change.0)
            .map(|row| ((row.key.job.0, row.key.number, row.key.fence.0), row.pid))
            .collect();
        let started: Vec<_> = started
            .into_iter()
            .map(|((job, number, fence), pid)| (job, number, fence, pid))
            .collect();
        sqlx::query(AssertSqlSafe(sql))
            .bind(serde_json::json!(started).to_string())
            .execute(&mut *tx.conn)
            .await?;
        Ok(vec![(); changes.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_claim_reads_the_queue_in_its_order() {
        let plan = super::super::tests::plan(&claim_sql(Dialect::Sqlite)).await;
        assert!(plan.contains("USING COVERING INDEX job_ready"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}
