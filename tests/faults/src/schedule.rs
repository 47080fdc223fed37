//! Faults at random while jobs run, and then the checker.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use clap::Args;
use multiflexi_fixture::{
    Agent, AgentOptions, Cli, Clock, Lines, Scheduler, SchedulerOptions, database::Server,
    mariadb::MariaDb, postgres::Postgres, proxy::Proxy,
};

use crate::{
    checker::{self, Found},
    fault::{self, Fault, System},
    random::Random,
    workload::{Size, Workload},
};

/// Jobs that may wait or run while faults go on: enough to be hit, few enough to end.
const OPEN: usize = 40;

/// How long jobs may take to end once nothing disturbs them.
const PATIENCE: Duration = Duration::from_secs(300);

/// How much of a log is shown of programs whose jobs do not end.
const LAST_LINES: usize = 20;

/// What is broken, how often and how long.
#[derive(Debug, Args)]
pub struct Schedule {
    /// How many faults
    #[arg(long, default_value_t = 1000)]
    cycles: u32,
    /// Stops injecting after this time, even if there were fewer
    #[arg(long, value_parser = humantime::parse_duration, default_value = "1h")]
    time: Duration,
    /// The longest disturbance of a connection
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s")]
    longest: Duration,
    /// Replays a run [default: a fresh one]
    #[arg(long)]
    seed: Option<u64>,
    /// Keeps the database on a PostgreSQL server of its own instead of SQLite
    #[arg(long)]
    postgres: bool,
    /// Keeps the database on a MariaDB server of its own instead of SQLite
    #[arg(long, conflicts_with = "postgres")]
    mariadb: bool,
    /// Jobs submitted for each fault
    #[arg(long, default_value_t = 3)]
    jobs: usize,
}

/// Injects the faults, waits until all jobs have ended, and checks.
pub fn run(arguments: &Schedule) -> anyhow::Result<()> {
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    println!("seed {seed}");
    let folder = tempfile::Builder::new().prefix("mf-faults-").tempdir()?;
    let (data, agent_folder) = (folder.path().join("data"), folder.path().join("agent"));
    let mut server = match (arguments.postgres, arguments.mariadb) {
        (true, _) => Some(Server::Postgres(Postgres::start())),
        (false, true) => Some(Server::MariaDb(MariaDb::start_durable())),
        (false, false) => None,
    };
    let database = server.as_mut().map(Server::database);
    let environment = database.as_ref().map(|database| database.environment.clone());
    let clocks =
        ["scheduler.clock", "agent.clock"].map(|name| Clock::new(&folder.path().join(name)));
    let mut environment = environment.unwrap_or_default();
    environment.extend(clocks[0].environment());
    let scheduler =
        Scheduler::start(&data, SchedulerOptions { environment, ..SchedulerOptions::default() });
    let proxy = Proxy::start(scheduler.address)?;
    let environment = clocks[1].environment();
    let options = AgentOptions { environment, ..AgentOptions::default() };
    let agent = Agent::start(&agent_folder, &proxy.url(), options);
    let mut workload = Workload::new(Cli::new(&scheduler.url()), folder.path(), Size::LONG);
    let mut system = System { scheduler, agent, proxy, clocks };
    let begun = Instant::now();
    let mut injected = BTreeMap::<&str, u32>::new();
    let mut random = Random::new(seed);
    for cycle in 1..=arguments.cycles {
        if begun.elapsed() > arguments.time {
            break;
        }
        if workload.open() < OPEN {
            workload.submit(arguments.jobs);
        }
        let fault = Fault::random(&mut random, arguments.longest);
        fault.inject(&mut system);
        *injected.entry(fault.kind()).or_default() += 1;
        fault::pause(random.duration(Duration::from_millis(20), Duration::from_millis(800)));
        if cycle % 50 == 0 {
            let (jobs, open) = (workload.jobs.len(), workload.open());
            println!("{cycle} faults, {jobs} jobs, {open} open, {:.0?}", begun.elapsed());
        }
    }
    println!("faults: {injected:?}");
    settle(&workload, &[&system.scheduler.log, &system.agent.log])?;
    system.agent.terminate();
    system.scheduler.terminate();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let url = database.map_or_else(
        || format!("sqlite://{}", data.join("multiflexi.db").display()),
        |database| database.url,
    );
    let may_be_lost = injected.contains_key(Fault::KillSupervisor.kind());
    let agents = [agent_folder];
    let found = Found { url: &url, data: &data, agents: &agents, may_be_lost };
    let findings = runtime.block_on(checker::check(&found, &workload))?;
    println!("{} faults in {:.0?}\n{findings}", injected.values().sum::<u32>(), begun.elapsed());
    anyhow::ensure!(findings.is_clean(), "something is wrong; --seed {seed} replays these faults");
    Ok(())
}

/// Waits until every job has ended. If that takes too long, says what is known of those that
/// have not, and what the programs have logged last.
pub fn settle(workload: &Workload, logs: &[&Lines]) -> anyhow::Result<()> {
    let begun = Instant::now();
    while workload.open() > 0 {
        if begun.elapsed() > PATIENCE {
            workload.say_open();
            for log in logs {
                let lines = log.so_far();
                println!("---\n{}", lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"));
            }
            anyhow::bail!("{} jobs do not end", workload.open());
        }
        fault::pause(Duration::from_millis(200));
    }
    Ok(())
}

pub fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ since.as_secs()
}
