//! The scheduler's program: reads the configuration, builds the parts, and runs
//! until it is told to stop.

mod commands;

use std::process::ExitCode;

use multiflexi_program::{arguments, environment_files, log, memory, say, shutdown};
use multiflexi_scheduler::{
    Scheduler,
    config::{Arguments, Command, Config, ObjectsCommand},
};
use multiflexi_telemetry::traces;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    memory::keep_small();
    environment_files::load(std::env::args_os())?;
    let arguments: Arguments = arguments::parse();
    // The object store's client tells of each try, and PostgreSQL of what is there already;
    // what comes of it, we say.
    let quiet = if arguments.command.is_some() { "warn" } else { "info" };
    log::start(arguments.log_format, &format!("{quiet},object_store=warn,sqlx=warn"));
    let password = std::env::var("DB_PASSWORD").ok().filter(|password| !password.is_empty());
    let config = || Config::new(&arguments, password.as_deref());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match &arguments.command {
        None => {
            let config = config()?;
            runtime.block_on(async {
                let shutdown = shutdown::on_signal()?;
                let traces = traces::from_environment("multiflexi-scheduler");
                let ended = Scheduler::start(config).await?.run(shutdown).await;
                if let Some(traces) = traces {
                    traces.stop().await;
                }
                Ok(ended?)
            })
        }
        Some(Command::Objects { command: ObjectsCommand::Copy { from, to } }) => {
            runtime.block_on(commands::copy_objects(from, to))
        }
        Some(Command::ImportMultiflexi(wish)) => {
            runtime.block_on(commands::import(config()?, wish.clone()))
        }
        Some(Command::Migrate(wish)) => runtime.block_on(commands::migrate(&config()?, wish)),
        Some(Command::Backup(wish)) => runtime.block_on(commands::back_up(&config()?, wish)),
        Some(Command::Restore(wish)) => runtime.block_on(commands::restore(&config()?, wish)),
        Some(Command::Transfer(wish)) => {
            runtime.block_on(commands::transfer(&config()?, wish, password.as_deref()))
        }
    }
}
