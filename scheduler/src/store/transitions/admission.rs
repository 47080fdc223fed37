//! Which of the jobs that wait can be claimed, and whose turn it is.
//!
//! A job is held while its time has not come (`due`) or while as many jobs of its run
//! template or company run as may (`limit`); the claim sees only those that are not
//! held, and so never looks through jobs that it cannot take. A job that leaves its
//! place under a limit lets the next one in, in the same transaction.
//!
//! Companies take turns: a job's rank within its priority is the one after its
//! company's last waiting job, or that of the job at the head of the queue, whichever is
//! higher. Ten jobs that come after ten thousand of another company are therefore
//! claimed alternately with those. Like the virtual time of start-time fair queueing,
//! ranks need no counter and no look at the whole queue.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Row as _};

use super::{Transition, keys_json, list};
use crate::{
    domain::{
        ids::{AttemptKey, JobId},
        job::State,
    },
    store::{Change, Dialect, StoreError, Tx, dialect::Kind, jobs},
};

/// Why a job is held: its time has not come.
pub(in crate::store) const DUE: &str = "due";

/// Why a job is held: it waits for a place under a limit.
pub(in crate::store) const LIMIT: &str = "limit";

/// The setting whose presence stops all claims.
pub(in crate::store) const QUEUE_PAUSED: &str = "queue_paused";

/// Sets that a job no longer counts towards limits.
pub(super) const LEAVES_LIMITS: &str = "limited = CASE limited WHEN 1 THEN 2 ELSE limited END";

/// Most jobs of run template `t` at once; null for no limit. A schedule whose runs wait for
/// each other makes it one.
pub(in crate::store) const MOST: &str = "CASE WHEN t.interv <> 'n' \
     AND t.overlap IN ('queue', 'replace') THEN 1 ELSE t.max_running END";

/// 1 if jobs of run template `t` and company `c` count towards a limit.
const LIMITED: &str = "CASE WHEN t.max_running IS NULL AND c.max_running IS NULL \
     AND (t.interv = 'n' OR t.overlap NOT IN ('queue', 'replace')) THEN 0 ELSE 1 END";

/// 1 if a job counts towards a limit that enters the queue at `queued`; one that does not
/// enter counts nowhere.
pub(in crate::store) fn limited(queued: &str) -> String {
    format!("CASE WHEN CAST({queued} AS BIGINT) IS NULL THEN 0 ELSE {LIMITED} END")
}

/// Most jobs that are let in at once: the rest follows when one of them leaves.
const ADMITTED_AT_ONCE: i64 = 1000;

/// Why a job is held that enters the queue at `now`; null if it is not. A job that does
/// not enter (`queued` is null) is not held either.
pub(in crate::store) fn held(queued: &str, due: &str, now: &str) -> String {
    format!(
        "CASE WHEN CAST({queued} AS BIGINT) IS NULL THEN NULL \
         WHEN CAST({due} AS BIGINT) > {now} THEN '{DUE}' WHEN {LIMITED} = 1 THEN '{LIMIT}' END"
    )
}

/// The rank of a company's next job of this priority.
pub(in crate::store) fn turn(dialect: Dialect, company: &str, priority: &str) -> String {
    // As an order, and not as a minimum: MariaDB would look at all of them.
    let head = format!(
        "COALESCE((SELECT q.rank FROM job q WHERE q.state = 'queued' AND q.held IS NULL \
         AND q.priority = {priority} ORDER BY q.rank LIMIT 1), 0)"
    );
    let after_own = format!(
        "COALESCE((SELECT MAX(q.rank) + 1 FROM job q WHERE q.state = 'queued' \
         AND q.company_id = {company} AND q.priority = {priority}), 0)"
    );
    dialect.larger(&head, &after_own)
}

