//! A store with the things that most cases need.

use std::{sync::Arc, time::Duration};

use multiflexi_scheduler::{
    domain::{
        application::Definition,
        environment::Given,
        ids::{AgentId, AttemptKey, JobId, RunTemplateId},
        job::{self, Completion, EndCause, Overflow, State, StreamSummary, Usage},
        retry::RetryPolicy,
    },
    store::{
        Accept, CancelJob, Claim, Claimed, CreateCompany, CreateJobs, CreateRunTemplate, Ended,
        Finish, KeepAlive, Leave, LoseContact, Lost, NewJobs, NewRunTemplate, PutApplication,
        QueueJob, RegisterAgent, Start, Store, StoredChunk, Withdraw,
    },
};

use crate::databases::{Database, open};

/// A store with a company, an application, a run template and an agent.
pub struct World {
    pub database: Box<dyn Database>,
    pub store: Store,
    pub template: RunTemplateId,
    pub agent: AgentId,
}

impl World {
    pub async fn new(database: Box<dyn Database>) -> Self {
        let store = open(database.as_ref()).await;
        let template = template(&store, "template", "", Duration::from_secs(600)).await;
        let agent = agent(&store, "agent").await;
        Self { database, store, template, agent }
    }

    /// Jobs that are queued.
    pub async fn queued(&self, count: u32) -> Vec<JobId> {
        self.store
            .change(CreateJobs(NewJobs { queue: true, ..self.new_jobs(count) }))
            .await
            .unwrap()
    }

    pub fn new_jobs(&self, count: u32) -> NewJobs {
        NewJobs {
            run_template: self.template,
            company: None,
            environment: Given::default(),
            count,
            queue: false,
            request_id: None,
            by: String::new(),
            start: Start::AtOnce,
            priority: None,
            slot: None,
        }
    }

    pub async fn claim(&self, limit: usize) -> Claimed {
        self.store
            .change(Claim { agent: self.agent, limit, choice: "the only one".to_owned() })
            .await
            .unwrap()
    }

    /// An attempt that is offered.
    pub async fn offered(&self) -> AttemptKey {
        self.queued(1).await;
        self.claim(1).await.launches[0].key
    }

    /// An attempt that runs.
    pub async fn running(&self) -> AttemptKey {
        let key = self.offered().await;
        assert_eq!(self.store.change(self.accept(vec![key])).await.unwrap(), [key]);
        key
    }

    /// Its agent takes offers.
    pub fn accept(&self, keys: Vec<AttemptKey>) -> Accept {
        Accept { agent: self.agent, keys }
    }

    /// Attempts of its agent end.
    pub fn finish(&self, ends: Vec<Ended>) -> Finish {
        Finish { agent: self.agent, ends }
    }

    /// Ends an attempt; says whether it was still open.
    pub async fn end(&self, completion: Completion, chunk: Option<StoredChunk>) -> bool {
        let key = completion.key;
        self.store.change(self.finish(vec![ended(completion, chunk)])).await.unwrap().ended == [key]
    }

    pub async fn state(&self, job: JobId) -> State {
        self.store.job(job).await.unwrap().state
    }
}

/// What is stored of an end.
pub fn ended(completion: Completion, chunk: Option<StoredChunk>) -> Ended {
    Ended {
        outcome: job::run_end(&completion),
        streams: completion.streams.clone().unwrap_or([StreamSummary::EMPTY, StreamSummary::EMPTY]),
        completion: Arc::new(completion),
        chunk,
        trouble: String::new(),
    }
}

/// What an agent says of an attempt that exited with `code`.
pub fn exited(key: AttemptKey, code: i32) -> Completion {
    Completion {
        key,
        cause: EndCause::Exited,
        exit_code: Some(code),
        signal: None,
        pid: Some(4711),
        elapsed: Duration::from_millis(5),
        usage: Usage {
            user_cpu: Duration::from_micros(1500),
            system_cpu: Duration::from_micros(700),
            peak_memory_bytes: 1 << 20,
        },
        streams: Some([
            StreamSummary { bytes: 3, sha256: [1; 32] },
            StreamSummary { bytes: 0, sha256: [2; 32] },
        ]),
        log_length: 19,
        leftovers: Vec::new(),
        failed_artifacts: Vec::new(),
        trouble: String::new(),
        lost_output: Vec::new(),
    }
}

pub async fn agent(store: &Store, name: &str) -> AgentId {
    let register = RegisterAgent {
        name: name.to_owned(),
        instance: "first".to_owned(),
        boot: "monday".to_owned(),
        slots: 4,
        version: "1".to_owned(),
        labels: [].into(),
    };
    store.change(register).await.unwrap().id
}

/// A run template with an application and a company of its own.
pub async fn template(
    store: &Store,
    name: &str,
    cmdparams: &str,
    lost_after: Duration,
) -> RunTemplateId {
    let new = new_template(store, name, cmdparams).await;
    store.change(CreateRunTemplate(NewRunTemplate { lost_after, ..new })).await.unwrap()
}

/// A run template whose jobs are retried.
pub async fn with_retry(store: &Store, name: &str, retry: RetryPolicy) -> RunTemplateId {
    let new = new_template(store, name, "").await;
    store.change(CreateRunTemplate(NewRunTemplate { retry, ..new })).await.unwrap()
}

/// What a run template says, with an application and a company of its own.
pub async fn new_template(store: &Store, name: &str, cmdparams: &str) -> NewRunTemplate {
    let application = format!("application of {name}");
    let definition = Definition::new(&application, "/bin/true", cmdparams).unwrap();
    let definition = Arc::new(definition);
    let put = PutApplication { id: None, definition, replace: false };
    let application = store.change(put).await.unwrap().id();
    let company = CreateCompany { name: format!("company of {name}"), ..Default::default() };
    let company = store.change(company).await.unwrap();
    let environment = [("A".to_owned(), "one".to_owned()), ("B".to_owned(), "'\"\n".to_owned())];
    NewRunTemplate {
        name: name.to_owned(),
        application,
        company,
        environment: environment.into(),
        timeout: Some(Duration::from_millis(1500)),
        grace: Duration::from_secs(10),
        lost_after: Duration::from_secs(600),
        retry: RetryPolicy::default(),
        overflow: Overflow::HeadTail,
        priority: 0,
        max_running: None,
        keep: Default::default(),
    }
}

/// Takes an offer back.
pub fn withdraw(key: AttemptKey) -> Withdraw {
    Withdraw { keys: vec![key], why: "a test".to_owned() }
}

/// Cancels a job.
pub fn cancel(job: JobId) -> CancelJob {
    CancelJob { job, by: "a test".to_owned() }
}

/// Queues a job.
pub fn queue(job: JobId) -> QueueJob {
    QueueJob { job, by: "a test".to_owned() }
}

/// Loses contact with an agent.
pub fn lose_contact(agent: AgentId) -> LoseContact {
    LoseContact { lost: Lost::Agent(agent), why: "a test".to_owned() }
}

/// Starts the scheduler again, as far as its database can tell; what is unreachable now.
pub async fn restart(store: &Store) -> Vec<AttemptKey> {
    store.change(Leave).await.unwrap();
    let lost = LoseContact { lost: Lost::Schedulers, why: "a test".to_owned() };
    let unreachable = store.change(lost).await.unwrap();
    store.change(KeepAlive { address: "http://here".to_owned() }).await.unwrap();
    unreachable
}
