//! What Zabbix is told: changes of jobs with what is known of them, and what there is to
//! watch. How far it has been told stands in `setting`, so that nothing is left out when a
//! scheduler is restarted, and one of several schedulers tells it.

use std::{collections::HashMap, fmt, str::FromStr, sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::{
    Change, EventRow, Store, StoreError, Tx,
    dialect::Kind,
    jobs, schedulers,
    transitions::{admission::QUEUE_PAUSED, list},
    variables,
};
use crate::domain::{
    action::Mode,
    application::Definition,
    ids::{ApplicationId, CompanyId, JobId, RunTemplateId, SchedulerId},
    job::State,
    schedule::Interval,
};

/// The setting whose value is how far Zabbix has been told.
const CURSOR: &str = "zabbix_cursor";

/// The setting whose value is the scheduler that tells it.
const SENDER: &str = "zabbix_sender";

/// How far Zabbix has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZabbixCursor {
    /// The last event that it knows.
    pub event: i64,
    /// The time that event was given there, in nanoseconds since the Unix epoch: no two have
    /// the same, and one that is sent again has the time of before.
    pub stamp: i64,
}

impl fmt::Display for ZabbixCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.event, self.stamp)
    }
}

impl FromStr for ZabbixCursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read =
            text.split_once(' ').and_then(|(event, stamp)| Some((event.parse().ok()?, stamp)));
        let read = read.and_then(|(event, stamp)| Some(Self { event, stamp: stamp.parse().ok()? }));
        read.ok_or_else(|| format!("{text:?} is no place among the events"))
    }
}

/// Makes this scheduler the one that tells Zabbix, unless another one does that lives. Where
/// nothing was ever told, it begins with now.
#[derive(Clone, Copy, Debug)]
pub struct TakeZabbix;

impl Change for TakeZabbix {
    /// How far it was told; none if another scheduler tells it.
    type Output = Option<ZabbixCursor>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<ZabbixCursor>, StoreError> {
        let me = tx.known.me.0;
        match sender(tx).await? {
            Some(other) if other != me && schedulers::is_alive(tx, other).await? => {
                return Ok(None);
            }
            Some(_) => {
                let update = "UPDATE setting SET value = $2, changed = $3 WHERE name = $1";
                put(tx, update, SENDER, me.to_string()).await?;
            }
            None => {
                let insert = "INSERT INTO setting (name, value, changed) VALUES ($1, $2, $3) \
                              ON CONFLICT (name) DO NOTHING";
                if put(tx, insert, SENDER, me.to_string()).await? == 0 {
                    return Ok(None);
                }
            }
        }
        if let Some(cursor) = told(tx).await? {
            return Ok(Some(cursor));
        }
        let newest: Option<i64> =
            sqlx::query_scalar("SELECT MAX(id) FROM event").fetch_one(&mut *tx.conn).await?;
        let cursor = ZabbixCursor { event: newest.unwrap_or(0), stamp: 0 };
        let insert = "INSERT INTO setting (name, value, changed) VALUES ($1, $2, $3)";
        put(tx, insert, CURSOR, cursor.to_string()).await?;
        Ok(Some(cursor))
    }
}

/// Records how far Zabbix has been told; false if another scheduler tells it now.
#[derive(Clone, Copy, Debug)]
pub struct AdvanceZabbix(pub ZabbixCursor);

impl Change for AdvanceZabbix {
    type Output = bool;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        if sender(tx).await? != Some(tx.known.me.0) {
            return Ok(false);
        }
        let update = "UPDATE setting SET value = $2, changed = $3 WHERE name = $1";
        put(tx, update, CURSOR, self.0.to_string()).await?;
        Ok(true)
    }
}

/// Zabbix is not told any more: how far it was is forgotten, unless another scheduler tells it.
#[derive(Clone, Copy, Debug)]
pub struct ForgetZabbix;

impl Change for ForgetZabbix {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let me = tx.known.me.0;
        match sender(tx).await? {
            Some(other) if other != me && schedulers::is_alive(tx, other).await? => {}
            _ => {
                sqlx::query("DELETE FROM setting WHERE name IN ($1, $2)")
                    .bind(CURSOR)
                    .bind(SENDER)
                    .execute(&mut *tx.conn)
                    .await?;
            }
        }
        Ok(())
    }
}

/// The scheduler that tells Zabbix; its row is locked.
async fn sender(tx: &mut Tx<'_>) -> Result<Option<i64>, StoreError> {
    let sql = format!("SELECT value FROM setting WHERE name = $1 {}", tx.dialect.lock_rows());
    let value: Option<String> =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(SENDER).fetch_optional(&mut *tx.conn).await?;
    Ok(value.and_then(|id| id.parse().ok()))
}

