//! `JobService.ExplainJob`: why a job is where it is, put together from what its rows
//! say and from the decisions that were recorded.

use multiflexi_program::counted;
use multiflexi_proto::{
    timestamp,
    v1::{ExplainJobResponse, JobEvent},
};
use tonic::Status;

use super::answer::to_state;
use crate::{
    api::Services,
    domain::{exit_code, ids::JobId, job::State},
    store::{AttemptRow, JobRow},
};

/// A time, for sentences.
fn at(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    let time = chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

impl Services {
    pub(super) async fn explain(&self, job: JobId) -> Result<ExplainJobResponse, Status> {
        let row = self.store.job(job).await?;
        let attempts = self.store.attempts(job).await?;
        let reasons = self.reasons(&row, attempts.last()).await?;
        let mut events = events(&row, &attempts);
        events.extend(self.store.decisions(job).await?.into_iter().map(|decided| {
            let decision = decided.decision;
            (decided.at, event(decided.at, decision.attempt, &decision.what, decision.why))
        }));
        events.sort_by_key(|(at, _)| *at);
        Ok(ExplainJobResponse {
            state: to_state(row.state).into(),
            reasons,
            events: events.into_iter().map(|(_, event)| event).collect(),
        })
    }

    async fn reasons(
        &self,
        job: &JobRow,
        attempt: Option<&AttemptRow>,
    ) -> Result<Vec<String>, Status> {
        let agent = attempt.map(|attempt| attempt.agent.as_str()).unwrap_or_default();
        let mut reasons = match job.state {
            State::Loaded => vec![
                "nobody has asked for it to be run: use job:run or \
                                   queue:process"
                    .to_owned(),
            ],
            State::Queued => self.why_queued(job).await?,
            State::Offered => vec![format!("it is held out to agent {agent}, which has to accept")],
            State::Running => vec![format!("it runs on agent {agent}")],
            State::Finishing => vec![format!(
                "its process has ended on agent {agent}; its output and files are being stored"
            )],
            State::Unreachable => self.why_unreachable(job, attempt).await?,
            ended => vec![why_ended(ended, job)],
        };
        reasons.extend(job.trouble.clone().filter(|_| !is_all(job)));
        if let Some(attempt) = attempt {
            let key = crate::domain::ids::AttemptKey {
                job: job.id,
                number: attempt.number,
                fence: attempt.fence,
            };
            let live = self.logs.get(key).and_then(|log| log.trouble());
            reasons.extend(live.filter(|live| Some(live) != job.trouble.as_ref()));
        }
        Ok(reasons)
    }

    async fn why_queued(&self, job: &JobRow) -> Result<Vec<String>, Status> {
        let wait = self.store.wait(job.id).await?;
        if let Some(due) = wait.due {
            let due = at(due);
            return Ok(vec![match job.attempt {
                0 => format!("it is not to be run before {due}"),
                attempt => format!("its attempt {attempt} has ended, and the next is due at {due}"),
            }]);
        }
        let limits = [
            (wait.template_limit, "run template", &job.run_template.1),
            (wait.company_limit, "company", &job.company.1),
        ];
        let limits: Vec<String> = limits
            .into_iter()
            .filter_map(|(limit, what, name)| {
                Some(format!("{what} {name:?} may have {} at once", counted(limit?, "job")))
            })
            .collect();
        if !limits.is_empty() {
            return Ok(vec![format!("it waits for a place: {}", limits.join(", and "))]);
        }
        if let Some(by) = wait.paused_by {
            return Ok(vec![format!("the queue is paused by {by}: queue:resume lets it go on")]);
        }
        let agents = self.store.connected_agents().await?;
        let total: i64 = agents.iter().map(|agent| agent.slots).sum();
        let free = total - agents.iter().map(|agent| agent.busy).sum::<i64>();
        let waits = if agents.is_empty() {
            "no agent is connected that could run it".to_owned()
        } else if free <= 0 {
            let (slots, agents) =
                (counted(total, "slot"), counted(agents.len(), "connected agent"));
            format!("all slots are busy: {slots} of {agents}")
        } else {
            format!("it is about to be offered: of {}, {free} free", counted(total, "slot"))
        };
        Ok(vec![waits, format!("ahead of it: {}", counted(wait.ahead, "job"))])
    }

    async fn why_unreachable(
        &self,
        job: &JobRow,
        attempt: Option<&AttemptRow>,
    ) -> Result<Vec<String>, Status> {
        let Some(attempt) = attempt else { return Ok(Vec::new()) };
        let since = attempt.unreachable.unwrap_or_default();
        let template = self.store.run_template(job.run_template.0).await?.template;
        let patience = i64::try_from(template.lost_after.as_micros()).unwrap_or(i64::MAX);
        Ok(vec![
            format!(
                "the connection to agent {} is gone since {}; the job goes on there if it can",
                attempt.agent,
                at(since)
            ),
            format!(
                "it is lost if the agent is not back by {}",
                at(since.saturating_add(patience))
            ),
        ])
    }
}

/// Whether trouble is all that there is to say of a job that failed: no process of it ran.
fn is_all(job: &JobRow) -> bool {
    job.state == State::Failed && job.exit_code.is_none() && job.signal.is_none()
}

fn why_ended(state: State, job: &JobRow) -> String {
    let meaning = exit_code::meaning(state, job.exit_code, job.signal, &job.definition);
    match (state, job.exit_code) {
        _ if is_all(job) && job.trouble.is_some() => {
            format!("it {state}: {}", job.trouble.as_deref().unwrap_or_default())
        }
        (State::Succeeded | State::Failed, Some(code)) => {
            format!("it {state}: exit code {code} ({meaning})")
        }
        _ if meaning.is_empty() => format!("it {state}"),
        _ => meaning,
    }
}

fn event(at: i64, attempt: i32, what: &str, why: String) -> JobEvent {
    JobEvent { time: Some(timestamp(at)), attempt, what: what.to_owned(), why }
}

/// What the rows themselves say.
fn events(job: &JobRow, attempts: &[AttemptRow]) -> Vec<(i64, JobEvent)> {
    let by = if job.by.is_empty() { String::new() } else { format!("asked by {}", job.by) };
    let mut events = vec![(job.created, event(job.created, 0, "created", by))];
    if let Some(queued) = job.queued.filter(|_| attempts.is_empty()) {
        events.push((queued, event(queued, 0, "queued", String::new())));
    }
    for attempt in attempts {
        let number = attempt.number;
        let choice = attempt.choice.clone().unwrap_or_default();
        let to = format!("to agent {}: {choice}", attempt.agent);
        events.push((attempt.offered, event(attempt.offered, number, "offered", to)));
        if let Some(started) = attempt.started {
            let process = attempt.pid.map(|pid| format!("process {pid}")).unwrap_or_default();
            events.push((started, event(started, number, "started", process)));
        }
        if let Some(ended) = attempt.ended {
            let mut why = exit_code::meaning(
                attempt.state,
                attempt.exit_code,
                attempt.signal,
                &attempt.definition,
            );
            if let Some(code) = attempt.exit_code {
                why = format!("exit code {code}: {why}");
            }
            if let Some(trouble) = &attempt.trouble {
                let divider = if why.is_empty() { "" } else { "; " };
                why = format!("{why}{divider}{trouble}");
            }
            events.push((ended, event(ended, number, attempt.state.name(), why)));
        }
    }
    events
}
