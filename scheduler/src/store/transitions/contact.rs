//! Agents that go and come back: unreachable, regained, returned, given up.

use std::{collections::HashSet, time::Duration};

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{CancelJob, Ended, Finished, claim::take_back, finish::end, key, list, transition};
use crate::{
    domain::{
        ids::{AgentId, AttemptKey, JobId},
        job::{State, Transition},
    },
    store::{Change, Store, StoreError, Tx, connection::Connection, decisions, jobs, schedulers},
};

/// Takes back what agents were offered and marks what they run as unreachable.
#[derive(Clone, Debug)]
pub struct LoseContact {
    /// Whose connections are gone.
    pub lost: Lost,
    /// How they were lost, as a sentence.
    pub why: String,
}

/// Whose connections are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// This agent's to this scheduler. If it has connected to another meanwhile, that one
    /// looks after it.
    Agent(AgentId),
    /// Those of all agents to schedulers that are gone.
    Schedulers,
}

impl Change for LoseContact {
    /// The attempts that are unreachable now.
    type Output = Vec<AttemptKey>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Vec<AttemptKey>, StoreError> {
        let (agent, whose) = match self.lost {
            Lost::Agent(agent) => (agent.0, "scheduler_id = $2 AND id = $1"),
            Lost::Schedulers => (0, "scheduler_id NOT IN (SELECT id FROM scheduler) AND $1 < $2"),
        };
        let sql =
            format!("UPDATE agent SET connected = 0 WHERE connected = 1 AND {whose} RETURNING id");
        let agents: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(agent)
            .bind(tx.known.me.0)
            .fetch_all(&mut *tx.conn)
            .await?;
        let mut offered = Vec::new();
        let mut held = Vec::new();
        for agent in agents {
            for open in on_agent(tx, agent).await? {
                if open.state == State::Offered { &mut offered } else { &mut held }.push(open.key);
            }
        }
        take_back(tx, Transition::Withdraw, &offered, &self.why).await?;
        let unreachable =
            transition(tx, Transition::LoseContact, &held, "", ", unreachable = $2").await?;
        decisions::record_all(tx, &unreachable, "unreachable", &self.why).await?;
        Ok(unreachable)
    }
}

/// An open attempt.
#[derive(Clone, Copy, Debug)]
struct Open {
    key: AttemptKey,
    state: State,
    /// Its process id is on record.
    launched: bool,
}

/// The open attempts of an agent.
async fn on_agent(tx: &mut Tx<'_>, agent: i64) -> Result<Vec<Open>, StoreError> {
    let sql = format!(
        "SELECT job_id, number, fence, state, pid FROM attempt \
         WHERE agent_id = $1 AND state IN {}",
        list(&State::ON_AGENT)
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(agent).fetch_all(&mut *tx.conn).await?;
    let open = |row: &AnyRow| {
        let launched = row.try_get::<Option<i64>, _>(4)?.is_some();
        Ok::<_, sqlx::Error>(Open { key: key(row)?, state: jobs::state(row, 3)?, launched })
    };
    Ok(rows.iter().map(open).collect::<Result<_, _>>()?)
}

/// What it means that an agent does not hold an attempt that it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It has not launched it: it would know.
    NeverLaunched,
    /// Its host was booted: no process of before is left.
    Gone,
    /// Nothing: it is another agent, which was given the same name.
    Unknown,
}

/// Compares what an agent says that it holds with what it should hold. Refused if the agent
/// has connected to another scheduler meanwhile: what it said here is old.
#[derive(Clone, Debug)]
pub struct Reconcile {
    /// The agent.
    pub agent: AgentId,
    /// What it holds.
    pub held: Vec<AttemptKey>,
    /// What it means that it does not hold an attempt.
    pub missing: Missing,
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
    /// Attempts that were not launched: they are in the queue again, or cancelled if
    /// somebody asked for that.
    pub returned: Vec<AttemptKey>,
    /// Attempts that should have been there and are not. They are still open: who
    /// asked has to end them, with what is there of their output.
    pub gone: Vec<AttemptKey>,
}

