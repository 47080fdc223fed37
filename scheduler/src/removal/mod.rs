//! Removes jobs, and what has jobs, a few at a time: nobody waits long for the write
//! lock, and what is removed stays removed when it is interrupted. What was stored goes
//! with the rows: the objects of logs and artifacts.

mod missing;
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
    objects::{ObjectError, Objects},
    store::{
        DeleteApplication, DeleteCompany, DeleteJob, DeleteJobs, DeleteRunTemplate, JobFilter,
        JobOrder, JobPage, Store, StoreError,
    },
};

/// Jobs that are removed in one transaction: it holds the write lock for a few
/// milliseconds.
const AT_ONCE: i64 = 100;

/// How far a removal is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Jobs that were removed, or would be.
    pub jobs: i64,
    /// Objects that nothing refers to and that were removed, or would be.
    pub objects: i64,
    /// Objects that rows refer to and that are not there.
    pub missing: i64,
    /// Whose they were: the first jobs.
    pub missing_of: Vec<JobId>,
}

/// Why a removal cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object store.
    #[error(transparent)]
    Objects(#[from] ObjectError),
}

/// What whoever listens is told.
pub type Told = Result<Progress, RemovalError>;

/// Who listens to how far it is.
type Listener = mpsc::Sender<Told>;

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

    /// Removes these, or only counts them: how many.
    async fn batch(&self, ids: Vec<JobId>, states: &[State], dry: bool) -> Result<i64, StoreError> {
        Ok(if dry { ids.len() } else { self.jobs(ids, states).await?.len() } as i64)
    }

    async fn removed(&self, jobs: &[JobId], objects: &[String]) {
        jobs.iter().for_each(|id| self.events.notify(*id));
        // A place under a limit may be free.
        self.dispatch.job_queued();
        self.objects.remove(objects).await;
    }

    /// Removes ended jobs until all are removed or nobody listens any more.
    pub fn ended(&self, which: Ended) -> mpsc::Receiver<Told> {
        self.telling(
            |removal, listener| async move { removal.remove_ended(&which, &listener).await },
        )
    }

    /// Does what takes long beside the caller, who is told how far it is.
    fn telling<F>(&self, work: impl FnOnce(Self, Listener) -> F) -> mpsc::Receiver<Told>
    where
        F: Future<Output = Result<(), RemovalError>> + Send + 'static,
    {
        let (listener, told) = mpsc::channel(1);
        let work = work(self.clone(), listener.clone());
        tokio::spawn(async move {
            if let Err(error) = work.await {
                let _ = listener.send(Err(error)).await;
            }
        });
        told
    }

    /// Removes these jobs, if all of them can be.
    pub async fn listed(
        &self,
        ids: Vec<JobId>,
        dry_run: bool,
    ) -> Result<mpsc::Receiver<Told>, StoreError> {
        self.store.check_removable(&ids).await?;
        Ok(self.telling(move |removal, listener| async move {
            let mut progress = Progress::default();
            for part in ids.chunks(AT_ONCE as usize) {
                progress.jobs += removal.batch(part.into(), &State::REMOVABLE, dry_run).await?;
                if listener.send(Ok(progress.clone())).await.is_err() {
                    break;
                }
            }
            Ok(())
        }))
    }

    /// Removes the jobs that a list has, but for those that are on an agent.
    pub fn matching(&self, mut filter: JobFilter, dry_run: bool) -> mpsc::Receiver<Told> {
        if filter.states.is_empty() {
            filter.states = State::ENDED.into();
        }
        filter.states.retain(|state| State::REMOVABLE.contains(state));
        (filter.order, filter.ascending) = (JobOrder::Id, true);
        self.telling(move |removal, listener| async move {
            removal.remove_matching(&filter, dry_run, &listener).await
        })
    }

    async fn remove_matching(
        &self,
        filter: &JobFilter,
        dry_run: bool,
        listener: &Listener,
    ) -> Result<(), RemovalError> {
        let (mut progress, mut page) =
            (Progress::default(), JobPage { size: AT_ONCE, after: None });
        loop {
            let rows = self.store.jobs(filter, page).await?.rows;
            let Some(last) = rows.last() else { break };
            page.after = Some((last.id.0, last.id.0));
            let ids = rows.iter().map(|row| row.id).collect();
            progress.jobs += self.batch(ids, &filter.states, dry_run).await?;
            if listener.send(Ok(progress.clone())).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn remove_ended(&self, which: &Ended, listener: &Listener) -> Result<(), RemovalError> {
        let (mut progress, mut after) = (Progress::default(), JobId(0));
        loop {
            let ids = self.store.ended_jobs(&which.states, which.age, after, AT_ONCE).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = *last;
            progress.jobs += self.batch(ids, &which.states, which.dry_run).await?;
            if listener.send(Ok(progress.clone())).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Removes a run template; with `cascade` its jobs too, and the actions of others that
    /// make jobs of it.
    pub async fn run_template(&self, id: RunTemplateId, cascade: bool) -> Result<(), StoreError> {
        if cascade {
            self.check_idle(&[id]).await?;
            self.jobs_of(id).await?;
        }
        self.store.change(DeleteRunTemplate { id, cascade }).await
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
