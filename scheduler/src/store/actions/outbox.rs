//! The actions of jobs that have ended: put there by the transaction that ends the job,
//! and claimed under a fence for a while. Whoever has the claim records what came of it.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{effect::COMMANDS, put_off::WAITS};
use crate::{
    domain::{
        action::{End, Mode, Progress},
        environment::Given,
        ids::{ActionId, Fence, JobId, PerformedActionId, RunTemplateId},
        job::State,
    },
    store::{Change, Dialect, Store, StoreError, Tx, dialect::Kind, jobs, variables},
    vault::Vault,
};

/// A job that ran and has ended for good.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Ran {
    /// The job.
    pub(in crate::store) job: i64,
    /// Its last attempt.
    pub(in crate::store) attempt: i32,
    /// Its run template.
    pub(in crate::store) template: i64,
    /// How it ended.
    pub(in crate::store) state: State,
}

/// An action that could follow.
struct Follower {
    id: i64,
    mode: Mode,
}

/// Puts the actions that follow these ends into the outbox; whether there were any. Of each
/// job only the first has its time: it gives it to the next when it ends. However many have
/// ended, the statements are as many.
pub(in crate::store) async fn enqueue(
    tx: &mut Tx<'_>,
    ends: impl Iterator<Item = Ran>,
) -> Result<bool, StoreError> {
    let ends: Vec<Ran> = ends.filter(|end| end.attempt > 0).collect();
    let followers = followers(tx, &ends).await?;
    let conditional = |end: &&Ran| {
        let followers = followers.get(&end.template).map(Vec::as_slice).unwrap_or_default();
        followers.iter().any(|follower| matches!(follower.mode, Mode::When(_)))
    };
    let exits = exit_codes(tx, ends.iter().filter(conditional)).await?;
    let mut rows = Vec::new();
    for Ran { job, attempt, template, state } in ends {
        let end = End { state, exit: exits.get(&job).copied(), attempt };
        let follow = followers.get(&template).map(Vec::as_slice).unwrap_or_default().iter();
        let follow = follow.filter(|it| it.mode.follows(end));
        let row = |(position, it): (i64, &Follower)| {
            json!([job, attempt, template, state.name(), it.id, position])
        };
        rows.extend((1..).zip(follow).map(row));
    }
    if rows.is_empty() {
        return Ok(false);
    }
    let columns = [
        ("k_job", Kind::Int),
        ("k_attempt", Kind::Int),
        ("k_template", Kind::Int),
        ("k_state", Kind::Text),
        ("k_action", Kind::Int),
        ("k_position", Kind::Int),
    ];
    let sql = format!(
        "INSERT INTO action (job_id, attempt, actionconfig_id, runtemplate_id, module, position, \
         configuration, state, due, created, job_state) \
         SELECT r.k_job, r.k_attempt, c.id, r.k_template, c.module, r.k_position, \
         c.configuration, '{}', CASE r.k_position WHEN 1 THEN $2 END, $2, r.k_state FROM {} \
         JOIN actionconfig c ON c.id = r.k_action JOIN job j ON j.id = r.k_job \
         WHERE r.k_attempt > 0 ON CONFLICT (job_id, attempt, actionconfig_id) DO NOTHING",
        Progress::Pending,
        tx.dialect.rows("$1", &columns),
    );
    let inserted = sqlx::query(AssertSqlSafe(sql))
        .bind(json!(rows).to_string())
        .bind(tx.now)
        .execute(&mut *tx.conn)
        .await?;
    Ok(inserted.rows_affected() > 0)
}

/// What could follow the jobs of these run templates: what is their own, then what is their
/// company's, each in its order.
async fn followers(
    tx: &mut Tx<'_>,
    ends: &[Ran],
) -> Result<HashMap<i64, Vec<Follower>>, StoreError> {
    let templates: BTreeSet<i64> = ends.iter().map(|end| end.template).collect();
    let templates: Vec<[i64; 1]> = templates.into_iter().map(|id| [id]).collect();
    let rows = sqlx::query(AssertSqlSafe(followers_sql(tx.dialect)))
        .bind(json!(templates).to_string())
        .fetch_all(&mut *tx.conn)
        .await?;
    let mut followers = HashMap::<i64, Vec<Follower>>::new();
    for row in &rows {
        let (id, mode): (i64, String) = (row.try_get(1)?, row.try_get(2)?);
        match mode.parse() {
            Ok(mode) => {
                followers.entry(row.try_get(0)?).or_default().push(Follower { id, mode });
            }
            // Nothing keeps a job from ending.
            Err(error) => tracing::error!(action = id, %error, "an action cannot follow"),
        }
    }
    Ok(followers)
}