/// How far Zabbix has been told; none if it is told nothing.
pub(super) async fn told(tx: &mut Tx<'_>) -> Result<Option<ZabbixCursor>, StoreError> {
    let value: Option<String> = sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
        .bind(CURSOR)
        .fetch_optional(&mut *tx.conn)
        .await?;
    Ok(value.map(|value| value.parse().map_err(|error: String| jobs::decode(error))).transpose()?)
}

async fn put(
    tx: &mut Tx<'_>,
    sql: &'static str,
    name: &'static str,
    value: String,
) -> Result<u64, StoreError> {
    let put = sqlx::query(sql).bind(name).bind(value).bind(tx.now);
    Ok(put.execute(&mut *tx.conn).await?.rows_affected())
}

/// A run template, as Zabbix knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// Its id.
    pub id: RunTemplateId,
    /// Its name.
    pub name: String,
    /// Whether jobs can be made of it.
    pub active: bool,
    /// Its application and that one's name.
    pub application: (ApplicationId, String),
    /// What the application says of itself.
    pub definition: Arc<Definition>,
    /// Its company.
    pub company: WatchedCompany,
    /// How often its jobs start by themselves.
    pub interval: Interval,
}

/// A company, as Zabbix knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedCompany {
    /// Its id.
    pub id: CompanyId,
    /// Its name.
    pub name: String,
    /// Its short name; empty if it has none.
    pub code: String,
    /// The host in Zabbix that gets what is told of its jobs; none for the scheduler's.
    pub host: Option<String>,
}

const WATCHED: &str = "SELECT t.id, t.name, t.active, t.app_id, a.name, a.revision, c.id, c.name, \
     c.slug, c.zabbix_host, t.interv FROM runtemplate t JOIN apps a ON a.id = t.app_id \
     JOIN company c ON c.id = t.company_id";

/// An action of a run template, as Zabbix knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedAction {
    /// The run template.
    pub run_template: RunTemplateId,
    /// What kind it is of.
    pub kind: String,
    /// Whether it follows some successes, and some failures.
    pub follows: [bool; 2],
    /// The key of the item that it is told to write, if it is told one.
    pub key: Option<String>,
}

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

/// How full the queue is, for who watches it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// The time, by the database's clock.
    pub now: i64,
    /// Jobs that could be claimed now.
    pub ready: i64,
    /// Jobs that wait for their time or for a place under a limit.
    pub held: i64,
    /// Jobs that are on an agent.
    pub running: i64,
    /// When the first of those that could be claimed entered the queue.
    pub oldest: Option<i64>,
    /// Nothing is claimed.
    pub paused: bool,
}

