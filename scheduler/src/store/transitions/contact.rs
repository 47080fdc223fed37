//! Agents that go and come back: unreachable, regained, lost.

use std::collections::{HashMap, HashSet};

use sqlx::{AssertSqlSafe, Row as _};

use super::{claim::withdraw, key, transition};
use crate::{
    domain::{
        ids::{AgentId, AttemptKey},
        job::{State, Transition},
    },
    store::{Change, StoreError, Tx, jobs},
};

/// Takes back what an agent was offered and marks what it runs as unreachable.
#[derive(Clone, Copy, Debug)]
pub struct LoseContact {
    /// The agent whose connection is gone; none for all agents.
    pub agent: Option<AgentId>,
}

impl Change for LoseContact {
    /// The attempts that are unreachable now.
    type Output = Vec<AttemptKey>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<AttemptKey>, StoreError> {
        let agent = self.agent.map_or(0, |agent| agent.0);
        let mut offered = Vec::new();
        let mut held = Vec::new();
        for (key, state) in on_agent(tx, agent).await? {
            if state == State::Offered { &mut offered } else { &mut held }.push(key);
        }
        withdraw(tx, &offered).await?;
        transition(tx, Transition::LoseContact, &held, "", ", unreachable = $2").await
    }
}

/// The open attempts of an agent; of all agents for 0.
async fn on_agent(tx: &mut Tx<'_>, agent: i64) -> Result<Vec<(AttemptKey, State)>, StoreError> {
    let rows = sqlx::query(
        "SELECT job_id, number, fence, state FROM attempt \
         WHERE ($1 = 0 OR agent_id = $1) \
         AND state IN ('offered', 'running', 'unreachable', 'finishing')",
    )
    .bind(agent)
    .fetch_all(&mut *tx.conn)
    .await?;
    let read = |row| Ok::<_, sqlx::Error>((key(row)?, jobs::state(row, 3)?));
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// Compares what an agent says that it holds with what it should hold.
#[derive(Clone, Debug)]
pub struct Reconcile {
    /// The agent.
    pub agent: AgentId,
    /// What it holds.
    pub held: Vec<AttemptKey>,
    /// Nobody holds what it does not: the agent is the one that had it.
    pub exhaustive: bool,
}

/// An attempt that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldRow {
    /// The attempt.
    pub key: AttemptKey,
    /// Somebody asked for it to be cancelled.
    pub cancel: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Reconciled {
    /// Attempts that go on.
    pub resumed: Vec<HeldRow>,
    /// Attempts that the agent holds and that are over: ended or superseded.
    pub over: Vec<AttemptKey>,
    /// Attempts that should have been there and are not: they are lost.
    pub lost: Vec<AttemptKey>,
}

impl Change for Reconcile {
    type Output = Reconciled;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Reconciled, StoreError> {
        let expected: HashMap<AttemptKey, State> =
            on_agent(tx, self.agent.0).await?.into_iter().collect();
        let held: HashSet<AttemptKey> = self.held.iter().copied().collect();

        let missing = |state_is: fn(State) -> bool| -> Vec<AttemptKey> {
            let missing = expected.iter().filter(|(key, state)| {
                state_is(**state) && (**state == State::Offered || !held.contains(key))
            });
            missing.map(|(key, _)| *key).collect()
        };
        withdraw(tx, &missing(|state| state == State::Offered)).await?;
        // Another agent under the same name knows nothing of what the first one has.
        let gone = if self.exhaustive { missing(|state| state != State::Offered) } else { vec![] };
        let lost = transition(tx, Transition::GiveUp, &gone, ", ended = $2", ", ended = $2").await?;

        let (known, over): (Vec<AttemptKey>, Vec<AttemptKey>) = self.held.iter().partition(|key| {
            expected.get(key).is_some_and(|state| *state != State::Offered)
        });
        transition(tx, Transition::Regain, &known, "", ", unreachable = NULL").await?;
        let mut resumed = Vec::with_capacity(known.len());
        for key in known {
            let cancel: Option<Option<i64>> =
                sqlx::query_scalar("SELECT cancel_requested FROM job WHERE id = $1")
                    .bind(key.job.0)
                    .fetch_optional(&mut *tx.conn)
                    .await?;
            resumed.push(HeldRow { key, cancel: cancel.flatten().is_some() });
        }
        Ok(Reconciled { resumed, over, lost })
    }
}

/// Gives up unreachable attempts whose run template's `lost_after` has passed.
#[derive(Clone, Copy, Debug)]
pub struct GiveUp;

impl Change for GiveUp {
    /// The attempts that are lost now, and in how many microseconds the next may be.
    type Output = (Vec<AttemptKey>, Option<i64>);

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(
            "SELECT n.job_id, n.number, n.fence, n.unreachable + t.lost_after_ms * 1000 \
             FROM attempt n JOIN job j ON j.id = n.job_id \
             JOIN runtemplate t ON t.id = j.runtemplate_id WHERE n.state = 'unreachable' \
             AND n.state IN ('offered', 'running', 'unreachable', 'finishing')",
        ))
        .fetch_all(&mut *tx.conn)
        .await?;
        let mut due = Vec::new();
        let mut next: Option<i64> = None;
        for row in &rows {
            let left = row.try_get::<i64, _>(3)?.saturating_sub(tx.now);
            if left <= 0 {
                due.push(key(row)?);
            } else {
                next = Some(next.map_or(left, |next| next.min(left)));
            }
        }
        let lost =
            transition(tx, Transition::GiveUp, &due, ", ended = $2", ", ended = $2").await?;
        Ok((lost, next))
    }
}