/// Puts the jobs that `chosen` names, a condition on `job` and on `$2`, into the queue:
/// whatever their time was, it has come. Gives them back, each with the number of its
/// newest attempt.
///
/// What is chosen may have been changed by another scheduler before it is updated: the
/// condition is looked at again then.
pub(in crate::store) async fn enqueue(
    tx: &mut Tx<'_>,
    chosen: &str,
    parameter: i64,
) -> Result<Vec<(JobId, i32)>, StoreError> {
    let still = if tx.dialect.is_shared() { format!("AND ({chosen})") } else { String::new() };
    let sql = format!(
        "WITH chosen AS (SELECT job.id, job.company_id, job.priority, {LIMITED} AS counts, \
         ROW_NUMBER() OVER (PARTITION BY job.company_id, job.priority ORDER BY job.id) - 1 AS nth \
         FROM job JOIN runtemplate t ON t.id = job.runtemplate_id \
         JOIN company c ON c.id = job.company_id WHERE {chosen}), \
         turns AS (SELECT w.company_id, w.priority, {turn} AS first \
         FROM chosen AS w GROUP BY w.company_id, w.priority) \
         UPDATE job SET state = '{to}', queued = $1, ended = NULL, cancel_requested = NULL, \
         retries = CASE job.state WHEN 'queued' THEN job.retries ELSE 0 END, due = NULL, \
         rank = turns.first + chosen.nth, limited = chosen.counts, \
         held = CASE chosen.counts WHEN 1 THEN '{LIMIT}' END \
         FROM chosen JOIN turns ON turns.company_id = chosen.company_id \
         AND turns.priority = chosen.priority \
         WHERE job.id = chosen.id {still} RETURNING job.attempt, job.company_id, job.limited, job.id",
        turn = turn(tx.dialect, "w.company_id", "w.priority"),
        to = Transition::Queue.to(),
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(tx.now)
        .bind(parameter)
        .fetch_all(&mut *tx.conn)
        .await?;
    let mut enqueued = Vec::with_capacity(rows.len());
    let mut companies = BTreeSet::new();
    for row in &rows {
        enqueued.push((JobId(row.try_get(3)?), jobs::small(row, 0)?.unwrap_or_default()));
        if row.try_get::<i64, _>(2)? == 1 {
            companies.insert(row.try_get(1)?);
        }
    }
    admit(tx, &companies).await?;
    Ok(enqueued)
}

/// Lets jobs into the places that these have left, if they had one.
pub(super) async fn admit_beside(tx: &mut Tx<'_>, left: &[AttemptKey]) -> Result<u64, StoreError> {
    if left.is_empty() {
        return Ok(0);
    }
    let rows = tx.dialect.rows("$1", &super::KEY);
    let sql = format!(
        "SELECT DISTINCT job.company_id FROM job, {rows} WHERE job.id = r.k_job AND job.limited > 0"
    );
    let companies: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(keys_json(left))
        .fetch_all(&mut *tx.conn)
        .await?;
    admit(tx, &companies.into_iter().collect()).await
}

/// Lets jobs of these companies into the places that are free under their limits; how
/// many.
pub(in crate::store) async fn admit(
    tx: &mut Tx<'_>,
    companies: &BTreeSet<i64>,
) -> Result<u64, StoreError> {
    if !companies.is_empty() && tx.dialect.is_shared() {
        // Two schedulers that count at once would both find the last place free.
        let rows = tx.dialect.rows("$1", &[("k_company", Kind::Int)]);
        let sql = format!(
            "SELECT id FROM company WHERE id IN (SELECT r.k_company FROM {rows}) ORDER BY id {}",
            tx.dialect.lock_rows()
        );
        let ids: Vec<[i64; 1]> = companies.iter().map(|id| [*id]).collect();
        sqlx::query(AssertSqlSafe(sql))
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(&mut *tx.conn)
            .await?;
    }
    let mut admitted = 0;
    for company in companies {
        let free = free_of_company(tx, *company).await?;
        if free <= 0 {
            continue;
        }
        // The first of each template; and of those the first of all.
        let mut next = Vec::new();
        for (template, free_of_template) in templates_that_wait(tx, *company).await? {
            let most = free.min(free_of_template);
            if most > 0 {
                next.extend(first_held(tx, *company, template, most).await?);
            }
        }
        next.sort_unstable();
        next.truncate(usize::try_from(free).unwrap_or(usize::MAX));
        admitted += next.len() as u64;
        let ids: Vec<[i64; 1]> = next.iter().map(|(_, _, id)| [*id]).collect();
        release(tx, &ids).await?;
    }
    Ok(admitted)
}

/// How many more jobs of a company may run.
async fn free_of_company(tx: &mut Tx<'_>, company: i64) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "SELECT c.max_running, CASE WHEN c.max_running IS NULL THEN 0 ELSE (SELECT COUNT(*) \
         FROM job WHERE limited = 1 AND company_id = $1 AND held IS NULL) END \
         FROM company c WHERE c.id = $1",
    )
    .bind(company)
    .fetch_optional(&mut *tx.conn)
    .await?;
    let Some(row) = row else { return Ok(0) };
    let most: Option<i64> = row.try_get(0)?;
    Ok(most.map_or(ADMITTED_AT_ONCE, |most| most).saturating_sub(row.try_get(1)?))
}

