//! What applications declare secret after it was stored.

use std::{collections::BTreeSet, sync::Arc};

use multiflexi_scheduler::{
    domain::{
        application::{self, Change, Definition},
        credential_type,
        environment::{Given, VariableChange, Variables},
        ids::{CompanyId, JobId, RunTemplateId},
    },
    store::{
        CreateJobs, CreateRunTemplate, NewJobs, NewRunTemplate, Put, PutApplication,
        PutCredentialType, Reseal, SealDeclared, SealDefinitions, Sealing, Start, Store,
        UpdateCompany,
    },
};

use sqlx::{AssertSqlSafe, Connection as _};

use crate::{
    databases::{Database, open_with_keys},
    world::new_template,
};

/// More than are sealed in one step.
const JOBS: u32 = 450;

fn definition(name: &str, kind: &str) -> Arc<Definition> {
    let document = serde_json::json!({
        "name": name,
        "description": "A test.",
        "executable": "/bin/true",
        "environment": { "KEY": { "type": kind }, "OTHER": { "type": "string" } },
    });
    Arc::new(application::parse(&document.to_string()).unwrap())
}

fn variables() -> Given {
    let pairs = [("KEY", "open sesame"), ("OTHER", "plain")];
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect::<Variables>()
        .into()
}

/// A run template, its company with variables, and jobs with the same.
async fn world(store: &Store, name: &str) -> (CompanyId, RunTemplateId, Vec<JobId>) {
    let new = new_template(store, name, "").await;
    let company = new.company;
    let put = PutApplication { id: None, definition: definition(name, "string"), replace: false };
    let application = store.change(put).await.unwrap().id();
    let new = NewRunTemplate { application, environment: variables(), ..new };
    let run_template = store.change(CreateRunTemplate(new)).await.unwrap();
    let environment = VariableChange { set: variables(), unset: Vec::new() };
    store.change(UpdateCompany { environment, ..UpdateCompany::of(company) }).await.unwrap();
    let jobs = NewJobs {
        run_template,
        company: None,
        environment: variables(),
        count: JOBS,
        queue: false,
        request_id: None,
        by: String::new(),
        start: Start::AtOnce,
        priority: None,
        slot: None,
    };
    (company, run_template, store.change(CreateJobs(jobs)).await.unwrap())
}

async fn declare(store: &Store, name: &str) {
    let definition = definition(name, "password");
    store.change(PutApplication { id: None, definition, replace: true }).await.unwrap();
}

/// How many of these jobs have a sealed key.
async fn sealed(store: &Store, jobs: &[JobId]) -> usize {
    let mut sealed = 0;
    for job in jobs {
        let environment = store.job(*job).await.unwrap().environment;
        assert_eq!(environment.values, variables().values, "the values are the same");
        assert!(!environment.secret.contains("OTHER"));
        sealed += usize::from(environment.secret.contains("KEY"));
    }
    sealed
}

pub async fn what_becomes_secret_is_sealed_in_steps_that_outlive_a_kill(
    database: Box<dyn Database>,
) {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with_keys(database.as_ref(), folder.path()).await;
    assert_eq!(store.change(SealDeclared).await.unwrap(), Sealing::Nothing);
    let (company, template, jobs) = world(&store, "ours").await;
    let (others_company, _, others) = world(&store, "theirs").await;
    declare(&store, "ours").await;
    let key: BTreeSet<String> = ["KEY".to_owned()].into();
    let of_template = store.run_template(template).await.unwrap().template.environment;
    assert_eq!(of_template.secret, key, "the run template's at once");
    assert_eq!(sealed(&store, &jobs).await, 0);
    assert_eq!(store.change(SealDeclared).await.unwrap(), Sealing::More);
    assert_eq!(store.company(company).await.unwrap().environment.secret, key);
    let mut before = 0;
    for _ in 0..2 {
        assert_eq!(store.change(SealDeclared).await.unwrap(), Sealing::More);
        let now = sealed(&store, &jobs).await;
        assert!(now > before && now - before <= 200, "{now} after {before}");
        before = now;
    }

    // Nobody has closed the first one.
    let again = open_with_keys(database.as_ref(), folder.path()).await;
    let whole = loop {
        match again.change(SealDeclared).await.unwrap() {
            Sealing::Whole(whole) => break whole,
            step => assert_eq!(step, Sealing::More),
        }
    };
    assert_eq!(sealed(&again, &jobs).await, jobs.len());
    assert_eq!(sealed(&again, &others).await, 0, "another application has not declared it");
    assert!(again.company(others_company).await.unwrap().environment.secret.is_empty());
    again.erase_deleted().await.unwrap();
    assert!(matches!(again.change(SealDeclared).await.unwrap(), Sealing::Whole(_)));
    again.change(whole).await.unwrap();
    assert_eq!(again.change(SealDeclared).await.unwrap(), Sealing::Nothing);
    // What declares nothing new starts nothing.
    let change = Change { version: Some("2.0".to_owned()), ..Change::default() };
    let definition = definition("ours", "password").with(change).unwrap();
    let put = PutApplication { id: None, definition: Arc::new(definition), replace: true };
    again.change(put).await.unwrap();
    assert_eq!(again.change(SealDeclared).await.unwrap(), Sealing::Nothing);
}

