//! Adoption: brings what a PHP MultiFlexi has into our database. `source` reads its
//! database and changes nothing there; `map` says what its rows mean here and touches
//! nothing; `bring` puts both together, kind after kind, and writes through the store's
//! changes; `report` says what came of it.
//!
//! What holds how things are set up is in memory as a whole; jobs, their output and their
//! files are read page by page and piece by piece.

mod bring;
pub mod map;
pub mod php;
pub mod report;
pub mod source;
mod target;

use crate::{
    Error,
    config::{self, Config, ImportMultiflexi},
    folders,
    objects::{self, Objects, Place},
    store::{self, Store},
    vault::Vault,
};

use report::Report;
use source::{Address, Source};
use target::Target;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The URL of the source.
    pub from: String,
    /// What names the source here; host, port and database of the URL if absent.
    pub source: Option<String>,
    /// The time zone that times without one are read in; the server's own if absent.
    pub time_zone: Option<String>,
    /// Schedules are brought too.
    pub with_schedules: bool,
    /// Nothing is written.
    pub dry_run: bool,
}

impl From<ImportMultiflexi> for Wish {
    fn from(said: ImportMultiflexi) -> Self {
        let ImportMultiflexi { from, source, time_zone, with_schedules, dry_run, format: _ } = said;
        Self { from, source, time_zone, with_schedules, dry_run }
    }
}

/// Imports into the database that a scheduler of this configuration has.
pub async fn run(config: Config, wish: &Wish) -> Result<Report, Error> {
    // Nothing of ours is made before it is known that there is something to import.
    let source = open(wish).await?;
    if wish.dry_run {
        return rehearse(config, wish, source).await;
    }
    for folder in &config.folders {
        folders::make(folder)
            .map_err(|reason| Error::Folder { folder: folder.display().to_string(), reason })?;
    }
    let objects = Objects::open(&config.objects)?;
    objects.attempt().await?;
    let store = Store::open_beside(&config.database, Vault::open(&config.keys)?).await?;
    objects::settle(&objects, &store).await?;
    let target = (store.clone(), objects, config.zone);
    let imported = import(wish, source, target).await;
    store.close().await;
    imported
}

/// Says what an import would do. Where there is no database of ours yet, one stands in for it
/// that is gone afterwards.
async fn rehearse(
    mut config: Config,
    wish: &Wish,
    source: (String, Source),
) -> Result<Report, Error> {
    let scratch = tempfile::tempdir().map_err(|reason| Error::Folder {
        folder: std::env::temp_dir().display().to_string(),
        reason,
    })?;
    let lacks = store::lacks(&config.database).await?;
    let mut made = None;
    if lacks.from == 0 {
        made = Some(config.database.name);
        config.database = config::sqlite(&scratch.path().join("multiflexi.db"));
        config.keys = scratch.path().join("secrets.keys");
    } else {
        lacks.refuse(&config.database)?;
    }
    let objects = Objects::open(&Place::folder(&scratch.path().join("objects")))?;
    let store = Store::open_beside(&config.database, Vault::open(&config.keys)?).await?;
    let target = (store.clone(), objects, config.zone);
    let imported = import(wish, source, target).await;
    store.close().await;
    Ok(Report { new_database: made, ..imported? })
}

async fn open(wish: &Wish) -> Result<(String, Source), Error> {
    let address = Address::parse(&wish.from)?;
    let source = Source::open(&address, wish.time_zone.as_deref()).await?;
    Ok((wish.source.clone().unwrap_or(address.name), source))
}

/// Imports what is in a source; what a dry run says is what it would do.
async fn import(
    wish: &Wish,
    (name, mut source): (String, Source),
    (store, objects, zone): (Store, Objects, chrono_tz::Tz),
) -> Result<Report, Error> {
    let mut target = Target::new(store, objects, name, wish.dry_run);
    target.schedules = wish.with_schedules.then_some(zone);
    bring::all(&mut source, &mut target).await?;
    let mut report = target.report;
    report.server.clone_from(&source.server);
    report.time_zone.clone_from(&source.zone);
    report.of_the_source.append(&mut source.remarks);
    source.close().await;
    Ok(report)
}
