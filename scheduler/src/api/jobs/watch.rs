//! `JobService.Watch`: what happens to jobs, from a cursor on. Each watcher is a task of its
//! own that reads the store's events at its reader's pace; it is woken by commits here and by
//! what other schedulers tell.

use std::time::Duration;

use multiflexi_proto::{
    timestamp,
    v1::{JobChange, WatchRequest, WatchResponse},
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::answer::{from_state, to_state};
use crate::{
    api::{Answers, Services, status::invalid},
    domain::{
        ids::{CompanyId, JobId, RunTemplateId},
        job::State,
    },
    store::{EventRow, StoreError},
};

/// Events that are read at once.
const AT_ONCE: i64 = 500;

/// Answers that wait for a watcher.
const AHEAD: usize = 2;

/// When what another scheduler has not told is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// When it is looked again whether a transaction has ended that may come before what is there.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Which changes a watcher wants; 0 for all of a kind.
struct Wanted {
    job: i64,
    run_template: i64,
    company: i64,
    states: Vec<State>,
}

impl Wanted {
    fn takes(&self, event: &EventRow) -> bool {
        let is = |wanted: i64, id: i64| wanted == 0 || wanted == id;
        is(self.job, event.job.0)
            && is(self.run_template, event.run_template.0.0)
            && is(self.company, event.company.0.0)
            && (self.states.is_empty() || self.states.contains(&event.state))
    }
}

/// One watcher.
struct Watcher {
    services: Services,
    wanted: Wanted,
    cursor: i64,
    past_only: bool,
    commits: watch::Receiver<()>,
    told: watch::Receiver<()>,
    answers: mpsc::Sender<Result<WatchResponse, Status>>,
}

impl Services {
    pub(super) async fn watch_jobs(
        &self,
        request: WatchRequest,
    ) -> Result<Answers<WatchResponse>, Status> {
        let ids = [
            ("job_id", request.job_id),
            ("run_template_id", request.run_template_id),
            ("company_id", request.company_id),
        ];
        if let Some((field, id)) = ids.into_iter().find(|(_, id)| *id < 0) {
            return Err(invalid(field, format!("{id} is no id: ids begin with 1")));
        }
        let states = request.states.iter().map(|state| from_state(*state));
        let wanted = Wanted {
            job: request.job_id,
            run_template: request.run_template_id,
            company: request.company_id,
            states: states.collect::<Result<_, _>>()?,
        };
        if request.cursor.is_none() {
            self.can_happen(&wanted).await?;
        }
        // Before the newest is looked for: nothing is missed.
        let (commits, told) = (self.store.commits(), self.events.subscribe_any());
        let newest = self.store.last_event().await?;
        let cursor = request.cursor.unwrap_or(newest);
        if !(0..=newest).contains(&cursor) {
            let reason = format!("{cursor} is no cursor of this scheduler: the newest is {newest}");
            return Err(invalid("cursor", reason));
        }
        if let Err(StoreError::Invalid(reason)) = self.store.events(cursor, 1).await {
            return Err(Status::out_of_range(reason));
        }
        let (answers, outgoing) = mpsc::channel(AHEAD);
        let past_only = request.past_only;
        let services = self.clone();
        let watcher = Watcher { services, wanted, cursor, past_only, commits, told, answers };
        tokio::spawn(watcher.run());
        Ok(Box::pin(ReceiverStream::new(outgoing)))
    }
}

impl Services {
    /// Refuses to wait for what is not there. What was there before is, after a cursor.
    async fn can_happen(&self, wanted: &Wanted) -> Result<(), StoreError> {
        let Wanted { job, run_template, company, .. } = *wanted;
        if job != 0 {
            self.store.job(JobId(job)).await?;
        }
        if run_template != 0 {
            self.store.run_template(RunTemplateId(run_template)).await?;
        }
        if company != 0 {
            self.store.company(CompanyId(company)).await?;
        }
        Ok(())
    }
}

impl Watcher {
    async fn run(mut self) {
        if let Err(status) = self.send_all().await {
            let _ = self.answers.send(Err(status)).await;
        }
    }

    async fn send_all(&mut self) -> Result<(), Status> {
        let mut told_where = false;
        loop {
            self.commits.mark_unchanged();
            self.told.mark_unchanged();
            let page = self.services.store.events(self.cursor, AT_ONCE).await?;
            let full = page.events.len() as i64 == AT_ONCE;
            if let Some(last) = page.events.last() {
                self.cursor = last.id;
            }
            let wanted = page.events.into_iter().filter(|event| self.wanted.takes(event));
            let changes: Vec<JobChange> = wanted.map(change).collect();
            let last = self.past_only && !full && !page.held;
            if !changes.is_empty() || !told_where || last {
                told_where = true;
                let answer = WatchResponse { changes, next_cursor: self.cursor };
                if self.answers.send(Ok(answer)).await.is_err() {
                    return Ok(());
                }
            }
            if last {
                return Ok(());
            }
            if !full && self.wait(page.held).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Waits until there may be more; none if nobody reads the answers any more.
    async fn wait(&mut self, held: bool) -> Option<()> {
        let look = match held {
            true => Some(LOOK_AGAIN),
            false => self.services.store.is_shared().then_some(LOOK),
        };
        let look = async {
            match look {
                Some(look) => tokio::time::sleep(look).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.commits.changed() => changed.ok(),
            changed = self.told.changed() => changed.ok(),
            () = look => Some(()),
            () = self.answers.closed() => None,
        }
    }
}

fn change(event: EventRow) -> JobChange {
    JobChange {
        id: event.id,
        time: Some(timestamp(event.at)),
        job_id: event.job.0,
        attempt: event.attempt,
        state: to_state(event.state).into(),
        run_template_id: event.run_template.0.0,
        run_template_name: event.run_template.1,
        company_id: event.company.0.0,
        company_name: event.company.1,
        exit_code: event.exit_code,
        signal: event.signal,
    }
}
