//! What schedulers of one database say to all of them at once. On PostgreSQL it is `NOTIFY`
//! and `LISTEN`, on a connection each that is made anew when it breaks. MySQL and MariaDB
//! have neither: there it is a small table that all look into every moment.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

use sqlx::{
    AnyConnection, AssertSqlSafe, Connection as _, PgConnection, Row as _, postgres::PgListener,
};

use super::{
    Dialect, Location, StoreError,
    connection::Connection,
    dialect::{self, Kind, in_time},
};

/// The channel, which is the database's own.
const CHANNEL: &str = "multiflexi";

/// How often the table is looked into at most, and at least; the pauses differ, so that
/// schedulers do not all look at once.
const LOOK: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(150)];

/// How often by a scheduler that is alone.
const LOOK_ALONE: Duration = Duration::from_secs(1);

/// How long what was said stays in the table, in microseconds.
const STAYS: i64 = 60_000_000;

/// How long a transaction may take that says something, in microseconds: for so long, what
/// was said before something that was heard may not be there yet.
const LATE: i64 = 5_000_000;

/// Says something to all that listen.
#[derive(Debug)]
pub struct Announcer {
    location: Location,
    connection: Option<Telling>,
}

#[derive(Debug)]
enum Telling {
    Notify(PgConnection),
    /// With the time at which old rows were removed last.
    Table(AnyConnection, Option<Instant>),
}

impl Announcer {
    /// Connects when there is something to say.
    pub fn new(location: &Location) -> Self {
        Self { location: location.clone(), connection: None }
    }

    /// Says these, each of less than 8,000 bytes. After an error some may have been heard.
    pub async fn announce(&mut self, pieces: &[String]) -> Result<(), StoreError> {
        let mut telling = match self.connection.take() {
            Some(telling) => telling,
            None => match Dialect::of(&self.location.url)? {
                Dialect::Mysql => Telling::Table(connect(&self.location).await?, None),
                _ => Telling::Notify(
                    Box::pin(in_time(PgConnection::connect(&self.location.url))).await?,
                ),
            },
        };
        match &mut telling {
            Telling::Notify(connection) => {
                sqlx::query("SELECT pg_notify($1, piece) FROM unnest($2) AS piece")
                    .bind(CHANNEL)
                    .bind(pieces)
                    .execute(connection)
                    .await?;
            }
            Telling::Table(connection, removed) => write(connection, removed, pieces).await?,
        }
        self.connection = Some(telling);
        Ok(())
    }
}

async fn connect(location: &Location) -> Result<AnyConnection, StoreError> {
    Ok(dialect::connect(&dialect::options(location)?, Dialect::Mysql).await?)
}

async fn write(
    connection: &mut AnyConnection,
    removed: &mut Option<Instant>,
    pieces: &[String],
) -> Result<(), StoreError> {
    let mut conn = Connection::new(connection, Dialect::Mysql);
    let sql = format!(
        "INSERT INTO announcement (said, at) SELECT r.k_said, ({}) FROM {}",
        Dialect::Mysql.now(),
        Dialect::Mysql.rows("$1", &[("k_said", Kind::Text)])
    );
    let rows: Vec<[&String; 1]> = pieces.iter().map(|piece| [piece]).collect();
    sqlx::query(AssertSqlSafe(sql))
        .bind(serde_json::json!(rows).to_string())
        .execute(&mut conn)
        .await?;
    if removed.is_none_or(|at| at.elapsed() > Duration::from_micros(STAYS.unsigned_abs())) {
        let sql = format!("DELETE FROM announcement WHERE at < ({}) - $1", Dialect::Mysql.now());
        sqlx::query(AssertSqlSafe(sql)).bind(STAYS).execute(&mut conn).await?;
        *removed = Some(Instant::now());
    }
    Ok(())
}

/// Hears what all say, itself included.
#[derive(Debug)]
pub struct Listener(Hearing);

#[derive(Debug)]
enum Hearing {
    Listen(PgListener),
    Table(Box<Table>),
}

impl Listener {
    /// Listens: what is said from now on is heard.
    pub async fn connect(location: &Location) -> Result<Self, StoreError> {
        if Dialect::of(&location.url)? == Dialect::Mysql {
            return Ok(Self(Hearing::Table(Box::new(Table::open(location).await?))));
        }
        let mut listener = Box::pin(in_time(PgListener::connect(&location.url))).await?;
        listener.listen(CHANNEL).await?;
        Ok(Self(Hearing::Listen(listener)))
    }

    /// What was said next. None if the connection was broken and is back: something may be
    /// missed. Who is `alone` has time.
    pub async fn next(
        &mut self,
        alone: impl Fn() -> bool + Send,
    ) -> Result<Option<String>, StoreError> {
        match &mut self.0 {
            Hearing::Listen(listener) => {
                let said = listener.try_recv().await?;
                Ok(said.map(|said| said.payload().to_owned()))
            }
            Hearing::Table(table) => loop {
                if let Some(said) = table.said.pop() {
                    return Ok(Some(said));
                }
                tokio::time::sleep(if alone() { LOOK_ALONE } else { pause() }).await;
                table.look().await?;
            },
        }
    }
}

/// One of the pauses between two looks.
fn pause() -> Duration {
    let [least, most] = LOOK;
    let random = RandomState::new().hash_one(()) % 1000;
    least + (most - least) * u32::try_from(random).unwrap_or(0) / 1000
}

/// The table, as far as it was read.
#[derive(Debug)]
struct Table {
    connection: AnyConnection,
    /// All up to this id was read, or is none of ours.
    up_to: i64,
    /// What was read beyond.
    read: BTreeSet<i64>,
    /// What was read and not heard yet, the last first.
    said: Vec<String>,
}

impl Table {
    async fn open(location: &Location) -> Result<Self, StoreError> {
        let mut connection = connect(location).await?;
        let mut conn = Connection::new(&mut connection, Dialect::Mysql);
        let up_to = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) FROM announcement")
            .fetch_one(&mut conn)
            .await?;
        Ok(Self { connection, up_to, read: BTreeSet::new(), said: Vec::new() })
    }

    /// Reads what is new. What was read already is only counted.
    async fn look(&mut self) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT id, at < ({}) - {LATE} FROM announcement WHERE id > $1 ORDER BY id",
            Dialect::Mysql.now()
        );
        let mut conn = Connection::new(&mut self.connection, Dialect::Mysql);
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(self.up_to).fetch_all(&mut conn).await?;
        let mut new: Vec<[i64; 1]> = Vec::new();
        for row in &rows {
            let id: i64 = row.try_get(0)?;
            if !self.read.contains(&id) {
                new.push([id]);
            }
            if row.try_get::<i64, _>(1)? == 1 {
                self.up_to = id;
            }
        }
        if !new.is_empty() {
            let sql = format!(
                "SELECT said FROM announcement WHERE id IN (SELECT r.k_id FROM {}) \
                 ORDER BY id DESC",
                Dialect::Mysql.rows("$1", &[("k_id", Kind::Int)])
            );
            self.said = sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(serde_json::json!(new).to_string())
                .fetch_all(&mut conn)
                .await?;
        }
        self.read.extend(new.iter().flatten());
        self.read = self.read.split_off(&(self.up_to + 1));
        Ok(())
    }
}
