//! Jobs that have ended, with their output and their files. A job never changes once it
//! has ended, so one that was imported is passed over.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    pin::Pin,
};

use multiflexi_proto::frame::Stream;

use crate::{
    adoption::{
        AdoptionError,
        map::job::{self, Ended, Life},
        report::Kind,
        source::{ARTIFACTS, JOB, JOB_OUTPUT_LINES, Row, Source, USER},
        target::Target,
    },
    artifacts::{FileWriter, WrittenFile, is_filename},
    domain::ids::{AgentId, JobId, RunTemplateId},
    logs::{LogWriter, Written},
    store::{AdoptJob, AdoptedFile, RegisterAgent, StoreError, TakeJobIds},
};

const KIND: Kind = Kind::Job;

/// The agent that stands for whoever ran imported jobs.
const AGENT: &str = "multiflexi-php";

/// Longest name of who asked for a job, in characters.
const MAX_BY: usize = 128;

type Importing = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// Brings all jobs that have ended.
pub async fn bring(source: &mut Source, target: &mut Target) -> Result<(), AdoptionError> {
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
) -> Result<(), AdoptionError> {
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

/// The output of a job, in the order in which it came.
async fn read_log(
    source: &mut Source,
    target: &Target,
    job: &Fresh<'_>,
    own: JobId,
) -> Result<Written, AdoptionError> {
    let mut log = LogWriter::new(target.objects.clone(), own);
    let mut lines = source.each(&JOB_OUTPUT_LINES, "job_id", job.row.id(), "seq, id").await?;
    while let Some(line) = lines.next().await? {
        let stream = match line.text("type").unwrap_or_default().as_str() {
            "stderr" | "error" | "warning" => Stream::Stderr,
            _ => Stream::Stdout,
        };
        let time = line.time("created_at").unwrap_or(job.ended.started);
        log.push(stream, time, line.bytes("line").unwrap_or_default()).await?;
    }
    Ok(log.finish().await?)
}

/// The files that a job has left, stored.
async fn read_files(
    source: &mut Source,
    target: &mut Target,
    job: &Fresh<'_>,
    own: JobId,
) -> Result<Vec<AdoptedFile>, AdoptionError> {
    let mut rows = Vec::new();
    let mut found = source.each(&ARTIFACTS, "job_id", job.row.id(), "id").await?;
    while let Some(row) = found.next().await? {
        rows.push(row);
    }
    drop(found);
    let (mut files, mut names) = (Vec::with_capacity(rows.len()), HashSet::new());
    for row in &rows {
        target.report.of(Kind::Artifact).read += 1;
        let filename = filename(row, &names);
        if Some(filename.as_str()) != row.raw("filename").as_deref() {
            let text = "it has another name here, as its own is used or cannot be used";
            target.report.remark(Kind::Artifact, row.id(), text);
        }
        names.insert(filename.clone());
        let mut file = FileWriter::new(target.objects.clone(), own);
        let size = row.int("artifact").unwrap_or_default();
        let mut offset = 0;
        while offset < size {
            let piece = source.artifact_piece(row.id(), offset).await?;
            if piece.is_empty() {
                break;
            }
            offset += piece.len() as i64;
            file.push(&piece).await?;
        }
        let WrittenFile { size, sha256, content, content_type } = file.finish(&filename).await?;
        let said = row.text("content_type").filter(|kind| is_mime(kind));
        target.report.of(Kind::Artifact).created += 1;
        files.push(AdoptedFile {
            filename,
            content_type: said.unwrap_or(content_type),
            note: row.text("note").unwrap_or_default(),
            created: row.time("created_at").unwrap_or(job.ended.ended),
            size,
            sha256,
            content,
        });
    }
    Ok(files)
}

fn is_mime(kind: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() || c == ' ';
    kind.len() <= 200 && kind.split_once('/').is_some() && kind.chars().all(plain)
}

/// The name of a file as it can be here, told from others of its job by its id.
fn filename(row: &Row, taken: &HashSet<String>) -> String {
    let name = row.text("filename").unwrap_or_default();
    let last = name.rsplit('/').find(|part| !matches!(*part, "" | "." | ".."));
    let name = match (is_filename(&name), last) {
        (true, _) => name,
        (false, Some(last)) if is_filename(last) => last.to_owned(),
        _ => format!("artifact-{}", row.id()),
    };
    if taken.contains(&name) { format!("{name} ({})", row.id()) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_get_names_that_can_be_here_and_differ() {
        let row = |name: &'static str| Row::of(7, &[("filename", name)]);
        let taken = HashSet::from(["a.json".to_owned()]);
        assert_eq!(filename(&row("b.json"), &taken), "b.json");
        assert_eq!(filename(&row("a.json"), &taken), "a.json (7)");
        assert_eq!(filename(&row("/tmp/../x"), &taken), "x");
        assert_eq!(filename(&row("../.."), &taken), "artifact-7");
        assert_eq!(filename(&Row::of(7, &[]), &taken), "artifact-7");
    }

    #[test]
    fn who_asked_is_told_by_the_login() {
        let users = HashMap::from([(1, "ad\u{7}min".to_owned())]);
        assert_eq!(by(&Row::of(1, &[("launched_by", "1")]), &users), "admin");
        assert_eq!(by(&Row::of(1, &[("launched_by", "2")]), &users), "user 2");
        assert_eq!(by(&Row::of(1, &[]), &users), "");
    }
}
