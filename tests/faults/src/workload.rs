//! The jobs: they print numbered lines on both streams, leave files, and write down
//! outside of the system when they began and ended.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use multiflexi_fixture::{Cli, eventually};

/// How much a job does.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Lines on each stream.
    pub lines: usize,
    /// Bytes of the large file.
    pub large: usize,
    /// It rests after each so many lines.
    pub rest_after: usize,
}

impl Size {
    /// A job of about a second, which faults hit in all its parts.
    pub const LONG: Self = Self { lines: 300, large: 300_000, rest_after: 30 };

    /// A job of a few milliseconds, of which there can be many.
    pub const SHORT: Self = Self { lines: 10, large: 5_000, rest_after: 1000 };
}

/// The jobs of a run.
#[derive(Debug)]
pub struct Workload {
    cli: Cli,
    /// How much each does.
    pub size: Size,
    template: String,
    ledger: PathBuf,
    batches: u64,
    /// All jobs.
    pub jobs: Vec<i64>,
}

impl Workload {
    /// Makes a run template whose jobs keep their ledger in `folder`.
    pub fn new(cli: Cli, folder: &Path, size: Size) -> Self {
        let Size { lines, large, rest_after } = size;
        let ledger = folder.join("ledger");
        let script = format!(
            "echo begin $MULTIFLEXI_JOB_ID $MULTIFLEXI_ATTEMPT >> {ledger}; i=0; \
             while [ $i -lt {lines} ]; do i=$((i+1)); echo out $i; echo err $i >&2; \
             [ $((i % {rest_after})) = 0 ] && sleep 0.1; done; \
             head -c {large} /dev/zero | tr '\\0' $((MULTIFLEXI_JOB_ID % 10)) > large; \
             echo $MULTIFLEXI_JOB_ID > small; \
             echo end $MULTIFLEXI_JOB_ID $MULTIFLEXI_ATTEMPT >> {ledger}",
            ledger = ledger.display()
        );
        let company = cli.create(["company:create", "--name", "Acme"]).to_string();
        let words = ["application:create", "--name", "counter", "--executable", "sh"];
        let application =
            cli.create(words.into_iter().chain(["--cmdparams", "-c {SCRIPT}"])).to_string();
        let variable = format!("SCRIPT={script}");
        let words = ["runtemplate:create", "--name", "counter", "--app", &application];
        let more = ["--company", &company, "--env", &variable];
        // Longer than clocks are put forward: that is no reason to give an agent up.
        let patience = ["--lost-after", "1h"];
        let retries = ["--max-attempts", "1000", "--retry-on", "lost", "--retry-backoff", "none"];
        let template =
            cli.create(words.into_iter().chain(more).chain(patience).chain(retries)).to_string();
        Self { cli, size, template, ledger, batches: 0, jobs: Vec::new() }
    }

    /// Submits `count` jobs once, however often the scheduler is away meanwhile.
    pub fn submit(&mut self, count: usize) {
        self.batches += 1;
        let request = format!("batch-{}", self.batches);
        let count = count.to_string();
        let words = ["job:create", "--template", &self.template, "--count", &count, "--queue"];
        let words: Vec<&str> =
            words.into_iter().chain(["--request-id", &request, "-f", "json"]).collect();
        let made = eventually("the jobs are created", || {
            let answer = self.cli.run(&words);
            let made: serde_json::Value = serde_json::from_slice(&answer.stdout).ok()?;
            (answer.code == 0).then_some(made)
        });
        let ids = made["job_ids"].as_array().into_iter().flatten();
        self.jobs.extend(ids.filter_map(serde_json::Value::as_i64));
    }

    /// Jobs that have not ended.
    pub fn open(&self) -> usize {
        let status = self.cli.run(["queue:status", "-f", "json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        let ended = ["succeeded", "failed", "cancelled", "timed_out", "lost"];
        let ended: i64 = ended.iter().filter_map(|state| status["jobs"][state].as_i64()).sum();
        self.jobs.len() - usize::try_from(ended).unwrap_or_default()
    }

    /// Prints what is known of the first jobs that have not ended.
    pub fn say_open(&self) {
        for state in ["queued", "offered", "running", "finishing", "unreachable"] {
            let list = self.cli.run(["job:list", "--state", state, "--limit", "3", "-f", "json"]);
            let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap_or_default();
            for job in list["jobs"].as_array().into_iter().flatten() {
                let id = job["id"].to_string();
                println!("{}", self.cli.run(["job:show", &id, "-f", "json"]).text());
                println!("{}", self.cli.run(["job:why", &id]).text());
            }
        }
    }

    /// How often each attempt of each job began and ended, by what the jobs themselves
    /// wrote down.
    pub fn ledger(&self) -> io::Result<BTreeMap<(i64, i64), (u32, u32)>> {
        let mut ledger = BTreeMap::<(i64, i64), (u32, u32)>::new();
        for line in fs::read_to_string(&self.ledger)?.lines() {
            let mut words = line.split(' ');
            let what = words.next();
            let mut number = || words.next()?.parse::<i64>().ok();
            let (Some(job), Some(attempt)) = (number(), number()) else { continue };
            let (begun, ended) = ledger.entry((job, attempt)).or_default();
            match what {
                Some("begin") => *begun += 1,
                Some("end") => *ended += 1,
                _ => {}
            }
        }
        Ok(ledger)
    }
}
