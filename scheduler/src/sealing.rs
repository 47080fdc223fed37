//! Seals, beside everything else, what applications declare secret and what was stored
//! before they did. It is woken when one does, and at the start goes on with what a
//! scheduler that was stopped or killed has left. Before that it seals what is kept secret
//! since this version: definitions with secrets in them, settings of actions.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::store::{
    AllSealed, Erased, NextSettings, SealDeclared, SealDefinitions, SealSettings, Sealing as Step,
    SecretSettings, Store, StoreError,
};

/// When it fails it is tried again after this time.
const RETRY: Duration = Duration::from_secs(30);

/// A handle on the task that seals.
#[derive(Clone, Debug)]
pub struct Sealing {
    declared: Arc<Notify>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Sealing {
    /// Begins with what is left to be sealed. `settings` are those that kinds of actions keep
    /// secret.
    pub fn start(store: Store, settings: Vec<SecretSettings>) -> Self {
        let sealing = Self {
            declared: Arc::new(Notify::new()),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        sealing.tasks.spawn(sealing.clone().run(store, settings));
        sealing
    }

    /// Says that an application may have declared something secret.
    pub fn declared(&self) {
        self.declared.notify_one();
    }

    /// Waits until the step that it is at is done.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn run(self, store: Store, settings: Vec<SecretSettings>) {
        loop {
            let pause = match self.seal(&store, &settings).await {
                Ok(true) => Duration::MAX,
                Ok(false) => RETRY,
                Err(error) => {
                    tracing::error!(%error, "values that are secret now cannot be sealed; trying on");
                    RETRY
                }
            };
            tokio::select! {
                () = self.declared.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Seals all that is to be sealed; false if its traces are still in the database's files.
    async fn seal(&self, store: &Store, settings: &[SecretSettings]) -> Result<bool, StoreError> {
        if let Some(sealed) = store.change(SealDefinitions).await?
            && !erase_and_say(store, sealed).await?
        {
            return Ok(false);
        }
        let mut next = SealSettings::begin(settings.to_vec());
        while let Some(step) = store.change(next).await? {
            match step {
                _ if self.stop.is_cancelled() => return Ok(true),
                NextSettings::More(more) => next = more,
                NextSettings::Whole(sealed) => {
                    if !erase_and_say(store, sealed).await? {
                        return Ok(false);
                    }
                    break;
                }
            }
        }
        while !self.stop.is_cancelled() {
            match store.change(SealDeclared).await? {
                Step::Nothing => break,
                Step::More => {}
                Step::Whole(sealed) => {
                    let erased = store.erase_deleted().await?;
                    if erased == Erased::Busy {
                        return Ok(false);
                    }
                    store.change(sealed).await?;
                    tracing::info!(?erased, "what an application has declared secret is sealed");
                }
            }
        }
        Ok(true)
    }
}

/// Removes what the database's files have of what is sealed now; false if that has to wait.
async fn erase_and_say(store: &Store, sealed: AllSealed) -> Result<bool, StoreError> {
    let erased = store.erase_deleted().await? != Erased::Busy;
    if erased {
        store.change(sealed).await?;
    }
    Ok(erased)
}
