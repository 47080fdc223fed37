//! Several schedulers on one PostgreSQL, killed at random while jobs run, and then the
//! checker.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use multiflexi_fixture::{
    Agent, AgentOptions, Cli, Scheduler, SchedulerOptions, database::Server, mariadb::MariaDb,
    postgres::Postgres,
};

use crate::{
    checker::{self, Found},
    fault,
    random::Random,
    schedule::{fresh_seed, settle},
    workload::{Size, Workload},
};

/// Jobs that may wait or run meanwhile.
const OPEN: usize = 2000;

/// Jobs of one request.
const BATCH: usize = 500;

/// How many there are of everything, and how often one is killed.
#[derive(Debug, Args)]
pub struct Schedulers {
    /// Shares a MariaDB instead of a PostgreSQL
    #[arg(long)]
    mariadb: bool,
    /// How many schedulers
    #[arg(long, default_value_t = 3)]
    schedulers: usize,
    /// How many agents
    #[arg(long, default_value_t = 4)]
    agents: usize,
    /// How many jobs
    #[arg(long, default_value_t = 20_000)]
    jobs: usize,
    /// How long one lives at the most before it is killed and started again
    #[arg(long, value_parser = humantime::parse_duration, default_value = "6s")]
    longest: Duration,
    /// Replays a run [default: a fresh one]
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs all jobs while schedulers are killed, waits until they have ended, and checks.
pub fn run(arguments: &Schedulers) -> anyhow::Result<()> {
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    println!("seed {seed}");
    let folder = tempfile::Builder::new().prefix("mf-faults-").tempdir()?;
    let data = folder.path().join("data");
    let mut server = match arguments.mariadb {
        true => Server::MariaDb(MariaDb::start_durable()),
        false => Server::Postgres(Postgres::start()),
    };
    let database = server.database();
    let options =
        SchedulerOptions { environment: database.environment, ..SchedulerOptions::default() };
    let mut schedulers: Vec<Scheduler> =
        (0..arguments.schedulers).map(|_| Scheduler::start(&data, options.clone())).collect();
    let urls: Vec<String> = schedulers.iter().map(Scheduler::url).collect();
    let urls = urls.join(",");
    let folders: Vec<PathBuf> =
        (0..arguments.agents).map(|number| folder.path().join(format!("agent-{number}"))).collect();
    let agent = |(number, folder): (usize, &PathBuf)| {
        let name = format!("agent-{number}");
        Agent::start(folder, &urls, AgentOptions { name, ..AgentOptions::default() })
    };
    let mut agents: Vec<Agent> = folders.iter().enumerate().map(agent).collect();
    let mut workload = Workload::new(Cli::new(&urls), folder.path(), Size::SHORT);
    let begun = Instant::now();
    let mut random = Random::new(seed);
    let mut killed = vec![0_u32; schedulers.len()];
    while workload.jobs.len() < arguments.jobs {
        while workload.jobs.len() < arguments.jobs && workload.open() < OPEN {
            workload.submit(BATCH.min(arguments.jobs - workload.jobs.len()));
        }
        fault::pause(random.duration(Duration::from_millis(500), arguments.longest));
        let which = usize::try_from(random.below(schedulers.len() as u64))?;
        schedulers[which].restart();
        killed[which] += 1;
        let (jobs, open) = (workload.jobs.len(), workload.open());
        println!("{jobs} jobs, {open} open, killed {killed:?}, {:.0?}", begun.elapsed());
    }
    let logs = schedulers.iter().map(|one| &one.log).chain(agents.iter().map(|one| &one.log));
    settle(&workload, &logs.collect::<Vec<_>>())?;
    let elapsed = begun.elapsed();
    for agent in &mut agents {
        agent.terminate();
    }
    for scheduler in &mut schedulers {
        scheduler.terminate();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = Found { url: &database.url, data: &data, agents: &folders, may_be_lost: false };
    let findings = runtime.block_on(checker::check(&found, &workload))?;
    println!(
        "{} schedulers killed {} times, {} agents, {elapsed:.0?}\n{findings}",
        schedulers.len(),
        killed.iter().sum::<u32>(),
        agents.len()
    );
    anyhow::ensure!(findings.is_clean(), "something is wrong; --seed {seed} replays these faults");
    Ok(())
}