fn followers_sql(dialect: Dialect) -> String {
    let rows = dialect.rows("$1", &[("k_template", Kind::Int)]);
    let of = |owner: &str, rank: u8| {
        format!(
            "SELECT t.id AS k_id, c.id AS k_action, c.mode, {rank} AS k_rank, c.position \
             FROM {rows} JOIN runtemplate t ON t.id = r.k_template JOIN actionconfig c ON {owner}"
        )
    };
    format!(
        "{} UNION ALL {} ORDER BY k_id, k_rank, position, k_action",
        of("c.runtemplate_id = t.id", 0),
        of(&companys_follows(), 1)
    )
}

/// Whether an action `c` of a company follows the jobs of the run template `t`: not those that it
/// makes itself, and not commands of actions, which would follow each other for ever.
pub(in crate::store) fn companys_follows() -> String {
    let no_command = no_command();
    format!("c.company_id = t.company_id AND COALESCE(c.leads_to, 0) <> t.id AND {no_command}")
}

/// Whether a run template `t` is not that of an action's commands.
pub(super) fn no_command() -> String {
    format!("t.app_id NOT IN (SELECT a.id FROM apps a WHERE a.uuid = '{COMMANDS}')")
}

/// The exit codes of attempts that have one.
async fn exit_codes(
    tx: &mut Tx<'_>,
    ends: impl Iterator<Item = &Ran>,
) -> Result<HashMap<i64, i32>, StoreError> {
    let keys: Vec<_> = ends.map(|end| [end.job, i64::from(end.attempt)]).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "SELECT n.job_id, n.exit_code FROM {} JOIN attempt n ON n.job_id = r.k_job \
         AND n.number = r.k_attempt WHERE n.exit_code IS NOT NULL",
        tx.dialect.rows("$1", &[("k_job", Kind::Int), ("k_attempt", Kind::Int)]),
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(json!(keys).to_string())
        .fetch_all(&mut *tx.conn)
        .await?;
    let code = |row: &AnyRow| Ok((row.try_get(0)?, jobs::small(row, 1)?.unwrap_or_default()));
    rows.iter().map(code).collect()
}

/// Takes actions whose time has come, also from a scheduler that has not said in time what
/// came of them.
#[derive(Clone, Copy, Debug)]
pub struct ClaimActions {
    /// How many at most.
    pub limit: i64,
    /// How long they are left to whoever takes them.
    pub lease: Duration,
}

/// A claim on an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionClaim {
    /// The action.
    pub id: PerformedActionId,
    /// The run template's or company's action that it was.
    pub action: ActionId,
    /// Another claim has a higher one.
    pub fence: Fence,
    /// The job that has ended.
    pub job: JobId,
    /// Its last attempt.
    pub attempt: i32,
    /// Its run template.
    pub run_template: RunTemplateId,
    /// How it had ended; none if that was not recorded.
    pub state: Option<State>,
    /// When it was put into the outbox.
    pub created: i64,
}

/// An action that is to be done.
#[derive(Clone, Debug)]
pub struct ClaimedAction {
    /// The claim.
    pub claim: ActionClaim,
    /// What kind it is of.
    pub kind: String,
    /// What it is told; or why that cannot be read.
    pub settings: Result<Given, String>,
    /// How many times it was begun, this time included.
    pub tries: u32,
}

impl Change for ClaimActions {
    type Output = Vec<ClaimedAction>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<ClaimedAction>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(claim_sql(tx.dialect)))
            .bind(self.limit)
            .bind(tx.now)
            .bind(tx.now.saturating_add(microseconds(self.lease)))
            .fetch_all(&mut *tx.conn)
            .await?;
        rows.iter().map(|row| claimed(row, tx.vault)).collect()
    }
}

/// What a claim returns of an action.
pub(super) const CLAIMED: &str = "RETURNING action.id, action.fence, action.job_id, \
     action.attempt, action.runtemplate_id, action.module, action.configuration, action.tries, \
     action.job_state, action.created, action.actionconfig_id";

