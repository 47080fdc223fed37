//! The scheduler's program: reads the configuration, builds the parts, and runs
//! until it is told to stop.

use std::process::ExitCode;

use clap::Parser as _;
use multiflexi_program::{environment_files, log, memory, say, shutdown};
use multiflexi_scheduler::{
    Scheduler,
    config::{Arguments, Config},
};

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
    let arguments = Arguments::parse();
    log::start(arguments.log_format, "info");
    let password = std::env::var("DB_PASSWORD").ok();
    let config = Config::new(&arguments, password.as_deref())?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let shutdown = shutdown::on_signal()?;
        Ok(Scheduler::start(config).await?.run(shutdown).await?)
    })
}
