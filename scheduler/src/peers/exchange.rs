//! News on their way: gathered ones are announced to all schedulers of the database, and
//! those of the others are handed on.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{News, Peers};
use crate::{
    domain::ids::SchedulerId,
    store::{Announcer, Listener, Location, StoreError},
};

/// How long it takes until what has failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Tells the others, until `stop`. What could not be told is told again.
pub(super) async fn tell(
    location: Location,
    me: SchedulerId,
    peers: Peers,
    stop: CancellationToken,
) {
    let mut announcer = Announcer::new(&location);
    let telling = async {
        loop {
            peers.shared.bell.notified().await;
            let news = std::mem::take(&mut *peers.lock());
            if news.is_empty() {
                continue;
            }
            if let Err(error) = announcer.announce(&news.pieces(me)).await {
                tracing::warn!(%error, "the other schedulers cannot be told; trying on");
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

/// Hears the others, until `stop`.
pub(super) async fn hear(
    location: Location,
    me: SchedulerId,
    peers: Peers,
    heard: mpsc::Sender<News>,
    stop: CancellationToken,
) {
    let hearing = async {
        loop {
            if let Err(error) = listen(&location, me, &peers, &heard).await {
                tracing::warn!(%error, "the other schedulers cannot be heard; trying on");
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    stop.run_until_cancelled(hearing).await;
}

async fn listen(
    location: &Location,
    me: SchedulerId,
    peers: &Peers,
    heard: &mpsc::Sender<News>,
) -> Result<(), StoreError> {
    let mut listener = Listener::connect(location).await?;
    peers.joined();
    loop {
        let Some(said) = listener.next(|| peers.are_none()).await? else {
            peers.joined();
            continue;
        };
        let Some((from, news)) = News::read(&said) else { continue };
        if from != me && heard.send(news).await.is_err() {
            return Ok(());
        }
    }
}
