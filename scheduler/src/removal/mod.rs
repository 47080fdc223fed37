//! Removes jobs, and what has jobs, a few at a time: nobody waits long for the write
//! lock, and what is removed stays removed when it is interrupted. What was stored goes
//! with the rows: the objects of logs and artifacts.

mod retention;
mod sweep;

use std::time::Duration;

use tokio::sync::mpsc;

use crate::{
    dispatch::Dispatch,
    domain::{
        ids::{ApplicationId, CompanyId, JobId, RunTemplateId},
        job::State,
    },
    events::Events,
    objects::Objects,
    store::{
        DeleteApplication, DeleteCompany, DeleteJob, DeleteJobs, DeleteRunTemplate, Store,
        StoreError,
    },
};

/// Jobs that are removed in one transaction: it holds the write lock for a few
/// milliseconds.
const AT_ONCE: i64 = 100;

pub use retention::Progress;

/// Removes things.
#[derive(Clone, Debug)]
pub struct Removal {
    store: Store,
    objects: Objects,
    events: Events,
    dispatch: Dispatch,
}

/// Which ended jobs are removed.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How they ended.
    pub states: Vec<State>,
    /// How long ago at least.
    pub age: Duration,
    /// They are only counted.
    pub dry_run: bool,
}

impl Removal {
    /// Removes from these.
    pub fn new(store: Store, objects: Objects, events: Events, dispatch: Dispatch) -> Self {
        Self { store, objects, events, dispatch }
    }

    /// Removes one job.
    pub async fn job(&self, id: JobId) -> Result<(), StoreError> {
        let objects = self.store.change(DeleteJob(id)).await?;
        self.removed(&[id], &objects).await;
        Ok(())
    }

    async fn jobs(&self, ids: Vec<JobId>, states: &[State]) -> Result<Vec<JobId>, StoreError> {
        let deleted = self.store.change(DeleteJobs { ids, states: states.into() }).await?;
        self.removed(&deleted.jobs, &deleted.objects).await;
        Ok(deleted.jobs)
    }

    async fn removed(&self, jobs: &[JobId], objects: &[String]) {
        jobs.iter().for_each(|id| self.events.notify(*id));
        // A place under a limit may be free.
        self.dispatch.job_queued();
        self.objects.remove(objects).await;
    }

    /// Removes ended jobs, and tells how many so far, until all are removed or nobody
    /// listens any more.
    pub fn ended(&self, which: Ended) -> mpsc::Receiver<Result<i64, StoreError>> {
        let (listener, progress) = mpsc::channel(1);
        let removal = self.clone();
        tokio::spawn(async move {
            if let Err(error) = removal.remove_ended(&which, &listener).await {
                let _ = listener.send(Err(error)).await;
            }
        });
        progress
    }

    async fn remove_ended(
        &self,
        which: &Ended,
        listener: &mpsc::Sender<Result<i64, StoreError>>,
    ) -> Result<(), StoreError> {
        let (mut removed, mut after) = (0, JobId(0));
        loop {
            let ids = self.store.ended_jobs(&which.states, which.age, after, AT_ONCE).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = *last;
            removed += if which.dry_run {
                ids.len() as i64
            } else {
                self.jobs(ids, &which.states).await?.len() as i64
            };
            if listener.send(Ok(removed)).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Removes a run template; with `cascade` its jobs too.
    pub async fn run_template(&self, id: RunTemplateId, cascade: bool) -> Result<(), StoreError> {
        if cascade {
            self.check_idle(&[id]).await?;
            self.jobs_of(id).await?;
        }
        self.store.change(DeleteRunTemplate(id)).await
    }

    /// Removes a company; with `cascade` its run templates and their jobs too.
    pub async fn company(&self, id: CompanyId, cascade: bool) -> Result<(), StoreError> {
        if cascade {
            self.run_templates(&self.store.run_templates_of(id).await?).await?;
        }
        self.store.change(DeleteCompany(id)).await
    }

    /// Removes an application; with `cascade` its run templates and their jobs too.
    pub async fn application(&self, id: ApplicationId, cascade: bool) -> Result<(), StoreError> {
        if cascade {
            self.run_templates(&self.store.run_templates_with(id).await?).await?;
        }
        self.store.change(DeleteApplication(id)).await
    }

    async fn run_templates(&self, templates: &[RunTemplateId]) -> Result<(), StoreError> {
        // Nothing is removed if not all of it can be.
        self.check_idle(templates).await?;
        for template in templates {
            self.run_template(*template, true).await?;
        }
        Ok(())
    }

    async fn check_idle(&self, templates: &[RunTemplateId]) -> Result<(), StoreError> {
        for template in templates {
            if let Some(job) = self.store.job_on_agent(*template).await? {
                return Err(StoreError::Refused(format!(
                    "job {job} of run template {template} is on an agent: cancel it first"
                )));
            }
        }
        Ok(())
    }

    async fn jobs_of(&self, template: RunTemplateId) -> Result<(), StoreError> {
        let mut after = JobId(0);
        loop {
            let ids = self.store.jobs_of(template, after, AT_ONCE).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = *last;
            // One that was claimed meanwhile stays, and with it the run template.
            self.jobs(ids, &State::REMOVABLE).await?;
        }
    }
}
