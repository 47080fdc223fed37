//! Jobs that have ended, with their output and their files. A job never changes once it
//! has ended, so one that was imported is passed over.

mod contents;

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
};

use contents::{read_files, read_log};

use crate::{
    adoption::{
        Error,
        map::job::{self, Ended, Life},
        report::Kind,
        source::{ARTIFACTS, JOB, Row, Source, USER},
        target::Target,
    },
    domain::ids::{AgentId, JobId, RunTemplateId},
    store::{AdoptJob, RegisterAgent, StoreError, TakeJobIds},
};

const KIND: Kind = Kind::Job;

/// The agent that stands for whoever ran imported jobs.
const AGENT: &str = "multiflexi-php";

/// Longest name of who asked for a job, in characters.
const MAX_BY: usize = 128;

type Importing = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// Brings all jobs that have ended.
pub async fn bring(source: &mut Source, target: &mut Target) -> Result<(), Error> {
    let users = source.all(&USER).await?;
    let users: HashMap<i64, String> =
        users.iter().filter_map(|row| Some((row.id(), row.text("login")?))).collect();
    let mut after = i64::MIN;
    let mut agent = None;
    loop {
        let rows = source.page(&JOB, after).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        let ids = after.saturating_add(1)..=last.id();
        after = last.id();
        let known = target.store.adopted(&target.source, KIND.name(), ids).await?;
        let mut fresh = Vec::new();
        for row in &rows {
            target.report.of(KIND).read += 1;
            if known.contains_key(&row.id()) {
                target.report.of(KIND).unchanged += 1;
            } else if let Some(job) = fresh_job(row, target) {
                fresh.push(job);
            }
        }
        if target.dry_run {
            for job in &fresh {
                let own = target.next_id("job", job.row.id()).await?;
                said(job, target);
                target.report.created(KIND, job.row.id(), own);
                let mut files = source.each(&ARTIFACTS, "job_id", job.row.id(), "id").await?;
                while files.next().await?.is_some() {
                    let counts = target.report.of(Kind::Artifact);
                    counts.read += 1;
                    counts.created += 1;
                }
            }
            continue;
        }
        if fresh.is_empty() {
            continue;
        }
        let agent = match agent {
            Some(agent) => agent,
            None => *agent.insert(the_agent(target).await?),
        };
        import(source, target, (agent, &users), &fresh).await?;
    }
}

/// A job that is to be imported.
struct Fresh<'r> {
    row: &'r Row,
    run_template: i64,
    ended: Ended,
}

/// The job, if it can be imported.
fn fresh_job<'r>(row: &'r Row, target: &mut Target) -> Option<Fresh<'r>> {
    let id = row.id();
    let ended = match job::life(row) {
        Life::Ended(ended) => ended,
        Life::Waits => {
            let reason = "it has not begun: another import brings it when it has ended";
            target.report.skipped(KIND, id, reason);
            return None;
        }
        Life::Runs => {
            let reason = "it has not ended: another import brings it when it has, if it ever does";
            target.report.skipped(KIND, id, reason);
            return None;
        }
    };
    let template = row.int("runtemplate_id").unwrap_or_default();
    let Some(run_template) = target.own(Kind::RunTemplate, template) else {
        let reason = match template {
            0 => "it has no run template".to_owned(),
            template => format!("run template {template} was not imported"),
        };
        target.report.skipped(KIND, id, reason);
        return None;
    };
    Some(Fresh { row, run_template, ended })
}

/// Says what of a job is otherwise here.
fn said(job: &Fresh<'_>, target: &mut Target) {
    let id = job.row.id();
    match job::environment(job.row.bytes("env").unwrap_or_default()) {
        None => {
            let text = "its environment cannot be read: it has none here";
            target.report.remark(KIND, id, text);
        }
        Some((_, left_out)) => {
            for name in left_out {
                let text = format!("no process can have its variable {name:?}: it is left out");
                target.report.remark(KIND, id, text);
            }
        }
    }
    if job.row.time("end").is_some_and(|end| Some(end) < job.row.time("begin")) {
        let text = "it ends before it begins: if that is so of many, see --time-zone";
        target.report.remark(KIND, id, text);
    }
    let executor = job.row.text("executor").unwrap_or_default();
    if !matches!(executor.as_str(), "" | "Native") {
        target.report.remark(KIND, id, format!("it ran with the executor {executor}"));
    }
}

async fn the_agent(target: &Target) -> Result<AgentId, StoreError> {
    if let Some(id) = target.store.agent_id(AGENT).await? {
        return Ok(id);
    }
    let register = RegisterAgent {
        name: AGENT.to_owned(),
        instance: "import".to_owned(),
        boot: String::new(),
        slots: 0,
        version: String::new(),
        labels: BTreeMap::new(),
    };
    Ok(target.store.change(register).await?.id)
}

async fn import(
    source: &mut Source,
    target: &mut Target,
    (agent, users): (AgentId, &HashMap<i64, String>),
    fresh: &[Fresh<'_>],
) -> Result<(), Error> {
    let wanted: Vec<i64> = fresh.iter().map(|job| job.row.id()).collect();
    let ids = target.store.change(TakeJobIds(wanted)).await?;
    // Each goes to the writer at once, so that they share its commits.
    let mut importing: Vec<(i64, JobId, Importing)> = Vec::new();
    for (job, own) in fresh.iter().zip(ids) {
        let id = job.row.id();
        let log = read_log(source, target, job, own).await?;
        let files = read_files(source, target, job, own).await?;
        let environment = job::environment(job.row.bytes("env").unwrap_or_default());
        let (environment, _) = environment.unwrap_or_default();
        let line = job.row.text("command").unwrap_or_default();
        let Ended { state, exit_code, created, started, ended } = job.ended;
        let adopt = AdoptJob {
            id: own,
            origin: target.origin(KIND, id),
            run_template: RunTemplateId(job.run_template),
            agent,
            state,
            exit_code,
            pid: job.row.int("pid"),
            command: job::command(&line, &environment),
            environment,
            by: by(job.row, users),
            created,
            started,
            ended,
            trouble: match exit_code {
                Some(_) => String::new(),
                None => "nobody knows its exit code: it has none where it ran".to_owned(),
            },
            log: log.chunks,
            log_length: log.length,
            streams: log.streams,
            files,
        };
        importing.push((id, own, Box::pin(target.store.begin_change(adopt).await?)));
    }
    for ((id, own, imported), job) in importing.into_iter().zip(fresh) {
        match imported.await {
            Ok(()) => {
                said(job, target);
                target.report.created(KIND, id, own.0);
            }
            Err(refusal) if refusal.is_answer() => {
                target.report.skipped(KIND, id, refusal.to_string());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Who asked for a job.
fn by(row: &Row, users: &HashMap<i64, String>) -> String {
    let Some(id) = row.int("launched_by") else { return String::new() };
    let login = users.get(&id).cloned().unwrap_or_else(|| format!("user {id}"));
    login.chars().filter(|c| !c.is_control()).take(MAX_BY).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_is_told_by_the_login() {
        let users = HashMap::from([(1, "ad\u{7}min".to_owned())]);
        assert_eq!(by(&Row::of(1, &[("launched_by", "1")]), &users), "admin");
        assert_eq!(by(&Row::of(1, &[("launched_by", "2")]), &users), "user 2");
        assert_eq!(by(&Row::of(1, &[]), &users), "");
    }
}
