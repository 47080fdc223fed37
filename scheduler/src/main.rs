//! The scheduler's program: reads the configuration, builds the parts, and runs
//! until it is told to stop.

use std::process::ExitCode;

use clap::Parser as _;
use multiflexi_program::{environment_files, log, memory, say, shutdown};
use multiflexi_scheduler::{
    Scheduler,
    config::{Arguments, Command, Config, ObjectsCommand},
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
    log::start(arguments.log_format, "info,object_store=warn");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match &arguments.command {
        None => {
            let password = std::env::var("DB_PASSWORD").ok();
            let config = Config::new(&arguments, password.as_deref())?;
            runtime.block_on(async {
                let shutdown = shutdown::on_signal()?;
                Ok(Scheduler::start(config).await?.run(shutdown).await?)
            })
        }
        Some(Command::Objects { command: ObjectsCommand::Copy { from, to } }) => {
            runtime.block_on(copy_objects(from, to))
        }
    }
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
