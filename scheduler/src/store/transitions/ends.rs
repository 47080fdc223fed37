//! Jobs that end for good: their run templates count them, and their actions follow.
//!
//! All that end in a transaction are counted by one statement just before its commit,
//! whatever ended them: it costs the same for one job and for a hundred. It also tells which
//! run templates have actions; nearly always none has, and that is all. Schedulers that
//! share a database take the run templates in the order of their ids, so that no two wait
//! for each other.

use std::collections::{BTreeMap, HashSet};

use sqlx::{AssertSqlSafe, Row as _};

use crate::{
    domain::job::State,
    store::{
        Dialect, StoreError, Tx,
        actions::{self, Ran},
        dialect::Kind,
    },
};

/// A job that has ended and is not retried.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct End {
    /// Its run template.
    pub(super) template: i64,
    /// How it ended.
    pub(super) state: State,
    /// The job and its last attempt; none if that was not to run: somebody cancelled it
    /// while it waited.
    pub(super) ran: Option<(i64, i32)>,
}

impl End {
    fn ran(self) -> Option<Ran> {
        let (job, attempt) = self.ran?;
        Some(Ran { job, attempt, template: self.template, state: self.state })
    }
}

/// Counts the jobs that have ended in this transaction, and puts what follows into the
/// outbox; whether there is any.
pub(in crate::store) async fn settle(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let mut counts = BTreeMap::<i64, [i64; State::ENDED.len()]>::new();
    let ends = std::mem::take(&mut tx.ends);
    for end in &ends {
        let of_template = counts.entry(end.template).or_default();
        for (count, state) in of_template.iter_mut().zip(State::ENDED) {
            *count += i64::from(state == end.state);
        }
    }
    if counts.is_empty() {
        return Ok(false);
    }
    let counts: Vec<_> =
        counts.into_iter().map(|(id, [a, b, c, d, e])| [id, a, b, c, d, e]).collect();
    let counted = sqlx::query(AssertSqlSafe(count_sql(tx.dialect)))
        .bind(serde_json::json!(counts).to_string())
        .bind(tx.now)
        .fetch_all(&mut *tx.conn)
        .await?;
    let mut with_actions = HashSet::<i64>::new();
    for row in &counted {
        if row.try_get::<i64, _>(1)? > 0 {
            with_actions.insert(row.try_get(0)?);
        }
    }
    if with_actions.is_empty() {
        return Ok(false);
    }
    let ran = ends.into_iter().filter_map(End::ran);
    actions::enqueue(tx, ran.filter(|end| with_actions.contains(&end.template))).await
}

fn count_sql(dialect: Dialect) -> String {
    let columns = ["k_template", "k_succeeded", "k_failed", "k_cancelled", "k_timed_out", "k_lost"];
    let rows = dialect.rows("$1", &columns.map(|column| (column, Kind::Int)));
    format!(
        "WITH counted AS (SELECT t.id, r.* FROM {rows} JOIN runtemplate t ON t.id = r.k_template \
         ORDER BY t.id {lock}) \
         UPDATE runtemplate SET \
         successfull_jobs_count = successfull_jobs_count + counted.k_succeeded, \
         failed_jobs_count = failed_jobs_count + counted.k_failed, \
         cancelled_jobs_count = cancelled_jobs_count + counted.k_cancelled, \
         timed_out_jobs_count = timed_out_jobs_count + counted.k_timed_out, \
         lost_jobs_count = lost_jobs_count + counted.k_lost, \
         last_ended = CASE WHEN last_ended > $2 THEN last_ended ELSE $2 END \
         FROM counted WHERE runtemplate.id = counted.id \
         RETURNING runtemplate.id, (SELECT COUNT(*) FROM actionconfig c \
         WHERE c.runtemplate_id = runtemplate.id) + (SELECT COUNT(*) FROM actionconfig c \
         WHERE c.company_id = runtemplate.company_id)",
        lock = dialect.lock_rows(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn counting_finds_each_run_template_by_its_id() {
        let plan = super::super::tests::plan(&count_sql(Dialect::Sqlite)).await;
        assert!(plan.contains("SEARCH runtemplate USING INTEGER PRIMARY KEY"), "{plan}");
        assert!(!plan.contains("SCAN runtemplate") && !plan.contains("SCAN c"), "{plan}");
    }
}
