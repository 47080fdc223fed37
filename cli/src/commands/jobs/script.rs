//! `job:script`, `job:env-file`, and the same as programs of their own,
//! `multiflexi-job2script` and `multiflexi-job2env`.

use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use clap::Args;
use multiflexi_proto::v1::{GenerateScriptRequest, ScriptFormat};

use crate::{
    arguments::ById,
    connect::Server,
    exit_code::Exit,
    failure::Failure,
    output::{print, remark},
};

/// What is asked for and where it goes.
#[derive(Debug, Args)]
struct Wish {
    #[command(flatten)]
    by: ById,
    /// With the values of secrets; else whoever uses it has to give them
    #[arg(long)]
    with_secrets: bool,
    /// Where to write it, readable by you alone [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// `job:script`.
#[derive(Debug, Args)]
pub struct Script {
    #[command(flatten)]
    wish: Wish,
}

impl Script {
    /// Writes a shell script that runs a job where no agent is.
    pub async fn run(self, server: &Server) -> Result<(), Failure> {
        self.wish.fulfil(server, ScriptFormat::Shell, 0o700).await
    }
}

/// `job:env-file`.
#[derive(Debug, Args)]
pub struct EnvFile {
    #[command(flatten)]
    wish: Wish,
    /// In the format of `docker run --env-file`
    #[arg(long)]
    docker: bool,
}

impl EnvFile {
    /// Writes the variables of a job's process as a file.
    pub async fn run(self, server: &Server) -> Result<(), Failure> {
        let format = if self.docker { ScriptFormat::DockerEnv } else { ScriptFormat::Env };
        self.wish.fulfil(server, format, 0o600).await
    }
}

impl Wish {
    async fn fulfil(self, server: &Server, format: ScriptFormat, mode: u32) -> Result<(), Failure> {
        let request = GenerateScriptRequest {
            job_id: self.by.id(),
            format: format.into(),
            with_secrets: self.with_secrets,
        };
        let answer = server.jobs().generate_script(request).await?.into_inner();
        answer.warnings.iter().for_each(|warning| remark(&format!("warning: {warning}")));
        let Some(path) = self.output.filter(|path| path.as_os_str() != "-") else {
            return print(&answer.text);
        };
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(true).write(true).mode(mode).open(&path);
        file.and_then(|mut file| file.write_all(answer.text.as_bytes())).map_err(|error| {
            let message = format!("{} cannot be written: {error}", path.display());
            Failure::new(Exit::CannotWrite, message)
        })
    }
}
