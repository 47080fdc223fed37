//! Commands that are programs of their own, under the names that the PHP MultiFlexi's
//! users know.

use std::process::ExitCode;

use clap::Parser;

use crate::{
    Outcome,
    arguments::Global,
    commands::{jobs, runtime},
    connect::Server,
    exit_code,
    failure::Failure,
};

/// Writes a shell script that runs a job where no agent is.
#[derive(Debug, Parser)]
#[command(name = "multiflexi-job2script", version, after_help = exit_code::help())]
pub struct Job2Script {
    #[command(flatten)]
    script: jobs::Script,
    // Last, as the heading of its arguments goes on.
    #[command(flatten)]
    global: Global,
}

impl Job2Script {
    /// Does it.
    pub fn run(self) -> Outcome {
        let script = self.script;
        ask(&self.global, async move |server| script.run(server).await)
    }
}

/// Writes the variables of a job's process as a file.
#[derive(Debug, Parser)]
#[command(name = "multiflexi-job2env", version, after_help = exit_code::help())]
pub struct Job2Env {
    #[command(flatten)]
    file: jobs::EnvFile,
    // Last, as the heading of its arguments goes on.
    #[command(flatten)]
    global: Global,
}

impl Job2Env {
    /// Does it.
    pub fn run(self) -> Outcome {
        let file = self.file;
        ask(&self.global, async move |server| file.run(server).await)
    }
}

/// Asks the scheduler that the arguments name.
fn ask(global: &Global, command: impl AsyncFnOnce(&Server) -> Result<(), Failure>) -> Outcome {
    let asked = runtime().and_then(|runtime| {
        runtime.block_on(async {
            let server = Server::connect(&global.scheduler()?).await?;
            command(&server).await
        })
    });
    (global.format, asked.map(|()| ExitCode::SUCCESS))
}