/// An action that was claimed, as [`CLAIMED`] returns it.
pub(super) fn claimed(row: &AnyRow, vault: &Vault) -> Result<ClaimedAction, StoreError> {
    Ok(ClaimedAction {
        claim: ActionClaim {
            id: PerformedActionId(row.try_get(0)?),
            fence: Fence(row.try_get(1)?),
            job: JobId(row.try_get(2)?),
            attempt: jobs::small(row, 3)?.unwrap_or_default(),
            run_template: RunTemplateId(row.try_get(4)?),
            state: row.try_get::<Option<String>, _>(8)?.and_then(|name| name.parse().ok()),
            created: row.try_get(9)?,
            action: ActionId(row.try_get(10)?),
        },
        kind: row.try_get(5)?,
        settings: variables::from_json(&row.try_get::<String, _>(6)?, vault)
            .map_err(|error| error.to_string()),
        tries: jobs::small(row, 7)?.unwrap_or_default().unsigned_abs(),
    })
}

fn claim_sql(dialect: Dialect) -> String {
    format!(
        "WITH next AS (SELECT id FROM action {} WHERE state IN {OPEN} AND due <= $2 \
         ORDER BY due, id LIMIT $1 {}) \
         UPDATE action SET state = '{}', fence = fence + 1, tries = tries + 1, due = $3, \
         started = COALESCE(started, $2), \
         outcome = CASE WHEN outcome LIKE '{WAITS}%' THEN NULL ELSE outcome END \
         FROM next WHERE action.id = next.id {CLAIMED}",
        dialect.by_index("action_due"),
        dialect.skip_locked(),
        Progress::Running,
    )
}

/// The states of what is not done, as the index has them.
const OPEN: &str = "('pending', 'running')";

pub(super) fn microseconds(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Keeps a claim for longer, if it still holds.
#[derive(Clone, Copy, Debug)]
pub struct KeepAction {
    /// The claim.
    pub claim: ActionClaim,
    /// For how long from now.
    pub lease: Duration,
}

impl Change for KeepAction {
    /// Whether it holds.
    type Output = bool;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let sql = format!(
            "UPDATE action SET due = $3 WHERE id = $1 AND fence = $2 AND state = '{}'",
            Progress::Running
        );
        let kept = sqlx::query(AssertSqlSafe(sql))
            .bind(self.claim.id.0)
            .bind(self.claim.fence.0)
            .bind(tx.now.saturating_add(microseconds(self.lease)))
            .execute(&mut *tx.conn)
            .await?;
        Ok(kept.rows_affected() > 0)
    }
}

/// Lets go of what a scheduler before had claimed or put off, where there can be no other.
#[derive(Clone, Copy, Debug)]
pub struct ReleaseActions;

impl Change for ReleaseActions {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        if !tx.dialect.is_shared() {
            let sql = format!(
                "UPDATE action SET due = $1 WHERE state = '{}' \
                 OR (state = '{}' AND due IS NOT NULL AND outcome LIKE '{WAITS}%')",
                Progress::Running,
                Progress::Pending,
            );
            sqlx::query(AssertSqlSafe(sql)).bind(tx.now).execute(&mut *tx.conn).await?;
        }
        Ok(())
    }
}

impl Store {
    /// How long until the next action is due, or a claim on one runs out; none if there is
    /// none.
    pub async fn next_action(&self) -> Result<Option<Duration>, StoreError> {
        let mut conn = self.readers.acquire().await?;
        let now: i64 = sqlx::query_scalar(self.dialect.now()).fetch_one(&mut *conn).await?;
        let index = self.dialect.by_index("action_due");
        let sql = format!("SELECT MIN(due) FROM action {index} WHERE state IN {OPEN}");
        let next: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *conn).await?;
        Ok(next.map(|next| Duration::from_micros(u64::try_from(next - now).unwrap_or(0))))
    }

    /// Rung when actions were put into the outbox.
    pub fn actions_added(&self) -> &tokio::sync::Notify {
        &self.actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::transitions::tests::plan;

    #[tokio::test]
    async fn a_claim_reads_what_is_due_from_the_front_of_its_index() {
        let plan = plan(&claim_sql(Dialect::Sqlite)).await;
        assert!(plan.contains("INDEX action_due (due<?)"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[tokio::test]
    async fn what_could_follow_is_found_by_its_owner() {
        let plan = plan(&followers_sql(Dialect::Sqlite)).await;
        assert!(plan.contains("INDEX actionconfig_runtemplate"), "{plan}");
        assert!(plan.contains("INDEX actionconfig_company"), "{plan}");
    }
}
