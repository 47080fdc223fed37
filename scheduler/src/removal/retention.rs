//! Removes ended jobs beyond what their run templates keep.

use tokio::sync::mpsc;

use super::{AT_ONCE, Listener, Progress, Removal, RemovalError, Told};
use crate::{
    domain::{
        ids::{JobId, RunTemplateId},
        job::State,
        retention::Keep,
    },
    store::StoreError,
};

impl Removal {
    /// Removes what is beyond what run templates keep, or else `usual`, and then objects
    /// that nothing refers to. It goes on until that is done or nobody listens any more.
    pub fn apply_retention(&self, usual: Keep, dry_run: bool) -> mpsc::Receiver<Told> {
        self.telling(move |removal, listener| async move {
            removal.retain(usual, dry_run, &listener).await
        })
    }

    async fn retain(
        &self,
        usual: Keep,
        dry_run: bool,
        listener: &Listener,
    ) -> Result<(), RemovalError> {
        let mut progress = Progress::default();
        for (template, own) in self.store.kept_by_templates().await? {
            let keep = own.or(usual).holding();
            if !self.keep(template, keep, dry_run, &mut progress, listener).await? {
                return Ok(());
            }
        }
        self.sweep(dry_run, &mut progress, listener).await?;
        // A question for each object: only who wants to know what there is pays for it.
        if dry_run { self.count_missing(&mut progress, listener).await } else { Ok(()) }
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
            progress.jobs += self.batch(ids, &State::ENDED, dry_run).await?;
            if listener.send(Ok(progress.clone())).await.is_err() {
                return Ok(false);
            }
        }
    }
}