pub async fn a_company_that_comes_later_has_secrets_too(database: Box<dyn Database>) {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with_keys(database.as_ref(), folder.path()).await;
    let key: BTreeSet<String> = ["KEY".to_owned()].into();
    let (company, _, _) = world(&store, "ours").await;
    declare(&store, "theirs").await;
    let put =
        PutApplication { id: None, definition: definition("theirs", "password"), replace: true };
    let application = store.change(put).await.unwrap().id();
    let has = async || store.company(company).await.unwrap().environment;
    assert!(has().await.secret.is_empty(), "it has nothing to do with it");

    // A run template of that application.
    let new = new_template(&store, "other", "").await;
    let new = NewRunTemplate { application, company, ..new };
    store.change(CreateRunTemplate(new)).await.unwrap();
    assert_eq!(has().await.secret, key);
    assert_eq!(has().await.values, variables().values);
    assert!(
        !matches!(store.change(SealDeclared).await.unwrap(), Sealing::Nothing),
        "what is left of it is to be erased"
    );

    // A value that is given anew.
    let plain = VariableChange { set: variables(), unset: vec![] };
    store.change(UpdateCompany { environment: plain, ..UpdateCompany::of(company) }).await.unwrap();
    assert_eq!(has().await.secret, key);
}

pub async fn definitions_with_secrets_in_them_are_sealed(database: Box<dyn Database>) {
    let folder = tempfile::tempdir().unwrap();
    let store = open_with_keys(database.as_ref(), folder.path()).await;
    let field = |kind: &str| serde_json::json!({ "type": kind, "defval": "open sesame" });
    let document = |kind: &str| {
        let document = serde_json::json!({
            "name": format!("A {kind}"),
            "description": "A test.",
            "executable": "/bin/true",
            "environment": { "KEY": field(kind) },
        });
        Arc::new(application::parse(&document.to_string()).unwrap())
    };
    let put = async |kind: &str| {
        let put = PutApplication { id: None, definition: document(kind), replace: true };
        store.change(put).await.unwrap()
    };
    let text = serde_json::json!({
        "code": "Bank", "name": "A bank", "description": "A test.",
        "fields": [{ "keyword": "KEY", "name": "Key", "type": "password",
            "default": "open sesame" }],
    });
    let of_bank = Arc::new(credential_type::parse(&text.to_string()).unwrap());
    let put_bank = async || store.change(PutCredentialType(Arc::clone(&of_bank))).await.unwrap();
    let (secret, open, bank) = (put("password").await, put("string").await, put_bank().await);

    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(&database.location().url).await.unwrap();
    let mut stored = async |table: &str, id: i64| -> String {
        let sql = AssertSqlSafe(format!("SELECT document FROM {table} WHERE id = {id}"));
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    };
    for (table, id) in [("apps", secret.id().0), ("credential_type", bank.id().0)] {
        let stored = stored(table, id).await;
        assert!(stored.starts_with("[\"") && !stored.contains("sesame"), "{stored}");
    }
    assert!(stored("apps", open.id().0).await.contains("open sesame"));
    let reads = async |store: &Store| {
        for (put, kind) in [(secret, "password"), (open, "string")] {
            let row = store.application(put.id()).await.unwrap();
            assert_eq!(row.definition, document(kind));
        }
        assert_eq!(store.credential_type(bank.id()).await.unwrap().definition, of_bank);
    };
    reads(&store).await;
    // One that begins as nothing else does.
    let text = r#"{"key": "x", "name": "K", "description": "", "executable": "true",
        "environment": {}}"#;
    let definition = Arc::new(application::parse(text).unwrap());
    let keyed = PutApplication { id: None, definition: Arc::clone(&definition), replace: true };
    let keyed = store.change(keyed).await.unwrap().id();
    assert_eq!(store.application(keyed).await.unwrap().definition, definition);
    assert_eq!(put("password").await, Put::Unchanged(secret.id()));
    assert_eq!(put_bank().await, Put::Unchanged(bank.id()));

    // One that was stored before they were sealed.
    let plain = document("password").document().to_string();
    let sql = format!("UPDATE apps SET document = '{plain}' WHERE id = {}", secret.id());
    let before = sqlx::query(AssertSqlSafe(sql));
    let mut other = sqlx::AnyConnection::connect(&database.location().url).await.unwrap();
    before.execute(&mut other).await.unwrap();
    reads(&store).await;
    let said = store.change(SealDefinitions).await.unwrap().expect("it was never done");
    assert!(!stored("apps", secret.id().0).await.contains("sesame"));
    store.change(said).await.unwrap();
    assert!(store.change(SealDefinitions).await.unwrap().is_none(), "it is done once");

    store.vault().add_key().unwrap();
    assert_eq!(store.change(Reseal::begin()).await.unwrap().secrets, 2);
    assert_eq!(store.change(Reseal::begin()).await.unwrap().secrets, 0);
    store.vault().forget_others().unwrap();
    reads(&open_with_keys(database.as_ref(), folder.path()).await).await;
}
