//! The schema's version, and changes that are refused.

use multiflexi_scheduler::{
    domain::{
        ids::{JobId, RunTemplateId},
        job::State,
    },
    store::{CreateCompany, Store, lacks, upgrade_database},
};
use sqlx::{
    Connection as _, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::databases::{Database, open};

pub async fn a_newer_schema_is_refused(database: Box<dyn Database>) {
    open(database.as_ref()).await.close().await;
    let location = database.location();
    let pool = sqlx::AnyPool::connect(&location.url).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations \
         (version, description, installed_on, success, checksum, execution_time) \
         SELECT 999, 'from the future', installed_on, success, checksum, 1 \
         FROM _sqlx_migrations WHERE version = 1",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let error = Store::open(&location, crate::databases::no_keys()).await.unwrap_err().to_string();
    assert!(error.contains("999") && error.contains("newer program"), "{error}");
}

/// What an earlier start that failed has left in a database of others.
const LEFT: &str = "INSERT INTO _sqlx_migrations \
    (version, description, success, checksum, execution_time) VALUES (1, 'initial', false, 'x', 1)";

pub async fn a_database_of_others_is_refused_and_stays_as_it_is(database: Box<dyn Database>) {
    sqlx::any::install_default_drivers();
    let location = database.location();
    let mut theirs = sqlx::AnyConnection::connect(&location.url).await.unwrap();
    let refused = async |words: &[&str]| {
        let opened = Store::open(&location, crate::databases::no_keys()).await.map(drop);
        let upgraded = upgrade_database(&location).await.map(drop);
        for refused in [opened, upgraded, lacks(&location).await.map(drop)] {
            let error = refused.unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
            assert!(!error.contains("create it again"), "{error}");
        }
    };
    sqlx::raw_sql("CREATE TABLE other (id INTEGER)").execute(&mut theirs).await.unwrap();
    refused(&["the table other", "DB_DATABASE"]).await;
    let php = "CREATE TABLE company (id INTEGER); CREATE TABLE runtemplate (id INTEGER)";
    sqlx::raw_sql(php).execute(&mut theirs).await.unwrap();
    refused(&["PHP MultiFlexi", "`import-multiflexi`"]).await;
    let history = "SELECT COUNT(*) FROM _sqlx_migrations";
    let history = sqlx::raw_sql(history).execute(&mut theirs).await;
    assert!(history.is_err(), "nothing was written into it");

    let nothing = Migrator::with_migrations(Vec::new());
    nothing.run_direct(None, &mut theirs, false).await.unwrap();
    refused(&["PHP MultiFlexi", "drop the table _sqlx_migrations"]).await;
    sqlx::raw_sql(LEFT).execute(&mut theirs).await.unwrap();
    refused(&["PHP MultiFlexi", "drop the table _sqlx_migrations"]).await;
}

pub async fn refused_changes_do_not_spoil_their_neighbours(database: Box<dyn Database>) {
    let store = open(database.as_ref()).await;
    let create = |name: &str| {
        store.begin_change(CreateCompany { name: name.to_owned(), ..Default::default() })
    };
    let (one, twin, two) = tokio::join!(create("one"), create("one"), create("two"));
    let (one, twin, two) = tokio::join!(one.unwrap(), twin.unwrap(), two.unwrap());
    assert!(one.is_ok() && two.is_ok());
    assert!(twin.is_err());
}

/// The steps of a database's schema, the files of its folder in order.
fn steps(url: &str) -> Vec<Migration> {
    let name = match url.split_once(':').unwrap().0 {
        "sqlite" => "sqlite",
        "mysql" | "mariadb" => "mysql",
        _ => "postgres",
    };
    let folder = format!("{}/../migrations/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let steps = (1..).zip(files).map(|(version, file)| {
        let name = file.file_stem().unwrap().to_string_lossy()[5..].to_owned();
        let sql = sqlx::AssertSqlSafe(std::fs::read_to_string(&file).unwrap()).into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    steps.collect()
}

/// What every version can hold.
const DATA: &str = "\
    INSERT INTO company (id, name, created) VALUES (7, 'Acme', 1);
    INSERT INTO apps (id, name, executable, cmdparams, tags, document, revision, created) VALUES \
      (3, 'Echo', 'echo', '', '', \
       '{\"name\":\"Echo\",\"description\":\"\",\"executable\":\"echo\",\"environment\":{}}', 1, 1);
    INSERT INTO runtemplate (id, app_id, company_id, name, grace_ms, lost_after_ms, max_attempts, \
      retry_on, retry_backoff, retry_min_gap_ms, retry_max_gap_ms, overflow, priority, created) \
      VALUES (5, 3, 7, 'Daily', 10000, 600000, 1, '[]', 'none', 0, 0, 'block', 0, 1);
    INSERT INTO job (id, runtemplate_id, app_id, company_id, env, state, request_index, \
      created_by, created, queued, ended, priority) VALUES \
      (11, 5, 3, 7, '{}', 'succeeded', 0, 'somebody', 1, 2, 3, 0), \
      (12, 5, 3, 7, '{}', 'loaded', 0, 'somebody', 4, NULL, NULL, 0);";

pub async fn every_earlier_schema_is_brought_up_to_date_with_its_data(
    mut fresh: impl FnMut() -> Box<dyn Database>,
) {
    for version in 1.. {
        let database = fresh();
        let location = database.location();
        let steps = steps(&location.url);
        if version == steps.len() {
            break;
        }
        sqlx::any::install_default_drivers();
        let mut old = sqlx::AnyConnection::connect(&location.url).await.unwrap();
        let migrator = Migrator::with_migrations(steps[..version].to_vec());
        migrator.run_direct(None, &mut old, false).await.unwrap();
        sqlx::raw_sql(DATA).execute(&mut old).await.unwrap();
        old.close().await.unwrap();

        let store = open(database.as_ref()).await;
        let job = store.job(JobId(11)).await.unwrap();
        assert_eq!((job.state, job.ended, job.slot), (State::Succeeded, Some(3), None));
        assert_eq!(job.run_template.1, "Daily");
        let schedule = store.schedule(RunTemplateId(5)).await.unwrap();
        assert!(schedule.schedule.rhythm.is_none() && schedule.next.is_none());
        // What was there goes on from now.
        let before = store.last_event().await.unwrap();
        store.change(crate::world::queue(JobId(12))).await.unwrap();
        let events = store.events(before, 10).await.unwrap().events;
        assert_eq!((events[0].job, events[0].state), (JobId(12), State::Queued));
        store.close().await;
    }
}
