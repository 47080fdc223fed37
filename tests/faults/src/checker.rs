//! The checker. It shares no code with the system: it reads the database, the
//! objects, the ledger of the jobs and the process table, and counts what is wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

use crate::workload::{Size, Workload};

/// What is wrong, counted.
#[derive(Debug, Default)]
pub struct Findings {
    /// Jobs that were looked at.
    pub jobs: usize,
    /// Lines that were found in stored output.
    pub lines: usize,
    /// Artifacts that were found whole.
    pub artifacts: usize,
    /// Attempts that were lost with a killed supervisor, and whose jobs were tried again.
    pub lost: usize,
    /// By kind: how often it was found.
    pub wrong: BTreeMap<&'static str, usize>,
    /// The first few, in words.
    pub examples: Vec<String>,
}

impl Findings {
    fn add(&mut self, kind: &'static str, count: usize, example: impl FnOnce() -> String) {
        let total = self.wrong.entry(kind).or_default();
        *total += count;
        if count > 0 && self.examples.len() < 20 {
            self.examples.push(format!("{kind}: {}", example()));
        }
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.wrong.values().all(|count| *count == 0)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "jobs {}, lines {}, artifacts {}; attempts lost with their supervisor {}",
            self.jobs, self.lines, self.artifacts, self.lost
        )?;
        for (kind, count) in &self.wrong {
            writeln!(f, "  {kind}: {count}")?;
        }
        self.examples.iter().try_for_each(|example| writeln!(f, "  ! {example}"))
    }
}

/// Where a run has left what is checked.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// How to connect to the database.
    pub url: &'a str,
    /// The scheduler's data folder.
    pub data: &'a Path,
    /// The agents' folders.
    pub agents: &'a [PathBuf],
    /// A supervisor was killed: attempts may be lost, and their jobs tried again.
    pub may_be_lost: bool,
}

/// Checks everything; the scheduler and the session have stopped.
pub async fn check(found: &Found<'_>, workload: &Workload) -> anyhow::Result<Findings> {
    sqlx::any::install_default_drivers();
    let mut db = AnyConnection::connect(found.url).await?;
    let mut findings = Findings { jobs: workload.jobs.len(), ..Findings::default() };
    let ledger = workload.ledger().context("the jobs' ledger")?;
    let known = jobs(&mut db, &mut findings, workload).await?;
    for job in workload.jobs.iter().filter(|job| known.contains(job)) {
        let attempts = attempts(&mut db, *job, found, &mut findings).await?;
        for number in 1..=attempts {
            let (begun, ended) = ledger.get(&(*job, number)).copied().unwrap_or_default();
            let name = || format!("job {job} attempt {number}: {begun} times");
            findings.add("attempts run twice", (begun > 1).into(), name);
            if number == attempts {
                findings.add("jobs never run", (begun == 0).into(), name);
                findings.add("jobs not run to their end", (ended != 1).into(), name);
            }
        }
        findings.lost += usize::try_from(attempts - 1).unwrap_or_default();
        let unknown = ledger.range((*job, attempts + 1)..(*job + 1, 0)).count();
        findings.add("attempts that are not on record", unknown, || format!("job {job}"));
        let (data, size) = (found.data, workload.size);
        output(&mut db, data, (*job, attempts), size, &mut findings).await?;
        artifacts(&mut db, data, (*job, attempts), size, &mut findings).await?;
    }
    for agent in found.agents {
        let processes = multiflexi_fixture::processes::of_jobs(agent);
        findings.add("processes left behind", processes.len(), || format!("{processes:?}"));
        let folders = fs::read_dir(agent.join("attempts"))?.count();
        findings.add("attempts left in the spool", folders, String::new);
    }
    Ok(findings)
}

/// A statement whose parameters stand in their order, as the database names these.
fn said(db: &AnyConnection, sql: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(match db.backend_name() {
        "MySQL" => sql.replace("$1", "?").replace("$2", "?"),
        _ => sql.to_owned(),
    })
}

