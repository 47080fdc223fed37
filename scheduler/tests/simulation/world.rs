//! All sides and what is on its way between them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use multiflexi_scheduler::{
    domain::{
        application::Definition,
        ids::{AgentId, AttemptKey, JobId, RunTemplateId},
        job::{self, Completion, EndCause, Overflow, State, StreamSummary},
        retry::{Backoff, RetryPolicy},
    },
    store::{
        Accept, CancelJob, Cancelled, Claim, CreateCompany, CreateJobs, CreateRunTemplate, Ended,
        Finish, GiveUp, KeepAlive, Leave, Location, LoseContact, Lost, Missing, NewJobs,
        NewRunTemplate, PutApplication, QueueJob, Reconcile, RegisterAgent, Start, Started,
        StartedRow, Store, StoreError, Withdraw,
    },
};

use multiflexi_scheduler::vault::Vault;

use crate::{
    Step,
    agent::{Agent, ToAgent, ToScheduler},
};

/// What the scheduler makes of the fences that agents say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fences {
    /// They are checked, as they should be.
    Checked,
    /// They are not: whatever fence is said, it is taken for the job's newest.
    Ignored,
}

/// An agent and the messages between it and the scheduler.
struct Host {
    name: &'static str,
    id: AgentId,
    agent: Agent,
    connected: bool,
    down: Vec<ToAgent>,
    up: Vec<ToScheduler>,
}

/// The scheduler's database and the agents.
pub struct World {
    store: Store,
    fences: Fences,
    template: RunTemplateId,
    hosts: Vec<Host>,
    /// Offers whose deadline has not passed, and the host they were made to.
    offered: BTreeMap<AttemptKey, usize>,
    jobs: Vec<JobId>,
    /// Ends of attempts as they were first seen.
    ended: BTreeMap<(JobId, i32), State>,
    _folder: tempfile::TempDir,
}

impl Host {
    fn say(&mut self, messages: Vec<ToScheduler>) {
        if self.connected {
            self.up.extend(messages);
        }
    }

    /// What is on the way is lost, and what was not launched with it.
    fn cut(&mut self) {
        self.connected = false;
        self.down.clear();
        self.up.clear();
        self.agent.disconnected();
    }

    fn deliver(&mut self, which: u8, again: bool) {
        let index = usize::from(which) % self.down.len().max(1);
        let offer = matches!(self.down.get(index), Some(ToAgent::Offer(_)));
        if let Some(message) = take(&mut self.down, which, again && !offer) {
            let answers = self.agent.told(&message);
            self.say(answers);
        }
    }
}

impl World {
    pub async fn new(fences: Fences) -> Self {
        // Nothing is killed here: what would survive a crash need not reach a disk.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let file = folder.path().join("simulation.db");
        let url = format!("sqlite://{}?mode=rwc", file.display());
        let location = Location { url, name: "simulation".to_owned() };
        let store = Store::open(&location, Vault::open(&folder.path().join("keys")).unwrap())
            .await
            .unwrap();
        let template = run_template(&store).await;
        let mut hosts = Vec::new();
        for name in ["one", "two"] {
            let id = store.change(register(name)).await.unwrap().id;
            let (agent, down, up) = (Agent::default(), Vec::new(), Vec::new());
            hosts.push(Host { name, id, agent, connected: false, down, up });
        }
        let (offered, jobs, ended) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        Self { store, fences, template, hosts, offered, jobs, ended, _folder: folder }
    }

