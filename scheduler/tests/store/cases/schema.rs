//! The schema's version, and changes that are refused.

use multiflexi_scheduler::store::{CreateCompany, Store};

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
