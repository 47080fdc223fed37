//! What schedulers of one database say to all of them at once: PostgreSQL's `NOTIFY` and
//! `LISTEN`, on a connection each that is made anew when it breaks.

use sqlx::{Connection as _, PgConnection, postgres::PgListener};

use super::{Location, StoreError};

/// The channel, which is the database's own.
const CHANNEL: &str = "multiflexi";

/// Says something to all that listen.
#[derive(Debug)]
pub struct Announcer {
    url: String,
    connection: Option<PgConnection>,
}

impl Announcer {
    /// Connects when there is something to say.
    pub fn new(location: &Location) -> Self {
        Self { url: location.url.clone(), connection: None }
    }

    /// Says these, each of less than 8,000 bytes. After an error some may have been heard.
    pub async fn announce(&mut self, pieces: &[String]) -> Result<(), StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => PgConnection::connect(&self.url).await?,
        };
        sqlx::query("SELECT pg_notify($1, piece) FROM unnest($2) AS piece")
            .bind(CHANNEL)
            .bind(pieces)
            .execute(&mut connection)
            .await?;
        self.connection = Some(connection);
        Ok(())
    }
}

/// Hears what all say, itself included.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    /// Listens: what is said from now on is heard.
    pub async fn connect(location: &Location) -> Result<Self, StoreError> {
        let mut listener = PgListener::connect(&location.url).await?;
        listener.listen(CHANNEL).await?;
        Ok(Self(listener))
    }

    /// What was said next. None if the connection was broken and is back: something may be
    /// missed.
    pub async fn next(&mut self) -> Result<Option<String>, StoreError> {
        let said = self.0.try_recv().await?;
        Ok(said.map(|said| said.payload().to_owned()))
    }
}