/// Every job is there and has succeeded. Those that are there.
async fn jobs(
    db: &mut AnyConnection,
    findings: &mut Findings,
    workload: &Workload,
) -> anyhow::Result<BTreeSet<i64>> {
    let rows = sqlx::query("SELECT id, state FROM job").fetch_all(&mut *db).await?;
    let known: BTreeMap<i64, String> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let extra = known.len().abs_diff(workload.jobs.len());
    findings.add("jobs too many or too few", extra, || format!("{} are there", known.len()));
    for job in &workload.jobs {
        let Some(state) = known.get(job) else {
            findings.add("jobs missing", 1, || format!("job {job}"));
            continue;
        };
        let open = !["succeeded", "failed", "cancelled", "timed_out", "lost"].contains(&&**state);
        findings.add("jobs not ended", open.into(), || format!("job {job} is {state}"));
        let other = !open && state != "succeeded";
        findings.add("jobs that did not succeed", other.into(), || format!("job {job} is {state}"));
    }
    Ok(known.into_keys().collect())
}

/// All attempts of a job but the last are lost, if any could be; how many there are.
async fn attempts(
    db: &mut AnyConnection,
    job: i64,
    found: &Found<'_>,
    findings: &mut Findings,
) -> anyhow::Result<i64> {
    let sql = said(db, "SELECT number, state FROM attempt WHERE job_id = $1 ORDER BY number");
    let rows = sqlx::query(sql).bind(job).fetch_all(&mut *db).await?;
    for (row, expected) in rows.iter().zip(1..) {
        let (number, state) = (i64::from(row.get::<i32, _>(0)), row.get::<String, _>(1));
        let name = || format!("job {job} attempt {number} is {state}");
        findings.add("attempts out of order", (number != expected).into(), name);
        if usize::try_from(expected).is_ok_and(|expected| expected < rows.len()) {
            let wrong = !found.may_be_lost || state != "lost";
            findings.add("attempts too many", wrong.into(), name);
        }
    }
    Ok(i64::try_from(rows.len())?)
}

/// The stored output has every line once and in order, and the recorded hashes.
async fn output(
    db: &mut AnyConnection,
    data: &Path,
    (job, attempt): (i64, i64),
    size: Size,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let chunks = sqlx::query(said(
        db,
        "SELECT start, length, encoding, content, object FROM log_chunk \
         WHERE job_id = $1 AND attempt = $2 ORDER BY start",
    ))
    .bind(job)
    .bind(attempt)
    .fetch_all(&mut *db)
    .await?;
    let mut log = Vec::new();
    for chunk in chunks {
        let (start, length) = (chunk.get::<i64, _>(0), chunk.get::<i64, _>(1));
        if start != log.len() as i64 {
            findings.add("gaps in logs", 1, || format!("job {job} at {start}"));
            return Ok(());
        }
        let stored = match chunk.get::<Option<String>, _>(4) {
            Some(object) => fs::read(data.join("objects").join(object))?,
            None => chunk.get::<Option<Vec<u8>>, _>(3).unwrap_or_default(),
        };
        let bytes = match chunk.get::<String, _>(2).as_str() {
            "raw" => stored,
            "zstd" => zstd::decode_all(stored.as_slice())?,
            other => bail!("the encoding {other:?} is unknown"),
        };
        if bytes.len() as i64 != length {
            findings.add("damaged chunks", 1, || format!("job {job} at {start}"));
        }
        log.extend_from_slice(&bytes);
    }
    let streams = split(&log);
    for (stream, name) in streams.iter().zip(["out", "err"]) {
        let text = String::from_utf8_lossy(stream);
        let lines: Vec<&str> = text.lines().collect();
        findings.lines += lines.len();
        let expected: Vec<String> = (1..=size.lines).map(|line| format!("{name} {line}")).collect();
        let missing = expected.iter().filter(|line| !lines.contains(&line.as_str())).count();
        findings.add("lines lost", missing, || format!("job {job}, std{name}"));
        let twice = lines.len().saturating_sub(size.lines - missing);
        findings.add("lines twice", twice, || format!("job {job}, std{name}"));
        let disorder = missing == 0 && twice == 0 && lines != expected;
        findings.add("streams in disorder", disorder.into(), || format!("job {job}, std{name}"));
    }
    let row = sqlx::query(said(
        db,
        "SELECT stdout_sha256, stderr_sha256, log_length, trouble FROM attempt \
         WHERE job_id = $1 AND number = $2",
    ))
    .bind(job)
    .bind(attempt)
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let recorded = [row.get::<Option<String>, _>(0), row.get::<Option<String>, _>(1)];
    let wrong = streams.iter().zip(recorded).filter(|(stream, known)| Some(hex(stream)) != *known);
    findings.add("hashes that differ", wrong.count(), || format!("job {job}"));
    let trouble: Option<String> = row.get(3);
    findings
        .add("attempts in trouble", trouble.iter().count(), || format!("job {job}: {trouble:?}"));
    let length: Option<i64> = row.get(2);
    let differs = length != Some(log.len() as i64);
    findings.add("lengths that differ", differs.into(), || format!("job {job}: {length:?}"));
    Ok(())
}