/// How far Zabbix has been told, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZabbixProgress {
    /// The last event that it knows; none if it is told nothing.
    pub cursor: Option<i64>,
    /// The newest event.
    pub newest: i64,
    /// When the first event happened that it does not know.
    pub oldest: Option<i64>,
    /// The scheduler that tells it, and where the others reach that.
    pub sender: Option<(SchedulerId, String)>,
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

    /// Those of these run templates that are there.
    pub async fn watched_of(
        &self,
        ids: &[i64],
    ) -> Result<HashMap<RunTemplateId, Arc<Watched>>, StoreError> {
        let ids: std::collections::BTreeSet<i64> = ids.iter().copied().collect();
        let ids: Vec<[i64; 1]> = ids.into_iter().map(|id| [id]).collect();
        let chosen = self.dialect.rows("$1", &[("id", Kind::Int)]);
        let sql = format!("{WATCHED} WHERE t.id IN (SELECT r.id FROM {chosen})");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(&self.readers)
            .await?;
        let watched = self.watched_rows(&rows).await?;
        Ok(watched.into_iter().map(|row| (row.id, Arc::new(row))).collect())
    }

    async fn watched_rows(&self, rows: &[AnyRow]) -> Result<Vec<Watched>, StoreError> {
        let definitions = self.definitions_of(rows, [3, 5]).await?;
        let watched = |row: &AnyRow| {
            let application = ApplicationId(row.try_get(3)?);
            let definition = definitions
                .get(&application)
                .ok_or(StoreError::NotFound { what: "application", id: application.0 })?;
            Ok(Watched {
                id: RunTemplateId(row.try_get(0)?),
                name: row.try_get(1)?,
                active: row.try_get::<i64, _>(2)? != 0,
                application: (application, row.try_get(4)?),
                definition: Arc::clone(definition),
                company: company(row, 6)?,
                interval: row.try_get::<String, _>(10)?.parse().map_err(jobs::decode)?,
            })
        };
        rows.iter().map(watched).collect()
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

    /// All run templates, by id.
    pub async fn watched(&self) -> Result<Vec<Watched>, StoreError> {
        let sql = format!("{WATCHED} ORDER BY t.id");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.readers).await?;
        self.watched_rows(&rows).await
    }

    /// All companies, by id.
    pub async fn watched_companies(&self) -> Result<Vec<WatchedCompany>, StoreError> {
        let sql = "SELECT id, name, slug, zabbix_host FROM company ORDER BY id";
        let rows = sqlx::query(sql).fetch_all(&self.readers).await?;
        Ok(rows.iter().map(|row| company(row, 0)).collect::<Result<_, _>>()?)
    }

    /// The actions of all run templates, in their order.
    pub async fn watched_actions(&self) -> Result<Vec<WatchedAction>, StoreError> {
        let sql = "SELECT t.id, a.module, a.mode, a.configuration FROM actionconfig a \
                   JOIN runtemplate t ON t.id = a.runtemplate_id OR t.company_id = a.company_id \
                   ORDER BY t.id, a.position, a.id";
        let rows = sqlx::query(sql).fetch_all(&self.readers).await?;
        let action = |row: &AnyRow| {
            let mode: String = row.try_get(2)?;
            let mut settings =
                variables::from_json(&row.try_get::<String, _>(3)?, &self.known.vault)?;
            Ok(WatchedAction {
                run_template: RunTemplateId(row.try_get(0)?),
                kind: row.try_get(1)?,
                follows: [Mode::Fail, Mode::Success].map(|other| mode != other.name()),
                key: settings.values.remove("key").filter(|key| !key.is_empty()),
            })
        };
        rows.iter().map(action).collect()
    }

    /// Ids and names of all agents that were ever connected, by id.
    pub async fn watched_agents(&self) -> Result<Vec<(i64, String)>, StoreError> {
        let rows =
            sqlx::query("SELECT id, name FROM agent ORDER BY id").fetch_all(&self.readers).await?;
        let agent = |row: &AnyRow| Ok::<_, sqlx::Error>((row.try_get(0)?, row.try_get(1)?));
        Ok(rows.iter().map(agent).collect::<Result<_, _>>()?)
    }

    /// How full the queue is.
    pub async fn gauges(&self) -> Result<Gauges, StoreError> {
        let mut conn = self.readers.acquire().await?;
        let now = sqlx::query_scalar(self.dialect.now()).fetch_one(&mut *conn).await?;
        let sql = format!(
            "SELECT (SELECT COUNT(*) FROM job WHERE state = 'queued' AND held IS NULL), \
             (SELECT COUNT(*) FROM job WHERE state = 'queued' AND held IS NOT NULL), \
             (SELECT COUNT(*) FROM job WHERE state IN {on_agent}), \
             (SELECT MIN(COALESCE(due, queued)) FROM job WHERE state = 'queued' AND held IS NULL), \
             (SELECT COUNT(*) FROM setting WHERE name = '{QUEUE_PAUSED}')",
            on_agent = list(&State::ON_AGENT)
        );
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *conn).await?;
        Ok(Gauges {
            now,
            ready: row.try_get(0)?,
            held: row.try_get(1)?,
            running: row.try_get(2)?,
            oldest: row.try_get(3)?,
            paused: row.try_get::<i64, _>(4)? > 0,
        })
    }

    /// How far Zabbix has been told.
    pub async fn zabbix_progress(&self) -> Result<ZabbixProgress, StoreError> {
        let value = "SELECT value FROM setting WHERE name = $1";
        let cursor: Option<String> =
            sqlx::query_scalar(value).bind(CURSOR).fetch_optional(&self.readers).await?;
        let cursor = cursor.and_then(|cursor| cursor.parse().ok());
        let cursor = cursor.map(|cursor: ZabbixCursor| cursor.event);
        let oldest = sqlx::query_scalar("SELECT at FROM event WHERE id > $1 ORDER BY id LIMIT 1")
            .bind(cursor.unwrap_or(i64::MAX))
            .fetch_optional(&self.readers)
            .await?;
        let sender: Option<String> =
            sqlx::query_scalar(value).bind(SENDER).fetch_optional(&self.readers).await?;
        let sender = match sender.and_then(|id| id.parse::<i64>().ok()) {
            None => None,
            Some(id) => {
                let address: Option<String> =
                    sqlx::query_scalar("SELECT address FROM scheduler WHERE id = $1")
                        .bind(id)
                        .fetch_optional(&self.readers)
                        .await?;
                address.map(|address| (SchedulerId(id), address))
            }
        };
        Ok(ZabbixProgress { cursor, newest: self.last_event().await?, oldest, sender })
    }
}

fn company(row: &AnyRow, first: usize) -> Result<WatchedCompany, sqlx::Error> {
    Ok(WatchedCompany {
        id: CompanyId(row.try_get(first)?),
        name: row.try_get(first + 1)?,
        code: row.try_get::<Option<String>, _>(first + 2)?.unwrap_or_default(),
        host: row.try_get(first + 3)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = ZabbixCursor { event: 7, stamp: 1_700_000_000_123_456_789 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert!("7".parse::<ZabbixCursor>().unwrap_err().contains("\"7\""));
    }
}