/// The run templates of a company that have jobs held by a limit, and how many more of
/// each may run.
async fn templates_that_wait(tx: &mut Tx<'_>, company: i64) -> Result<Vec<(i64, i64)>, StoreError> {
    let sql = format!(
        "SELECT t.id, {MOST}, (SELECT COUNT(*) FROM job WHERE limited = 1 \
         AND company_id = $1 AND runtemplate_id = t.id AND held IS NULL) \
         FROM runtemplate t WHERE t.company_id = $1 AND EXISTS (SELECT 1 FROM job \
         WHERE limited = 1 AND company_id = $1 AND runtemplate_id = t.id AND held = '{LIMIT}')"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(company).fetch_all(&mut *tx.conn).await?;
    let free = |row: &sqlx::any::AnyRow| {
        let most = row.try_get::<Option<i64>, _>(1)?.unwrap_or(i64::MAX);
        Ok::<_, sqlx::Error>((row.try_get(0)?, most.saturating_sub(row.try_get(2)?)))
    };
    Ok(rows.iter().map(free).collect::<Result<_, _>>()?)
}

/// The first jobs of a run template that are held by a limit: what orders them, the
/// priority negated, and the id last.
async fn first_held(
    tx: &mut Tx<'_>,
    company: i64,
    template: i64,
    most: i64,
) -> Result<Vec<(i64, i64, i64)>, StoreError> {
    let sql = format!(
        "SELECT -priority, rank, id FROM job WHERE limited = 1 AND company_id = $1 \
         AND runtemplate_id = $2 AND held = '{LIMIT}' AND state = 'queued' \
         ORDER BY priority DESC, rank, id LIMIT $3"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(company)
        .bind(template)
        .bind(most.min(ADMITTED_AT_ONCE))
        .fetch_all(&mut *tx.conn)
        .await?;
    let order = |row: &sqlx::any::AnyRow| {
        Ok::<_, sqlx::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    };
    Ok(rows.iter().map(order).collect::<Result<_, _>>()?)
}

async fn release(tx: &mut Tx<'_>, ids: &[[i64; 1]]) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let rows = tx.dialect.rows("$1", &[("k_job", Kind::Int)]);
    let sql = format!(
        "UPDATE job SET held = NULL FROM {rows} \
         WHERE job.id = r.k_job AND job.state = 'queued' AND job.held = '{LIMIT}'"
    );
    let ids = serde_json::json!(ids).to_string();
    sqlx::query(AssertSqlSafe(sql)).bind(ids).execute(&mut *tx.conn).await?;
    Ok(())
}

/// The limits of a company or of one of its run templates are others now: what counts
/// towards them is found anew.
pub(in crate::store) async fn limits_changed(
    tx: &mut Tx<'_>,
    company: i64,
) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE job SET limited = n.counts, \
         held = CASE WHEN job.state = 'queued' AND job.held IS NULL AND n.counts = 1 \
         THEN '{LIMIT}' ELSE job.held END \
         FROM (SELECT o.id, {LIMITED} AS counts FROM job o {index} \
         JOIN runtemplate t ON t.id = o.runtemplate_id JOIN company c ON c.id = o.company_id \
         WHERE o.state IN {open} AND o.company_id = $1) AS n \
         WHERE job.id = n.id AND {state} IN {open}",
        index = tx.dialect.by_index("job_state"),
        state = tx.dialect.unindexed("job.state"),
        open = list(&[[State::Queued].as_slice(), &State::ON_AGENT].concat()),
    );
    sqlx::query(AssertSqlSafe(sql)).bind(company).execute(&mut *tx.conn).await?;
    // Without a limit all are let in, a part at a time.
    let sql = format!(
        "UPDATE job SET held = NULL WHERE state = 'queued' AND company_id = $1 \
         AND held = '{LIMIT}' AND limited = 0"
    );
    sqlx::query(AssertSqlSafe(sql)).bind(company).execute(&mut *tx.conn).await?;
    while admit(tx, &[company].into()).await? >= ADMITTED_AT_ONCE.unsigned_abs() {}
    Ok(())
}

/// Lets jobs whose time has come into the queue.
#[derive(Clone, Copy, Debug)]
pub struct ReleaseDue;

impl Change for ReleaseDue {
    /// How many jobs.
    type Output = usize;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<usize, StoreError> {
        let chosen = format!("job.state = 'queued' AND job.held = '{DUE}' AND job.due <= $2");
        Ok(enqueue(tx, &chosen, tx.now).await?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_is_found_without_looking_through_the_queue() {
        let plan =
            super::super::tests::plan(&format!("SELECT {}", turn(Dialect::Sqlite, "7", "0"))).await;
        assert!(plan.contains("job_ready (priority=?)"), "{plan}");
        assert!(plan.contains("job_turn (company_id=? AND priority=?)"), "{plan}");
    }
}
