//! The agent's program: the session, and under another command the supervisor
//! that it starts.

use std::{ffi::OsString, process::ExitCode};

use multiflexi_agent::{
    Config, SpoolLimits,
    arguments::{Arguments, Command},
};
use multiflexi_program::{environment_files, log, memory, say, shutdown};
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
    let arguments: Arguments = multiflexi_program::arguments::parse();
    if let Some(Command::Supervisor { directory }) = &arguments.command {
        return Ok(multiflexi_agent::supervise(directory)?);
    }
    log::start(arguments.log_format, "info");
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let config = Config {
        servers: arguments.server,
        name: arguments.name,
        slots: arguments.slots.unwrap_or(u32::try_from(4 * processors).unwrap_or(4)),
        labels: arguments.label.into_iter().collect(),
        directory: arguments.directory,
        supervisor: vec![std::env::current_exe()?.into(), OsString::from("supervisor")],
        spool: SpoolLimits {
            attempt_bytes: arguments.job_spool_mib << 20,
            agent_bytes: arguments.spool_mib << 20,
        },
        drain: arguments.drain,
        metrics: arguments.metrics,
        connected: None,
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let asked = shutdown::in_steps()?;
        let traces = traces::from_environment("multiflexi-agent");
        let ended = multiflexi_agent::run(config, asked).await;
        if let Some(traces) = traces {
            traces.stop().await;
        }
        Ok(ended?)
    })
}
