//! Removes ended jobs beyond what their run templates keep.

use tokio::sync::mpsc;

use super::{AT_ONCE, Removal};
use crate::{
    domain::{
        ids::{JobId, RunTemplateId},
        job::State,
        retention::Keep,
    },
    store::StoreError,
};

/// How far a removal is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Jobs that were removed, or would be.
    pub jobs: i64,
    /// Objects that nothing refers to and that were removed, or would be.
    pub objects: i64,
}

/// Who listens to how far it is.
pub(super) type Listener = mpsc::Sender<Result<Progress, StoreError>>;

impl Removal {
    /// Removes what is beyond what run templates keep, or else `usual`, and then objects
    /// that nothing refers to. It goes on until that is done or nobody listens any more.
    pub fn apply_retention(
        &self,
        usual: Keep,
        dry_run: bool,
    ) -> mpsc::Receiver<Result<Progress, StoreError>> {
        let (listener, progress) = mpsc::channel(1);
        let removal = self.clone();
        tokio::spawn(async move {
            if let Err(error) = removal.retain(usual, dry_run, &listener).await {
                let _ = listener.send(Err(error)).await;
            }
        });
        progress
    }

    async fn retain(
        &self,
        usual: Keep,
        dry_run: bool,
        listener: &Listener,
    ) -> Result<(), StoreError> {
        let mut progress = Progress::default();
        for (template, own) in self.store.kept_by_templates().await? {
            let keep = own.or(usual).holding();
            if !self.keep(template, keep, dry_run, &mut progress, listener).await? {
                return Ok(());
            }
        }
        self.sweep(dry_run, &mut progress, listener).await
    }

    /// Removes what is beyond these limits; false if nobody listens any more.
    async fn keep(
        &self,
        template: RunTemplateId,
        keep: Keep,
        dry_run: bool,
        progress: &mut Progress,
        listener: &Listener,
    ) -> Result<bool, StoreError> {
        // By count and bytes: all up to a job; by age: all that ended so long ago.
        let mut last = None;
        if let Some(count) = keep.count {
            last = last.max(self.store.job_beyond_count(template, count).await?);
        }
        if let Some(bytes) = keep.bytes {
            last = last.max(self.store.job_beyond_bytes(template, bytes).await?);
        }
        if last.is_none() && keep.age.is_none() {
            return Ok(true);
        }
        let mut after = JobId(0);
        loop {
            let ids = self.store.jobs_beyond(template, (last, keep.age), after, AT_ONCE).await?;
            let Some(newest) = ids.last() else { return Ok(true) };
            after = *newest;
            progress.jobs += match dry_run {
                true => ids.len() as i64,
                false => self.jobs(ids, &State::ENDED).await?.len() as i64,
            };
            if listener.send(Ok(*progress)).await.is_err() {
                return Ok(false);
            }
        }
    }
}