impl Change for Reconcile {
    type Output = Reconciled;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Reconciled, StoreError> {
        if !schedulers::is_here(tx, self.agent).await? {
            let why = "the agent has connected to another scheduler meanwhile";
            return Err(StoreError::Refused(why.to_owned()));
        }
        let expected = on_agent(tx, self.agent.0).await?;
        let (offered, open): (Vec<Open>, Vec<Open>) =
            expected.into_iter().partition(|open| open.state == State::Offered);
        let offered: Vec<AttemptKey> = offered.iter().map(|open| open.key).collect();
        let why = "its agent has connected again";
        take_back(tx, Transition::Withdraw, &offered, why).await?;

        let held: HashSet<AttemptKey> = self.held.iter().copied().collect();
        let missing = || open.iter().filter(|open| !held.contains(&open.key));
        let mut gone: Vec<AttemptKey> = Vec::new();
        let mut returned = Vec::new();
        match self.missing {
            Missing::Unknown => {}
            Missing::Gone => gone.extend(missing().map(|open| open.key)),
            Missing::NeverLaunched => {
                let never = missing().filter(|open| !open.launched).map(|open| open.key);
                let never: Vec<AttemptKey> = never.collect();
                let why = "its agent came back and had not launched it";
                returned = take_back(tx, Transition::Return, &never, why).await?;
                for key in &returned {
                    cancel_if_asked(tx, key.job).await?;
                }
                gone.extend(missing().map(|open| open.key).filter(|key| !returned.contains(key)));
            }
        }
        let open: HashSet<AttemptKey> = open.iter().map(|open| open.key).collect();
        let (known, over): (Vec<AttemptKey>, Vec<AttemptKey>) =
            self.held.iter().partition(|key| open.contains(key));
        let back = transition(tx, Transition::Regain, &known, "", ", unreachable = NULL").await?;
        decisions::record_all(tx, &back, "regained", "its agent is back and still has it").await?;
        let mut resumed = Vec::with_capacity(known.len());
        for key in known {
            resumed.push(HeldRow { key, cancel: cancel_is_asked(tx, key.job).await? });
        }
        Ok(Reconciled { resumed, over, returned, gone })
    }
}

async fn cancel_is_asked(tx: &mut Tx<'_>, job: JobId) -> Result<bool, StoreError> {
    let asked: Option<Option<i64>> =
        sqlx::query_scalar("SELECT cancel_requested FROM job WHERE id = $1")
            .bind(job.0)
            .fetch_optional(&mut *tx.conn)
            .await?;
    Ok(asked.flatten().is_some())
}

/// Somebody asked for a job to be cancelled while it was thought to run.
async fn cancel_if_asked(tx: &mut Tx<'_>, job: JobId) -> Result<(), StoreError> {
    if cancel_is_asked(tx, job).await? {
        let by = "whoever had asked while it was thought to run".to_owned();
        CancelJob { job, by }.apply(tx).await?;
    }
    Ok(())
}

/// Attempts whose agent is away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Those whose run template's `lost_after` has passed.
    pub due: Vec<AttemptKey>,
    /// How long until the next is due.
    pub next: Option<Duration>,
}

async fn overdue(conn: &mut Connection<'_>, now: i64) -> Result<Overdue, StoreError> {
    // The second condition is the index's own.
    let sql = format!(
        "SELECT n.job_id, n.number, n.fence, n.unreachable + t.lost_after_ms * 1000 \
         FROM attempt n JOIN job j ON j.id = n.job_id \
         JOIN runtemplate t ON t.id = j.runtemplate_id WHERE n.state = 'unreachable' \
         AND n.state IN {}",
        list(&State::ON_AGENT)
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(conn).await?;
    let mut overdue = Overdue::default();
    for row in &rows {
        let left = row.try_get::<i64, _>(3)?.saturating_sub(now);
        if left <= 0 {
            overdue.due.push(key(row)?);
        } else {
            let left = Duration::from_micros(left.unsigned_abs());
            overdue.next = Some(overdue.next.map_or(left, |next| next.min(left)));
        }
    }
    Ok(overdue)
}

impl Store {
    /// Attempts on agents that somebody asked to be cancelled, with their agents.
    pub async fn cancels_asked(&self) -> Result<Vec<(AgentId, AttemptKey)>, StoreError> {
        let sql = format!(
            "SELECT j.id, j.attempt, j.fence, n.agent_id FROM job j JOIN attempt n \
             ON n.job_id = j.id AND n.number = j.attempt \
             WHERE j.state IN {} AND j.cancel_requested IS NOT NULL",
            list(&State::ON_AGENT)
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.readers).await?;
        let asked = |row: &AnyRow| Ok::<_, sqlx::Error>((AgentId(row.try_get(3)?), key(row)?));
        Ok(rows.iter().map(asked).collect::<Result<_, _>>()?)
    }

    /// Which attempts are to be given up now, and when to ask again.
    pub async fn overdue(&self) -> Result<Overdue, StoreError> {
        let mut conn = self.readers.acquire().await?;
        let now = sqlx::query_scalar(self.dialect.now()).fetch_one(&mut *conn).await?;
        overdue(&mut conn, now).await
    }
}

/// Gives up attempts that are overdue: whoever is back by now is not.
#[derive(Clone, Debug)]
pub struct GiveUp(pub Vec<Ended>);

impl Change for GiveUp {
    type Output = Finished;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Output, StoreError> {
        let due = overdue(&mut *tx.conn, tx.now).await?.due;
        let due: Vec<&Ended> =
            self.0.iter().filter(|ended| due.contains(&ended.completion.key)).collect();
        end(tx, &due, Transition::GiveUp.from()).await
    }
}
