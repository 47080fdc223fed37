//! The scheduler's program: reads the configuration, builds the parts, and runs
//! until it is told to stop.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use multiflexi_program::{environment_files, log, memory, say, shutdown};
use multiflexi_scheduler::{
    Scheduler, adoption,
    config::{Arguments, Command, Config, ImportMultiflexi, ObjectsCommand, ReportFormat},
    objects::{self, Objects, Place},
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
    // The object store's client tells of each try; what comes of them, we say.
    let quiet = if arguments.command.is_some() { "warn" } else { "info" };
    log::start(arguments.log_format, &format!("{quiet},object_store=warn"));
    let password = std::env::var("DB_PASSWORD").ok();
    let config = || Config::new(&arguments, password.as_deref());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match &arguments.command {
        None => {
            let config = config()?;
            runtime.block_on(async {
                let shutdown = shutdown::on_signal()?;
                Ok(Scheduler::start(config).await?.run(shutdown).await?)
            })
        }
        Some(Command::Objects { command: ObjectsCommand::Copy { from, to } }) => {
            runtime.block_on(copy_objects(from, to))
        }
        Some(Command::ImportMultiflexi(wish)) => runtime.block_on(import(config()?, wish.clone())),
    }
}

async fn import(config: Config, wish: ImportMultiflexi) -> anyhow::Result<()> {
    let format = wish.format;
    let report = adoption::run(config, &wish.into()).await?;
    let text = match format {
        ReportFormat::Text => report.to_string(),
        ReportFormat::Json => format!("{}\n", serde_json::to_string_pretty(&report)?),
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

async fn copy_objects(from: &str, to: &str) -> anyhow::Result<()> {
    let place = |url: &str| Place::parse(url).map_err(anyhow::Error::msg);
    let (from, to) = (place(from)?, place(to)?);
    // To open it would make it.
    if let Place::Folder(folder) = &from
        && !folder.is_dir()
    {
        anyhow::bail!(
            "there is no folder {}: name the store that has the objects",
            folder.display()
        );
    }
    let (from, to) = (Objects::open(&from)?, Objects::open(&to)?);
    let copied = objects::copy(&from, &to).await?;
    say!(
        "{} objects with {} bytes were copied from {} to {}; {} were there already",
        copied.objects,
        copied.bytes,
        from.name(),
        to.name(),
        copied.present
    );
    Ok(())
}
