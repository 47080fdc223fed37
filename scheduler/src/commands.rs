//! The commands besides running a scheduler: does each, and prints what came of it.

use std::{io::Write as _, path::Path};

use multiflexi_program::{counted, say};
use multiflexi_scheduler::{
    adoption,
    backup::{self, BackedUp, Restored},
    config::{self, Backup, Config, ImportMultiflexi, Migrate, ReportFormat, Restore, Transfer},
    folders,
    objects::{self, Copied, Objects, Place},
    store::{self, Upgrade},
};
use serde_json::json;

/// `import-multiflexi`.
pub async fn import(config: Config, wish: ImportMultiflexi) -> anyhow::Result<()> {
    let format = wish.format;
    let report = adoption::run(config, &wish.into()).await?;
    let text = match format {
        ReportFormat::Text => report.to_string(),
        ReportFormat::Json => format!("{}\n", serde_json::to_string(&report)?),
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// `objects copy`.
pub async fn copy_objects(from: &str, to: &str) -> anyhow::Result<()> {
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

/// `migrate`.
pub async fn migrate(config: &Config, wish: &Migrate) -> anyhow::Result<()> {
    let database = &config.database;
    let upgrade = if wish.dry_run {
        store::lacks(database).await?
    } else {
        make(&config.folders)?;
        store::upgrade_database(database).await?
    };
    let Upgrade { from, steps } = &upgrade;
    let to = from + steps.len();
    let report = json!({
        "database": database.name, "from": from, "to": to, "steps": steps, "dry_run": wish.dry_run,
    });
    let verb = if wish.dry_run { "would be" } else { "was" };
    let text = if steps.is_empty() {
        format!("{}: its schema is up to date, version {from}\n", database.name)
    } else {
        let steps = steps.join(", ");
        format!(
            "{}: its schema {verb} brought from version {from} to {to}: {steps}\n",
            database.name
        )
    };
    print(wish.format, &report, &text)
}

/// `transfer`.
pub async fn transfer(
    config: &Config,
    wish: &Transfer,
    password: Option<&str>,
) -> anyhow::Result<()> {
    let from = match &wish.from {
        Some(url) => config::database_of(url, password)?,
        None => config.database.clone(),
    };
    let to = config::database_of(&wish.to, password)?;
    let mut stdout = std::io::stdout();
    let text = wish.format == ReportFormat::Text;
    let tables = store::transfer(&from, &to, |done| {
        if text {
            // Whoever reads it may have gone: the transfer goes on.
            let _ = writeln!(stdout, "{:<16} {:>12} rows, the same", done.table, done.rows);
        }
    })
    .await?;
    let rows: u64 = tables.iter().map(|table| table.rows).sum();
    if text {
        writeln!(
            stdout,
            "{} of {} went to {}. Start its schedulers with the object store and the \
             key file of before: {} and {}",
            counted(rows, "row"),
            from.name,
            to.name,
            config.objects,
            config.keys.display()
        )?;
    } else {
        let report = json!({ "from": from.name, "to": to.name, "rows": rows, "tables": tables });
        writeln!(stdout, "{report}")?;
    }
    Ok(())
}

/// `backup`.
pub async fn back_up(config: &Config, wish: &Backup) -> anyhow::Result<()> {
    let wanted = backup::Wish { keys: wish.with_keys, without_objects: wish.without_objects };
    let BackedUp { database, objects, missing, keys_elsewhere } =
        backup::back_up(config, &wish.to, wanted).await?;
    let report = json!({
        "folder": wish.to, "database_bytes": database, "objects": counts(objects),
        "missing_objects": missing, "keys_elsewhere": keys_elsewhere,
    });
    let mut text = format!(
        "{} has the database ({database} bytes) and {}\n",
        wish.to.display(),
        said(objects)
    );
    if keys_elsewhere {
        let keys = config.keys.display();
        text +=
            &format!("the keys of its secrets are not in it: keep a copy of {keys} elsewhere\n");
    }
    print(wish.format, &report, &(text + &said_missing(missing)))
}

/// `restore`.
pub async fn restore(config: &Config, wish: &Restore) -> anyhow::Result<()> {
    let Restored { objects, missing } = backup::restore(config, &wish.from).await?;
    let name = &config.database.name;
    let report =
        json!({ "database": name, "objects": counts(objects), "missing_objects": missing });
    let text = format!("{name} is as it was in {}, with {}\n", wish.from.display(), said(objects));
    print(wish.format, &report, &(text + &said_missing(missing)))
}

fn counts(objects: Option<Copied>) -> serde_json::Value {
    let counts = |Copied { objects, bytes, present }| json!({ "copied": objects, "copied_bytes": bytes, "present": present });
    objects.map_or(serde_json::Value::Null, counts)
}

fn said(objects: Option<Copied>) -> String {
    let Some(Copied { objects, bytes, present }) = objects else { return "no objects".to_owned() };
    let copied = format!("{} ({bytes} bytes)", counted(objects, "object"));
    match present {
        0 => copied,
        present => format!("{copied} besides {present} already there"),
    }
}

fn said_missing(missing: u64) -> String {
    match missing {
        0 => String::new(),
        missing => format!(
            "it refers to {} missing here: with the scheduler started, multiflexi-cli \
             retention:apply --dry-run names the jobs\n",
            counted(missing, "object")
        ),
    }
}

fn print(format: ReportFormat, report: &serde_json::Value, text: &str) -> anyhow::Result<()> {
    let text = match format {
        ReportFormat::Json => format!("{report}\n"),
        ReportFormat::Text => text.to_owned(),
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn make(folders: &[impl AsRef<Path>]) -> anyhow::Result<()> {
    for folder in folders.iter().map(AsRef::as_ref) {
        folders::make(folder).map_err(|reason| {
            anyhow::anyhow!("the folder {} cannot be made: {reason}", folder.display())
        })?;
    }
    Ok(())
}
