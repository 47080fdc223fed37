//! Companies, applications and run templates.

use std::time::Duration;

use multiflexi_scheduler::{
    domain::{
        environment::{Given, VariableChange, Variables},
        ids::{CompanyId, RunTemplateId},
        job::Template,
    },
    store::{
        CreateCompany, DeleteCompany, DeleteJob, DeleteRunTemplate, JobPage, StoreError,
        UpdateCompany, UpdateRunTemplate,
    },
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
    let company = store.company(company).await.unwrap();
    assert_eq!(company.name, "Acme 'n' \"Co\"");
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
    assert_eq!(template.environment.values["B"], "'\"\n");
    assert_eq!(template.definition.cmdparams, "--day {A}");
    assert_eq!(template.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(template.company_name, "company of import");
}

pub async fn lists_are_paged_without_gaps(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let created = world.queued(25).await;
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = JobPage::parse(10, &token).unwrap();
        let listed = world.store.jobs(&Default::default(), page).await.unwrap();
        seen.extend(listed.rows.iter().map(|row| row.id));
        token = listed.next;
        if token.is_empty() {
            break;
        }
    }
    seen.reverse();
    assert_eq!(seen, created);
}

pub async fn what_is_changed_is_changed_and_the_rest_stays(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let store = &world.store;
    let variables = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Given::from(pairs.collect::<Variables>())
    };
    let before = store.run_template(world.template).await.unwrap().template;
    let environment =
        VariableChange { set: variables(&[("A", "new"), ("C", "")]), unset: vec!["B".to_owned()] };
    let update = UpdateRunTemplate {
        name: Some("renamed".to_owned()),
        environment: environment.clone(),
        timeout: Some(None),
        priority: Some(-3),
        ..UpdateRunTemplate::of(world.template)
    };
    store.change(update).await.unwrap();
    let after = store.run_template(world.template).await.unwrap().template;
    let expected = Template {
        name: "renamed".to_owned(),
        environment: variables(&[("A", "new"), ("C", "")]),
        timeout: None,
        priority: -3,
        ..before.clone()
    };
    assert_eq!(after, expected);

    let set = variables(&[("A", "one"), ("B", "two")]);
    let change = VariableChange { set, unset: Vec::new() };
    let first = UpdateCompany { environment: change, ..UpdateCompany::of(before.company) };
    store.change(first).await.unwrap();
    let slug = Some(Some("acme".to_owned()));
    let second = UpdateCompany { slug, environment, ..UpdateCompany::of(before.company) };
    store.change(second).await.unwrap();
    let company = store.company(before.company).await.unwrap();
    assert_eq!(company.name, before.company_name);
    assert_eq!(company.slug.as_deref(), Some("acme"));
    assert_eq!(company.environment, variables(&[("A", "new"), ("C", "")]));
    let taken = CreateCompany {
        name: "other".to_owned(),
        slug: Some("acme".to_owned()),
        ..CreateCompany::default()
    };
    assert!(store.change(taken).await.unwrap_err().to_string().contains("acme"));
    let nobody = UpdateRunTemplate::of(RunTemplateId(999));
    assert!(store.change(nobody).await.unwrap_err().to_string().contains("999"));
}

pub async fn what_something_depends_on_is_not_deleted(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let store = &world.store;
    let company = store.run_template(world.template).await.unwrap().template.company;
    let jobs = world.queued(2).await;
    let error =
        store.change(DeleteRunTemplate { id: world.template, cascade: false }).await.unwrap_err();
    assert!(error.to_string().contains("has 2 jobs"), "{error}");
    let error = store.change(DeleteCompany(company)).await.unwrap_err();
    assert!(error.to_string().contains("has 1 run template:"), "{error}");
    for job in jobs {
        store.change(DeleteJob(job)).await.unwrap();
    }
    store.change(DeleteRunTemplate { id: world.template, cascade: false }).await.unwrap();
    store.change(DeleteCompany(company)).await.unwrap();
    assert!(store.company(company).await.is_err());
    assert!(store.change(DeleteCompany(company)).await.is_err());
}