/// stdout and stderr of framed records: length u32, stream u8, 3 zero bytes, time i64.
fn split(log: &[u8]) -> [Vec<u8>; 2] {
    let mut streams = [Vec::new(), Vec::new()];
    let mut rest = log;
    while let Some((header, tail)) = rest.split_at_checked(16) {
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let Some((data, tail)) = tail.split_at_checked(length) else { break };
        if let Some(stream) = streams.get_mut(usize::from(header[4]).wrapping_sub(1)) {
            stream.extend_from_slice(data);
        }
        rest = tail;
    }
    streams
}

/// The four artifacts of each job are there, and their content is what it should be.
async fn artifacts(
    db: &mut AnyConnection,
    data: &Path,
    (job, attempt): (i64, i64),
    size: Size,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let rows = sqlx::query(said(
        db,
        "SELECT id, filename, content, size, sha256, state FROM artifacts \
         WHERE job_id = $1 AND attempt = $2 ORDER BY filename",
    ))
    .bind(job)
    .bind(attempt)
    .fetch_all(&mut *db)
    .await?;
    let names: Vec<String> = rows.iter().map(|row| row.get(1)).collect();
    let expected = ["large", "small", "stderr.txt", "stdout.txt"];
    let wrong = names.len().abs_diff(expected.len());
    findings.add("artifacts missing or too many", wrong, || format!("job {job}: {names:?}"));
    for row in rows {
        let (id, name, state) =
            (row.get::<i64, _>(0), row.get::<String, _>(1), row.get::<String, _>(5));
        if state != "stored" {
            findings.add("artifacts not stored", 1, || format!("job {job}: {name} is {state}"));
            continue;
        }
        if name.ends_with(".txt") {
            findings.artifacts += 1;
            continue;
        }
        let content = match row.get::<Option<Vec<u8>>, _>(2) {
            Some(content) => content,
            None => parts(db, data, id).await?,
        };
        let right = match name.as_str() {
            "small" => format!("{job}\n").into_bytes(),
            _ => vec![b'0' + u8::try_from(job % 10).unwrap_or_default(); size.large],
        };
        let whole = content == right && row.get::<Option<String>, _>(4) == Some(hex(&right));
        findings.artifacts += usize::from(whole);
        findings.add("damaged artifacts", (!whole).into(), || format!("job {job}: {name}"));
    }
    Ok(())
}

async fn parts(db: &mut AnyConnection, data: &Path, id: i64) -> anyhow::Result<Vec<u8>> {
    let sql = said(db, "SELECT object FROM artifact_part WHERE artifact_id = $1 ORDER BY start");
    let rows = sqlx::query(sql).bind(id).fetch_all(&mut *db).await?;
    let mut content = Vec::new();
    for row in rows {
        content.extend(fs::read(data.join("objects").join(row.get::<String, _>(0)))?);
    }
    Ok(content)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
