//! The same batch on each database, in turns on one machine: what a server costs, in place of
//! a file.

use std::path::Path;

use multiflexi_fixture::{
    SchedulerOptions,
    database::{Database, Server},
    mariadb::MariaDb,
    postgres::Postgres,
};

use crate::{
    batch::{self, PROGRAM, WARM_UP},
    options::{Options, Part},
    report::{Measure, Report, Target},
    system::System,
};

/// How often each takes its turn: the median counts.
const ROUNDS: usize = 3;

/// What SQLite reaches: the limit that the others stand beside.
const SQLITE: &str = "jobs on SQLite";

/// The share of it that PostgreSQL is to reach.
const SHARE: f64 = 70.0;

/// The share of it that MariaDB is to reach, which takes more statements for a change.
const SHARE_OF_MARIADB: f64 = 50.0;

/// Runs the part.
pub async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let mut postgres = Server::Postgres(Postgres::start());
    let mut mariadb = Server::MariaDb(MariaDb::start_durable());
    let (mut file, mut on_postgres, mut on_mariadb) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        file.push(one(options, SchedulerOptions::default()).await?);
        on_postgres.push(on_server(options, postgres.database()).await?);
        on_mariadb.push(on_server(options, mariadb.database()).await?);
    }
    let measure = |what: &str, rates| Measure::new(Part::Databases, what, median(rates), "jobs/s");
    report.add(measure(SQLITE, file));
    let servers = [
        ("jobs on PostgreSQL", on_postgres, SHARE),
        ("jobs on MariaDB", on_mariadb, SHARE_OF_MARIADB),
    ];
    for (what, rates, share) in servers {
        report.add(measure(what, rates).limit(SQLITE).target(Target::ShareAtLeast(share)));
    }
    Ok(())
}

/// The one in the middle.
fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// The same on a database of a server.
async fn on_server(options: &Options, database: Database) -> anyhow::Result<f64> {
    let environment = database.environment;
    one(options, SchedulerOptions { environment, ..SchedulerOptions::default() }).await
}

/// Jobs a second of one batch on a new system.
async fn one(options: &Options, scheduler: SchedulerOptions) -> anyhow::Result<f64> {
    let system = System::start_with(options, scheduler).await?;
    let template = system.template(Path::new(PROGRAM), "").await?;
    batch::run_one(&system, template, WARM_UP).await?;
    let batch = batch::run_one(&system, template, options.jobs).await?;
    system.ensure_succeeded(WARM_UP + options.jobs).await?;
    Ok(batch.jobs_per_s)
}
