//! News over PostgreSQL: `NOTIFY` and `LISTEN` on a connection each, made anew when it
//! breaks.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection, postgres::PgListener};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{News, Peers};
use crate::domain::ids::SchedulerId;

/// The channel, which is the database's own.
const CHANNEL: &str = "multiflexi";

/// How long a broken connection waits before it is made again.
const RETRY: Duration = Duration::from_secs(1);

/// Tells the others, until `stop`. What could not be told is told again.
pub(super) async fn tell(url: String, me: SchedulerId, peers: Peers, stop: CancellationToken) {
    let mut connection = None;
    let telling = async {
        loop {
            peers.shared.bell.notified().await;
            let news = std::mem::take(&mut *peers.lock());
            if news.is_empty() {
                continue;
            }
            if let Err(error) = send(&url, &mut connection, &news.pieces(me)).await {
                tracing::warn!(%error, "the other schedulers cannot be told; trying on");
                connection = None;
                tokio::time::sleep(RETRY).await;
                // They may have heard a part of it: twice does no harm.
                let mut waiting = peers.lock();
                let later = std::mem::replace(&mut *waiting, news);
                waiting.add(later);
                peers.shared.bell.notify_one();
            }
        }
    };
    stop.run_until_cancelled(telling).await;
}

async fn send(
    url: &str,
    connection: &mut Option<PgConnection>,
    pieces: &[String],
) -> Result<(), sqlx::Error> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(PgConnection::connect(url).await?),
    };
    sqlx::query("SELECT pg_notify($1, piece) FROM unnest($2) AS piece")
        .bind(CHANNEL)
        .bind(pieces)
        .execute(connection)
        .await?;
    Ok(())
}

/// Hears the others, until `stop`.
pub(super) async fn hear(
    url: String,
    me: SchedulerId,
    peers: Peers,
    heard: mpsc::Sender<News>,
    stop: CancellationToken,
) {
    let hearing = async {
        loop {
            if let Err(error) = listen(&url, me, &peers, &heard).await {
                tracing::warn!(%error, "the other schedulers cannot be heard; trying on");
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    stop.run_until_cancelled(hearing).await;
}

async fn listen(
    url: &str,
    me: SchedulerId,
    peers: &Peers,
    heard: &mpsc::Sender<News>,
) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(CHANNEL).await?;
    peers.joined();
    loop {
        // None tells that the connection was broken and is back: something may be missed.
        let Some(notification) = listener.try_recv().await? else {
            peers.joined();
            continue;
        };
        let Some((from, news)) = News::read(notification.payload()) else { continue };
        if from != me && heard.send(news).await.is_err() {
            return Ok(());
        }
    }
}
