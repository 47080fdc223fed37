//! Both sides and what is on its way between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use multiflexi_scheduler::{
    domain::{
        ids::{AgentId, AttemptKey, JobId, RunTemplateId},
        job::{self, Completion, EndCause, Overflow, State, StreamSummary},
        retry::{Backoff, RetryPolicy},
    },
    store::{
        Accept, CancelJob, Cancelled, Claim, CreateApplication, CreateCompany, CreateJobs,
        CreateRunTemplate, Ended, Finish, GiveUp, Location, LoseContact, Missing, NewJobs,
        NewRunTemplate, QueueJob, Reconcile, RegisterAgent, Started, StartedRow, Store, StoreError,
        Withdraw,
    },
};

use crate::{
    Step,
    agent::{Agent, ToAgent, ToScheduler},
};

/// The scheduler's database, the agent, and the messages between them.
pub struct World {
    store: Store,
    template: RunTemplateId,
    id: AgentId,
    agent: Agent,
    connected: bool,
    down: Vec<ToAgent>,
    up: Vec<ToScheduler>,
    offered: BTreeSet<AttemptKey>,
    jobs: Vec<JobId>,
    /// Ends of attempts as they were first seen.
    ended: BTreeMap<(JobId, i32), State>,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("simulation.db");
        let url = format!("sqlite://{}?mode=rwc", file.display());
        let store = Store::open(&Location { url, name: "simulation".to_owned() }).await.unwrap();
        let application = CreateApplication {
            name: "a".to_owned(),
            executable: "true".to_owned(),
            cmdparams: String::new(),
        };
        let application = store.change(application).await.unwrap().id;
        let company = store.change(CreateCompany { name: "c".to_owned() }).await.unwrap().id;
        let template = NewRunTemplate {
            name: "t".to_owned(),
            application,
            company,
            environment: [].into(),
            timeout: None,
            grace: Duration::ZERO,
            lost_after: Duration::ZERO,
            retry: RetryPolicy {
                max_attempts: 3,
                backoff: Backoff::None,
                ..RetryPolicy::default()
            },
            overflow: Overflow::Block,
        };
        let template = store.change(CreateRunTemplate(template)).await.unwrap();
        let id = store.change(register()).await.unwrap().id;
        Self {
            store,
            template,
            id,
            agent: Agent::default(),
            connected: false,
            down: Vec::new(),
            up: Vec::new(),
            offered: BTreeSet::new(),
            jobs: Vec::new(),
            ended: BTreeMap::new(),
            _folder: folder,
        }
    }

    pub async fn step(&mut self, step: Step) {
        match step {
            Step::Submit => self.submit().await,
            Step::Offer => self.offer().await,
            Step::ToAgent { which, again } => {
                let offer = self.next_is_offer(which);
                if let Some(message) = take(&mut self.down, which, again && !offer) {
                    let answers = self.agent.told(&message);
                    self.say(answers);
                }
            }
            Step::ToScheduler { which, again } => {
                if let Some(message) = take(&mut self.up, which, again) {
                    self.hear(message).await;
                }
            }
            Step::Expire { which } => {
                let offers: Vec<AttemptKey> = self.offered.iter().copied().collect();
                if let Some(key) = pick(&offers, which) {
                    self.withdraw(key).await;
                }
            }
            Step::Exit { which } => {
                if let Some(key) = pick(&self.agent.running(), which) {
                    let said = self.agent.end(key, Some(i32::from(which % 2)));
                    self.say(said);
                }
            }
            Step::Cancel { which } => self.cancel(which).await,
            Step::RunAgain { which } => {
                if let Some(job) = pick(&self.jobs, which) {
                    self.store.change(QueueJob { job, by: String::new() }).await.unwrap();
                }
            }
            Step::Cut => self.cut().await,
            Step::KillSession => {
                self.agent.disconnected();
                self.cut().await;
            }
            Step::Restart => {
                self.cut_messages();
                self.lose_contact(None).await;
            }
            Step::Connect if self.connected => {}
            Step::Connect => self.connect().await,
            Step::GiveUp => self.give_up().await,
        }
    }

    fn next_is_offer(&self, which: u8) -> bool {
        let index = usize::from(which) % self.down.len().max(1);
        matches!(self.down.get(index), Some(ToAgent::Offer(_)))
    }

    async fn submit(&mut self) {
        let new = NewJobs {
            run_template: self.template,
            company: None,
            environment: [].into(),
            count: 1,
            queue: true,
            request_id: None,
            by: String::new(),
        };
        self.jobs.extend(self.store.change(CreateJobs(new)).await.unwrap());
    }

    async fn offer(&mut self) {
        if self.connected {
            let claim = Claim { agent: self.id, limit: 2, choice: String::new() };
            for launch in self.store.change(claim).await.unwrap().launches {
                self.offered.insert(launch.key);
                self.down.push(ToAgent::Offer(launch.key));
            }
        }
    }

    fn say(&mut self, messages: Vec<ToScheduler>) {
        if self.connected {
            self.up.extend(messages);
        }
    }

    async fn hear(&mut self, message: ToScheduler) {
        match message {
            ToScheduler::Accept(key) => {
                // Its deadline may come all the same: the store knows better.
                let accepted = self.store.change(Accept(vec![key])).await.unwrap();
                let answer = if accepted == [key] { ToAgent::Start } else { ToAgent::Withdraw };
                // Said twice, it is accepted once: the second is no news.
                if accepted == [key] || !self.is_open(key).await {
                    self.down.push(answer(key));
                }
            }
            ToScheduler::Started(key) => {
                self.store.change(Started(vec![StartedRow { key, pid: 1 }])).await.unwrap();
            }
            ToScheduler::Completed(key, code) => {
                let cause = if code.is_some() { EndCause::Exited } else { EndCause::Cancelled };
                let end = Completion {
                    cause,
                    exit_code: code,
                    ..Completion::lost(key, 0, String::new())
                };
                self.store.change(Finish(vec![ended(end)])).await.unwrap();
                self.down.push(ToAgent::Acknowledge(key));
            }
        }
    }

    async fn is_open(&self, key: AttemptKey) -> bool {
        let attempt = self.store.attempt(key.job, key.number).await.unwrap();
        attempt.is_some_and(|row| row.fence == key.fence && !row.state.is_terminal())
    }

    async fn withdraw(&mut self, key: AttemptKey) {
        let withdraw = Withdraw { keys: vec![key], why: String::new() };
        if self.store.change(withdraw).await.unwrap() == [key] {
            self.down.push(ToAgent::Withdraw(key));
        }
    }

    async fn cancel(&mut self, which: u8) {
        let Some(job) = pick(&self.jobs, which) else { return };
        match self.store.change(CancelJob { job, by: String::new() }).await {
            Ok(Cancelled::Ended(Some(offer))) => {
                self.down.push(ToAgent::Withdraw(offer));
            }
            Ok(Cancelled::OnAgent(_, key)) if self.connected => {
                self.down.push(ToAgent::Cancel(key));
            }
            Ok(_) | Err(StoreError::Refused(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn cut_messages(&mut self) {
        self.connected = false;
        self.down.clear();
        self.up.clear();
        self.offered.clear();
        self.agent.disconnected();
    }

    async fn cut(&mut self) {
        if self.connected {
            self.cut_messages();
            self.lose_contact(Some(self.id)).await;
        }
    }

    async fn lose_contact(&self, agent: Option<AgentId>) {
        self.store.change(LoseContact { agent, why: String::new() }).await.unwrap();
    }

    async fn connect(&mut self) {
        self.cut().await;
        let missing = self.store.change(register()).await.unwrap().missing;
        assert_eq!(missing, Missing::NeverLaunched);
        let held: Vec<AttemptKey> = self.agent.held.keys().copied().collect();
        let agreed = self.store.change(Reconcile { agent: self.id, held, missing }).await.unwrap();
        self.connected = true;
        for key in agreed.gone {
            let end = Completion::lost(key, 0, String::new());
            self.store.change(Finish(vec![ended(end)])).await.unwrap();
        }
        // The welcome comes first, and with it what is over: nothing overtakes it.
        for key in agreed.over {
            self.agent.told(&ToAgent::Withdraw(key));
        }
        for held in agreed.resumed.iter().filter(|held| held.cancel) {
            self.down.push(ToAgent::Cancel(held.key));
        }
        self.up = self.agent.reconnected();
    }

    async fn give_up(&self) {
        let due = self.store.overdue().await.unwrap().due;
        let lost: Vec<Ended> =
            due.iter().map(|key| ended(Completion::lost(*key, 0, String::new()))).collect();
        self.store.change(GiveUp(lost)).await.unwrap();
    }

    /// Heals everything and lets all messages arrive until nothing more happens.
    pub async fn settle(&mut self) {
        self.connect().await;
        for _ in 0..1000 {
            self.offer().await;
            while let Some(message) = take(&mut self.down, 0, false) {
                let answers = self.agent.told(&message);
                self.say(answers);
            }
            for key in self.agent.running() {
                let said = self.agent.end(key, Some(0));
                self.say(said);
            }
            if self.up.is_empty() && self.down.is_empty() {
                return;
            }
            while let Some(message) = take(&mut self.up, 0, false) {
                self.hear(message).await;
            }
        }
        panic!("it does not come to rest");
    }

    /// What must hold at any time.
    pub async fn check(&mut self) {
        let mut launches = BTreeMap::<AttemptKey, u32>::new();
        for key in &self.agent.launched {
            *launches.entry(*key).or_default() += 1;
        }
        for (key, count) in launches {
            assert_eq!(count, 1, "{key} was launched {count} times");
        }
        for job in &self.jobs {
            let row = self.store.job(*job).await.unwrap();
            for attempt in self.store.attempts(*job).await.unwrap() {
                if attempt.state.is_terminal() {
                    let first = *self.ended.entry((*job, attempt.number)).or_insert(attempt.state);
                    assert_eq!(first, attempt.state, "job {job} attempt {}", attempt.number);
                } else {
                    assert_eq!(attempt.number, row.attempt, "only the newest attempt is open");
                    assert_eq!(attempt.state, row.state, "job {job} and its attempt agree");
                }
            }
        }
    }

    /// What must hold once everything has arrived.
    pub async fn check_settled(&self) {
        assert!(self.agent.held.is_empty(), "the agent still holds {:?}", self.agent.held);
        for job in &self.jobs {
            let row = self.store.job(*job).await.unwrap();
            assert!(row.state.is_terminal(), "job {job} is {}", row.state);
            for attempt in self.store.attempts(*job).await.unwrap() {
                let launches = self.agent.launched.iter();
                let launches =
                    launches.filter(|key| key.job == *job && key.number == attempt.number);
                let count = launches.count();
                assert!(count <= 1, "job {job} attempt {} ran {count} times", attempt.number);
                if matches!(attempt.state, State::Succeeded | State::Failed) {
                    assert_eq!(count, 1, "job {job} has an outcome and never ran");
                }
            }
        }
    }
}

fn register() -> RegisterAgent {
    RegisterAgent {
        name: "agent".to_owned(),
        instance: "one".to_owned(),
        boot: "one".to_owned(),
        slots: 2,
        version: "1".to_owned(),
        labels: [].into(),
    }
}

fn ended(completion: Completion) -> Ended {
    Ended {
        outcome: job::run_end(&completion),
        streams: [StreamSummary::EMPTY, StreamSummary::EMPTY],
        completion: Arc::new(completion),
        chunk: None,
        trouble: String::new(),
    }
}

fn pick<T: Copy>(all: &[T], which: u8) -> Option<T> {
    (!all.is_empty()).then(|| all[usize::from(which) % all.len()])
}

/// Takes a message out of those on the way; `again` leaves a copy for later.
fn take<T: Clone>(messages: &mut Vec<T>, which: u8, again: bool) -> Option<T> {
    if messages.is_empty() {
        return None;
    }
    let index = usize::from(which) % messages.len();
    if again { Some(messages[index].clone()) } else { Some(messages.remove(index)) }
}
