//! Companies, applications and run templates.

use std::time::Duration;

use multiflexi_scheduler::{
    domain::ids::{CompanyId, RunTemplateId},
    store::{CreateCompany, Page, StoreError},
};

use crate::{
    databases::{Database, open},
    world::{self, World},
};

pub async fn names_are_unique_and_unknown_ids_are_named(database: Box<dyn Database>) {
    let store = open(database.as_ref()).await;
    let create =
        || store.change(CreateCompany { name: "Acme 'n' \"Co\"".to_owned(), ..Default::default() });
    let company = create().await.unwrap();
    assert_eq!(store.company(company.id).await.unwrap(), company);
    let again = create().await.unwrap_err();
    assert!(matches!(again, StoreError::AlreadyExists { what: "company", .. }), "{again}");
    let unknown = store.company(CompanyId(99)).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no company 99");
    let unknown = store.run_template(RunTemplateId(99)).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no run template 99");
}

pub async fn run_templates_keep_their_variables(database: Box<dyn Database>) {
    let store = open(database.as_ref()).await;
    let id = world::template(&store, "import", "--day {A}", Duration::from_secs(60)).await;
    let template = store.run_template(id).await.unwrap().template;
    assert_eq!(template.environment["B"], "'\"\n");
    assert_eq!(template.cmdparams, "--day {A}");
    assert_eq!(template.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(template.company_name, "company of import");
}

pub async fn lists_are_paged_without_gaps(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let created = world.queued(25).await;
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = Page::parse(10, &token).unwrap();
        let rows = world.store.jobs(&Default::default(), page).await.unwrap();
        seen.extend(rows.iter().map(|row| row.id));
        token = page.next(&rows, |row| row.id.0);
        if token.is_empty() {
            break;
        }
    }
    seen.reverse();
    assert_eq!(seen, created);
}
