//! What the other schedulers of a shared database have to do with this one's work: it shows
//! them that it lives, takes note of those that are gone, and acts on what they tell.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tonic::Status;

use super::{Dispatch, convert, repeated::Repeated};
use crate::{
    domain::ids::AttemptKey,
    logs::LiveLog,
    peers::News,
    store::{KeepAlive, LoseContact, Lost, StoreError},
};

/// How often a scheduler shows that it lives: it is taken for gone after some of these.
const ALIVE: Duration = Duration::from_secs(3);

impl Dispatch {
    /// Shows that this scheduler lives, and looks who else does.
    pub(super) async fn keep_alive(self) {
        let mut tick = tokio::time::interval(ALIVE);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut known, mut failures) = (Vec::new(), Repeated::default());
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.shared.look_around.notified() => {}
                () = self.shared.stop.cancelled() => return,
            }
            match self.look_around(&mut known).await {
                Ok(()) => failures.over(),
                Err(error) if failures.is_new(&error) => {
                    tracing::warn!(%error, "this scheduler cannot show that it lives");
                }
                Err(_) => {}
            }
        }
    }

    async fn look_around(&self, known: &mut Vec<String>) -> Result<(), StoreError> {
        let address = self.shared.settings.address.clone();
        let alive = self.shared.store.change(KeepAlive { address }).await?;
        let others: Vec<String> = alive.others.into_iter().map(|other| other.address).collect();
        if *known != others {
            tracing::info!(?others, "the other schedulers of this database");
            self.shared.peers.set_others(!others.is_empty());
            // Those who are new may have missed what happened meanwhile.
            self.shared.peers.everything();
        }
        if alive.was_gone {
            tracing::warn!("the others took this scheduler for gone: its agents connect again");
            let status = Status::unavailable("the scheduler was away");
            for agent in self.shared.agents.all() {
                agent.end(status.clone());
            }
        }
        if alive.some_gone || *known != others {
            self.lose_schedulers().await?;
        }
        *known = others;
        Ok(())
    }

    /// Looks after what agents have that were connected to schedulers which are gone.
    async fn lose_schedulers(&self) -> Result<(), StoreError> {
        let why = "its scheduler is gone".to_owned();
        let lost = LoseContact { lost: Lost::Schedulers, why };
        let unreachable = self.shared.store.change(lost).await?;
        if !unreachable.is_empty() {
            tracing::warn!(
                attempts = unreachable.len(),
                "attempts of a scheduler that is gone wait for their agents"
            );
        }
        self.notify(&unreachable);
        self.look_at_everything().await;
        Ok(())
    }

    /// Acts on what the others tell.
    pub(super) async fn hear(self, mut heard: mpsc::Receiver<News>) {
        loop {
            tokio::select! {
                news = heard.recv() => match news {
                    Some(news) => self.act_on(news).await,
                    None => return,
                },
                () = self.shared.stop.cancelled() => return,
            }
        }
    }

    async fn act_on(&self, news: News) {
        if news.joined {
            // Somebody is new, or has heard nothing for a while.
            self.shared.look_around.notify_one();
            self.shared.peers.set_others(true);
            self.shared.peers.everything();
        }
        if news.everything || news.joined {
            self.look_at_everything().await;
        }
        if news.queued {
            self.look_at_queue();
        }
        if news.delayed {
            self.shared.delayed.notify_one();
            self.shared.scheduled.notify_one();
        }
        if news.patience {
            self.shared.unreachable.notify_one();
        }
        self.forget_taken(news.taken).await;
        news.jobs.iter().for_each(|job| self.shared.events.ring(*job));
        for (agent, key) in news.cancels {
            if let Some(agent) = self.shared.agents.get(agent) {
                agent.send(convert::cancel(&[key])).await;
            }
        }
        for (key, reason) in news.withdrawn {
            self.withdraw_here(key, &reason).await;
        }
    }

    /// Ends what is here of the logs of attempts that another scheduler has now. What it told
    /// may be old, and the agent back here: the database knows, and a log that was begun
    /// since is another.
    async fn forget_taken(&self, keys: Vec<AttemptKey>) {
        let logs: Vec<_> = keys.into_iter().filter_map(|key| self.shared.logs.get(key)).collect();
        if logs.is_empty() {
            return;
        }
        if let Err(error) = self.forget_if_elsewhere(&logs).await {
            tracing::warn!(%error, "whose the output of some attempts is cannot be read; trying on");
            let dispatch = self.clone();
            self.try_on(move || {
                let (dispatch, logs) = (dispatch.clone(), logs.clone());
                async move { dispatch.forget_if_elsewhere(&logs).await.is_ok() }
            });
        }
    }

    async fn forget_if_elsewhere(&self, logs: &[Arc<LiveLog>]) -> Result<(), StoreError> {
        let keys: Vec<AttemptKey> = logs.iter().map(|log| log.key()).collect();
        let elsewhere = self.shared.store.held_elsewhere(&keys).await?;
        let taken = logs.iter().filter(|log| elsewhere.contains(&log.key()));
        taken.for_each(|log| self.shared.logs.close_this(log));
        Ok(())
    }

    /// Looks at all that may have changed without being told.
    async fn look_at_everything(&self) {
        self.look_at_queue();
        self.shared.delayed.notify_one();
        self.shared.scheduled.notify_one();
        self.shared.unreachable.notify_one();
        self.shared.events.ring_all();
        match self.shared.store.cancels_asked().await {
            Ok(asked) => {
                for (agent, key) in asked {
                    if let Some(agent) = self.shared.agents.get(agent) {
                        agent.send(convert::cancel(&[key])).await;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "cancels that were asked for cannot be read"),
        }
    }
}