    /// Lets something happen, to one of the hosts if it is about one.
    pub async fn step(&mut self, host: usize, step: Step) {
        let host = host % self.hosts.len();
        match step {
            Step::Submit => self.submit().await,
            Step::Offer => self.offer(host).await,
            Step::ToAgent { which, again } => self.hosts[host].deliver(which, again),
            Step::ToScheduler { which, again } => {
                if let Some(message) = take(&mut self.hosts[host].up, which, again) {
                    self.hear(host, message).await;
                }
            }
            Step::Expire { which } => {
                let offers: Vec<_> = self.offered.iter().map(|(key, host)| (*key, *host)).collect();
                if let Some((key, host)) = pick(&offers, which) {
                    self.withdraw(host, key).await;
                }
            }
            Step::Exit { which } => {
                let host = &mut self.hosts[host];
                if let Some(key) = pick(&host.agent.running(), which) {
                    let said = host.agent.end(key, Some(i32::from(which % 2)));
                    host.say(said);
                }
            }
            Step::Cancel { which } => self.cancel(which).await,
            Step::RunAgain { which } => {
                if let Some(job) = pick(&self.jobs, which) {
                    self.store.change(QueueJob { job, by: String::new() }).await.unwrap();
                }
            }
            Step::Cut | Step::KillSession => self.cut(host).await,
            Step::Restart => {
                self.hosts.iter_mut().for_each(Host::cut);
                self.offered.clear();
                self.store.change(Leave).await.unwrap();
                self.lose_contact(Lost::Schedulers).await;
                self.store.change(KeepAlive { address: String::new() }).await.unwrap();
            }
            Step::Connect if self.hosts[host].connected => {}
            Step::Connect => self.connect(host).await,
            Step::GiveUp => self.give_up().await,
        }
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
            start: Start::AtOnce,
            priority: None,
            slot: None,
        };
        self.jobs.extend(self.store.change(CreateJobs(new)).await.unwrap());
    }

    async fn offer(&mut self, host: usize) {
        if self.hosts[host].connected {
            let claim = Claim { agent: self.hosts[host].id, limit: 2, choice: String::new() };
            for launch in self.store.change(claim).await.unwrap().launches {
                self.offered.insert(launch.key, host);
                self.hosts[host].down.push(ToAgent::Offer(launch.key));
            }
        }
    }

    /// The key as the scheduler understands it.
    async fn understood(&self, key: AttemptKey) -> AttemptKey {
        match self.fences {
            Fences::Checked => key,
            Fences::Ignored => {
                let attempt = self.store.attempt(key.job, key.number).await.unwrap();
                attempt.map_or(key, |newest| AttemptKey { fence: newest.fence, ..key })
            }
        }
    }

    async fn hear(&mut self, host: usize, message: ToScheduler) {
        let agent = self.hosts[host].id;
        match message {
            ToScheduler::Accept(said) => {
                // Its deadline may come all the same: the store knows better.
                let key = self.understood(said).await;
                let accepted =
                    self.store.change(Accept { agent, keys: vec![key] }).await.unwrap() == [key];
                let answer = if accepted { ToAgent::Start } else { ToAgent::Withdraw };
                // Said twice, it is accepted once: the second is no news.
                if accepted || !self.is_open(key).await {
                    self.hosts[host].down.push(answer(said));
                }
            }
            ToScheduler::Started(said) => {
                let key = self.understood(said).await;
                self.store.change(Started(vec![StartedRow { key, pid: 1 }])).await.unwrap();
            }
            ToScheduler::Completed(said, code) => {
                let key = self.understood(said).await;
                let cause = if code.is_some() { EndCause::Exited } else { EndCause::Cancelled };
                let end = Completion {
                    cause,
                    exit_code: code,
                    ..Completion::lost(key, 0, String::new())
                };
                self.store.change(Finish { agent, ends: vec![ended(end)] }).await.unwrap();
                self.hosts[host].down.push(ToAgent::Acknowledge(said));
            }
        }
    }

    async fn is_open(&self, key: AttemptKey) -> bool {
        let attempt = self.store.attempt(key.job, key.number).await.unwrap();
        attempt.is_some_and(|row| row.fence == key.fence && !row.state.is_terminal())
    }

    async fn withdraw(&mut self, host: usize, key: AttemptKey) {
        self.offered.remove(&key);
        let withdraw = Withdraw { keys: vec![key], why: String::new() };
        let withdrawn = self.store.change(withdraw).await.unwrap() == [key];
        if withdrawn && self.hosts[host].connected {
            self.hosts[host].down.push(ToAgent::Withdraw(key));
        }
    }

    async fn cancel(&mut self, which: u8) {
        let Some(job) = pick(&self.jobs, which) else { return };
        match self.store.change(CancelJob { job, by: String::new() }).await {
            Ok(Cancelled::Ended(Some(offer))) => {
                if let Some(host) = self.offered.get(&offer).copied() {
                    self.hosts[host].down.push(ToAgent::Withdraw(offer));
                }
            }
            Ok(Cancelled::OnAgent(agent, key)) => {
                let mut hosts = self.hosts.iter_mut();
                if let Some(host) = hosts.find(|host| host.id == agent && host.connected) {
                    host.down.push(ToAgent::Cancel(key));
                }
            }
            Ok(_) | Err(StoreError::Refused(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn cut(&mut self, host: usize) {
        if self.hosts[host].connected {
            self.hosts[host].cut();
            self.offered.retain(|_, to| *to != host);
            self.lose_contact(Lost::Agent(self.hosts[host].id)).await;
        }
    }

    async fn lose_contact(&self, lost: Lost) {
        self.store.change(LoseContact { lost, why: String::new() }).await.unwrap();
    }

    async fn connect(&mut self, host: usize) {
        self.cut(host).await;
        let missing = self.store.change(register(self.hosts[host].name)).await.unwrap().missing;
        assert_eq!(missing, Missing::NeverLaunched);
        let agent = self.hosts[host].id;
        let held: Vec<AttemptKey> = self.hosts[host].agent.held.keys().copied().collect();
        let agreed = self.store.change(Reconcile { agent, held, missing }).await.unwrap();
        for key in agreed.gone {
            let end = Completion::lost(key, 0, String::new());
            self.store.change(Finish { agent, ends: vec![ended(end)] }).await.unwrap();
        }
        let host = &mut self.hosts[host];
        host.connected = true;
        // The welcome comes first, and with it what is over: nothing overtakes it.
        for key in agreed.over {
            host.agent.told(&ToAgent::Withdraw(key));
        }
        for held in agreed.resumed.iter().filter(|held| held.cancel) {
            host.down.push(ToAgent::Cancel(held.key));
        }
        host.up = host.agent.reconnected();
    }

    async fn give_up(&self) {
        let due = self.store.overdue().await.unwrap().due;
        let lost: Vec<Ended> =
            due.iter().map(|key| ended(Completion::lost(*key, 0, String::new()))).collect();
        self.store.change(GiveUp(lost)).await.unwrap();
    }

    /// Heals everything and lets all messages arrive until nothing more happens.
    pub async fn settle(&mut self) -> Verdict {
        for host in 0..self.hosts.len() {
            self.connect(host).await;
        }
        for _ in 0..1000 {
            for host in 0..self.hosts.len() {
                self.offer(host).await;
                while !self.hosts[host].down.is_empty() {
                    self.hosts[host].deliver(0, false);
                }
                for key in self.hosts[host].agent.running() {
                    let said = self.hosts[host].agent.end(key, Some(0));
                    self.hosts[host].say(said);
                }
            }
            if self.hosts.iter().all(|host| host.up.is_empty() && host.down.is_empty()) {
                return Ok(());
            }
            for host in 0..self.hosts.len() {
                while let Some(message) = take(&mut self.hosts[host].up, 0, false) {
                    self.hear(host, message).await;
                }
            }
        }
        Err("it does not come to rest".to_owned())
    }

    /// What must hold at any time.
    pub async fn check(&mut self) -> Verdict {
        let mut launches = BTreeMap::<(JobId, i32), u32>::new();
        for key in self.hosts.iter().flat_map(|host| &host.agent.launched) {
            *launches.entry((key.job, key.number)).or_default() += 1;
        }
        for ((job, number), count) in launches {
            demand(count == 1, || format!("job {job} attempt {number} ran {count} times"))?;
        }
        for job in &self.jobs {
            let row = self.store.job(*job).await.unwrap();
            for attempt in self.store.attempts(*job).await.unwrap() {
                let (number, state) = (attempt.number, attempt.state);
                if state.is_terminal() {
                    let first = *self.ended.entry((*job, number)).or_insert(state);
                    demand(first == state, || {
                        format!("job {job} attempt {number} was {first}, and now is {state}")
                    })?;
                } else {
                    demand(number == row.attempt && state == row.state, || {
                        format!("job {job} is {}, its attempt {number} {state}", row.state)
                    })?;
                }
            }
        }
        Ok(())
    }

    /// What must hold once everything has arrived.
    pub async fn check_settled(&self) -> Verdict {
        for host in &self.hosts {
            let held = &host.agent.held;
            demand(held.is_empty(), || format!("agent {} still holds {held:?}", host.name))?;
        }
        for job in &self.jobs {
            let row = self.store.job(*job).await.unwrap();
            demand(row.state.is_terminal(), || format!("job {job} is {}", row.state))?;
            for attempt in self.store.attempts(*job).await.unwrap() {
                if matches!(attempt.state, State::Succeeded | State::Failed) {
                    let key =
                        AttemptKey { job: *job, number: attempt.number, fence: attempt.fence };
                    let mut hosts = self.hosts.iter().filter(|host| host.name == attempt.agent);
                    demand(hosts.any(|host| host.agent.launched.contains(&key)), || {
                        format!("{key} has an outcome and never ran on agent {}", attempt.agent)
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// What a check says: all is well, or what is wrong.
pub type Verdict = Result<(), String>;

fn demand(holds: bool, wrong: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(wrong()) }
}

/// A run template whose jobs are tried again at once.
async fn run_template(store: &Store) -> RunTemplateId {
    let name = "a".to_owned();
    let definition = Definition::new(&name, "true", "").unwrap();
    let definition = Arc::new(definition);
    let put = PutApplication { id: None, definition, replace: false };
    let application = store.change(put).await.unwrap().id();
    let company =
        store.change(CreateCompany { name: "c".to_owned(), ..Default::default() }).await.unwrap();
    let retry = RetryPolicy { max_attempts: 3, backoff: Backoff::None, ..RetryPolicy::default() };
    let template = NewRunTemplate {
        name: "t".to_owned(),
        application,
        company,
        environment: [].into(),
        timeout: None,
        grace: Duration::ZERO,
        lost_after: Duration::ZERO,
        retry,
        overflow: Overflow::Block,
        priority: 0,
        max_running: None,
        keep: Default::default(),
    };
    store.change(CreateRunTemplate(template)).await.unwrap()
}

fn register(name: &str) -> RegisterAgent {
    RegisterAgent {
        name: name.to_owned(),
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
