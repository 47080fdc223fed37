//! Lists: filtered, sorted, and paged without gaps.

use std::sync::Arc;

use multiflexi_scheduler::{
    domain::{
        application::{self, Definition},
        ids::{AgentId, CompanyId},
        job::{FailedArtifact, State},
    },
    store::{
        About, AgentFilter, ApplicationFilter, ArtifactFilter, ArtifactRow, CancelJob,
        CompanyFilter, CreateCompany, CreateRunTemplate, DeleteCompany, JobFilter, JobOrder,
        JobPage, ListPage, NewRunTemplate, Order, PutApplication, PutArtifact, RegisterAgent,
        RunTemplateFilter, Sort, Store, Upload,
    },
};
use sqlx::{AssertSqlSafe, Connection as _};

use crate::{
    databases::{Database, open},
    world::{self, World, exited},
};

fn first(size: i32) -> ListPage {
    ListPage::parse(size, "").unwrap()
}

fn sorted(by: Order, ascending: bool) -> Sort {
    Sort { by, ascending }
}

async fn company(store: &Store, name: &str) -> CompanyId {
    let create = CreateCompany { name: name.to_owned(), ..Default::default() };
    store.change(create).await.unwrap()
}

/// Names of companies, in pages of two.
async fn companies(store: &Store, text: &str, sort: Sort) -> Vec<String> {
    let filter = CompanyFilter { name: text.to_owned(), sort };
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let page = ListPage::parse(2, &token).unwrap();
        let listed = store.companies(&filter, &page).await.unwrap();
        names.extend(listed.rows.into_iter().map(|row| row.name));
        if listed.next.is_empty() {
            return names;
        }
        token = listed.next;
    }
}

pub async fn a_list_is_filtered_and_sorted_in_pages_without_gaps(database: Box<dyn Database>) {
    let store = open(database.as_ref()).await;
    for name in ["beta", "100%", "alpha", "a_b", "gamma", "Alphabet"] {
        company(&store, name).await;
    }
    let all = ["beta", "100%", "alpha", "a_b", "gamma", "Alphabet"];
    assert_eq!(companies(&store, "", Sort::default()).await, all);
    for by in [Order::Id, Order::Created] {
        let newest = companies(&store, "", sorted(by, false)).await;
        assert!(newest.iter().eq(all.iter().rev()), "{newest:?}");
    }
    let letters = ["alpha", "beta", "gamma"];
    let by_name = companies(&store, "", sorted(Order::Name, true)).await;
    assert!(by_name.iter().filter(|name| letters.contains(&name.as_str())).eq(&letters));
    let back = companies(&store, "", sorted(Order::Name, false)).await;
    assert!(back.iter().eq(by_name.iter().rev()), "{back:?}");
    // Large and small letters are the same; no character stands for another.
    assert_eq!(companies(&store, "ALPHA", Sort::default()).await, ["alpha", "Alphabet"]);
    assert_eq!(companies(&store, "%", Sort::default()).await, ["100%"]);
    assert_eq!(companies(&store, "_", Sort::default()).await, ["a_b"]);
    assert_eq!(companies(&store, "\\", Sort::default()).await, [""; 0]);
}

pub async fn a_page_goes_on_where_a_row_has_gone(database: Box<dyn Database>) {
    let store = open(database.as_ref()).await;
    let mut ids = Vec::new();
    for name in ["d", "c", "b", "a"] {
        ids.push(company(&store, name).await);
    }
    let filter = CompanyFilter { sort: sorted(Order::Name, true), ..CompanyFilter::default() };
    let listed = store.companies(&filter, &first(2)).await.unwrap();
    assert_eq!(listed.rows[1].name, "b");
    store.change(DeleteCompany(ids[2])).await.unwrap();
    let page = ListPage::parse(2, &listed.next).unwrap();
    let rest = store.companies(&filter, &page).await.unwrap();
    let names: Vec<&str> = rest.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["c", "d"]);
}

pub async fn applications_are_found_by_what_they_say(database: Box<dyn Database>) {
    let store = open(database.as_ref()).await;
    let put = async |document: serde_json::Value| {
        let definition = application::parse(&document.to_string()).unwrap();
        let put = PutApplication { id: None, definition: Arc::new(definition), replace: true };
        store.change(put).await.unwrap()
    };
    let definition = |name: &str, executable: &str, tags: &[&str]| {
        serde_json::json!({
            "name": name,
            "description": "a test",
            "executable": executable,
            "environment": {},
            "tags": tags,
        })
    };
    put(definition("Import", "import", &["bank", "fio"])).await;
    put(definition("Export", "export", &["banking"])).await;
    let find = async |filter: ApplicationFilter| {
        let rows = store.applications(&filter, &first(0)).await.unwrap().rows;
        rows.iter().map(|row| row.definition.name.main().to_owned()).collect::<Vec<_>>()
    };
    let by_tag = |tag: &str| ApplicationFilter { tag: tag.to_owned(), ..Default::default() };
    assert_eq!(find(by_tag("bank")).await, ["Import"], "a tag is a whole word");
    assert_eq!(find(by_tag("Banking")).await, ["Export"]);
    let program =
        |name: &str| ApplicationFilter { executable: name.to_owned(), ..Default::default() };
    assert_eq!(find(program("import")).await, ["Import"]);
    assert_eq!(find(program("impor")).await, [""; 0]);
    let name = ApplicationFilter { name: "port".to_owned(), ..Default::default() };
    assert_eq!(find(name).await, ["Import", "Export"]);
    put(definition("Import", "import", &["paper"])).await;
    assert_eq!(find(by_tag("fio")).await, [""; 0], "its tags are those of now");
    let plain = Arc::new(Definition::new("Plain", "true", "").unwrap());
    store.change(PutApplication { id: None, definition: plain, replace: false }).await.unwrap();
    assert_eq!(find(ApplicationFilter::default()).await.len(), 3);
}

pub async fn run_templates_are_found_by_company_and_application(database: Box<dyn Database>) {
    let store = open(database.as_ref()).await;
    let one = world::new_template(&store, "one", "").await;
    let two = world::new_template(&store, "two", "").await;
    let mixed = NewRunTemplate { name: "mixed".to_owned(), company: two.company, ..one.clone() };
    for new in [&one, &two, &mixed] {
        store.change(CreateRunTemplate(new.clone())).await.unwrap();
    }
    let find = async |filter: RunTemplateFilter| {
        let rows = store.run_templates(&filter, &first(0)).await.unwrap().rows;
        rows.into_iter().map(|row| row.template.name).collect::<Vec<_>>()
    };
    let all = RunTemplateFilter::default;
    let (of_company, of_application) = (Some(two.company), Some(one.application));
    let filter = RunTemplateFilter { company: of_company, ..all() };
    assert_eq!(find(filter).await, ["two", "mixed"]);
    let filter = RunTemplateFilter { application: of_application, ..all() };
    assert_eq!(find(filter).await, ["one", "mixed"]);
    let filter = RunTemplateFilter { company: of_company, application: of_application, ..all() };
    assert_eq!(find(filter).await, ["mixed"]);
    let sort = sorted(Order::Name, false);
    assert_eq!(
        find(RunTemplateFilter { name: "o".to_owned(), sort, ..all() }).await,
        ["two", "one"]
    );
}

pub async fn agents_are_found_by_their_labels(database: Box<dyn Database>) {
    let store = open(database.as_ref()).await;
    let register = async |name: &str, labels: &[(&str, &str)]| -> AgentId {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let register = RegisterAgent {
            name: name.to_owned(),
            instance: "first".to_owned(),
            boot: "monday".to_owned(),
            slots: 4,
            version: "1".to_owned(),
            labels: labels.collect(),
        };
        store.change(register).await.unwrap().id
    };
    let a = register("a", &[("os", "debian"), ("a.b \"c'", "1")]).await;
    register("b", &[("os", "alpine")]).await;
    register("c", &[]).await;
    let find = async |filter: AgentFilter| {
        let rows = store.agents(&filter, &first(0)).await.unwrap().rows;
        rows.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    let labels = |labels: &[(&str, Option<&str>)]| AgentFilter {
        labels: labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
            .collect(),
        ..AgentFilter::default()
    };
    assert_eq!(find(labels(&[("os", None)])).await, ["a", "b"]);
    assert_eq!(find(labels(&[("os", Some("alpine"))])).await, ["b"]);
    assert_eq!(find(labels(&[("os", None), ("a.b \"c'", Some("1"))])).await, ["a"]);
    assert_eq!(find(labels(&[("o%", None)])).await, [""; 0]);
    let among = |among| AgentFilter { among: Some((among, vec![a])), ..AgentFilter::default() };
    assert_eq!(find(among(true)).await, ["a"]);
    assert_eq!(find(among(false)).await, ["b", "c"]);
    let sort = sorted(Order::Name, false);
    assert_eq!(find(AgentFilter { sort, ..AgentFilter::default() }).await, ["c", "b", "a"]);
}

/// Names of artifacts on the first page, with its token.
async fn artifacts(store: &Store, filter: &ArtifactFilter) -> (Vec<String>, String) {
    let listed = store.artifacts(filter, &first(3)).await.unwrap();
    let name = |row: ArtifactRow| format!("{} {}", row.job, row.filename);
    (listed.rows.into_iter().map(name).collect(), listed.next)
}

pub async fn artifacts_of_all_jobs_are_found(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let store = &world.store;
    for (filename, content_type) in [("one.pdf", "application/pdf"), ("two.csv", "text/csv")] {
        let key = world.running().await;
        let put = PutArtifact {
            upload: Upload { key, filename: filename.to_owned(), size: 1 },
            about: About { content_type: content_type.to_owned(), note: String::new() },
            sha256: [9; 32],
            content: b"1".to_vec(),
        };
        store.change(put).await.unwrap();
        let mut completion = exited(key, 0);
        let reason = "no regular file".to_owned();
        completion.failed_artifacts =
            vec![FailedArtifact { filename: format!("{filename}.fifo"), reason }];
        assert!(world.end(completion, None).await);
    }
    let all = || ArtifactFilter { sort: Sort::NEWEST, ..ArtifactFilter::default() };
    let (names, token) = artifacts(store, &all()).await;
    assert!(names.iter().all(|name| name.starts_with("2 ")), "{names:?}");
    let page = ListPage::parse(3, &token).unwrap();
    assert_eq!(store.artifacts(&all(), &page).await.unwrap().rows[0].filename, "two.csv");
    let pdf = ArtifactFilter { content_type: "application/pdf".to_owned(), ..all() };
    assert_eq!(artifacts(store, &pdf).await.0, ["1 one.pdf"]);
    let text = ArtifactFilter { content_type: "text/plain".to_owned(), ..all() };
    assert_eq!(artifacts(store, &text).await.0.len(), 3, "stdout.txt and stderr.txt");
    let failed = ArtifactFilter { failed: Some(true), ..all() };
    assert_eq!(artifacts(store, &failed).await.0, ["2 two.csv.fifo", "1 one.pdf.fifo"]);
    let name = ArtifactFilter { name: "CSV".to_owned(), failed: Some(false), ..all() };
    assert_eq!(artifacts(store, &name).await.0, ["2 two.csv"]);
    let sort = sorted(Order::Name, true);
    let by_name = ArtifactFilter { sort, ..ArtifactFilter::default() };
    let refused = store.artifacts(&by_name, &first(3)).await.unwrap_err().to_string();
    assert!(refused.contains("sorted by id"), "{refused}");
    let page = JobPage::parse(1, "").unwrap();
    let newest = store.jobs(&JobFilter::default(), page).await.unwrap().rows[0].id;
    let of_job = ArtifactFilter { job: Some(newest), ..by_name };
    assert_eq!(artifacts(store, &of_job).await.0, ["2 stderr.txt", "2 stdout.txt", "2 two.csv"]);
}

pub async fn what_is_rare_is_found_in_pages_that_end(database: Box<dyn Database>) {
    let world = World::new(database).await;
    let key = world.running().await;
    assert!(world.end(exited(key, 0), None).await);
    // More than is looked at for a page; what is looked for is the oldest.
    let rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 142) \
                SELECT a.i * 1000 + b.i AS i FROM n a, n b";
    let sql = format!(
        "INSERT INTO artifacts (job_id, attempt, source, filename, content_type, size, note, \
         state, created) SELECT {}, 1, 'file', 'f' || i, 'text/csv', 0, '', \
         'stored', 1 FROM ({rows}) AS numbers",
        key.job
    );
    sqlx::any::install_default_drivers();
    let mut connection =
        sqlx::AnyConnection::connect(&world.database.location().url).await.unwrap();
    sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    let filter = ArtifactFilter {
        name: "stdout".to_owned(),
        sort: Sort::NEWEST,
        ..ArtifactFilter::default()
    };
    let (names, token) = artifacts(&world.store, &filter).await;
    assert_eq!(names, [""; 0]);
    let page = ListPage::parse(3, &token).unwrap();
    let listed = world.store.artifacts(&filter, &page).await.unwrap();
    assert_eq!(listed.rows.len(), 1);
    assert_eq!(listed.next, "");
}

/// Ids of the jobs that a list has, in pages of two.
async fn jobs(store: &Store, filter: &JobFilter) -> Vec<i64> {
    let (mut ids, mut token) = (Vec::new(), String::new());
    loop {
        let listed = store.jobs(filter, JobPage::parse(2, &token).unwrap()).await.unwrap();
        ids.extend(listed.rows.iter().map(|row| row.id.0));
        if listed.next.is_empty() {
            return ids;
        }
        token = listed.next;
    }
}

pub async fn jobs_are_found_by_several_things_at_once(database: Box<dyn Database>) {
    let mut world = World::new(database).await;
    let other = world::new_template(&world.store, "other", "").await;
    let other = world.store.change(CreateRunTemplate(other)).await.unwrap();
    for template in [world.template, other] {
        world.template = template;
        for code in [0, 3, 0, 1, 3] {
            let key = world.running().await;
            assert!(world.end(exited(key, code), None).await);
        }
        let waits = world.queued(1).await[0];
        let by = String::new();
        world.store.change(CancelJob { job: waits, by }).await.unwrap();
        world.running().await;
        world.queued(1).await;
    }
    let store = &world.store;
    let rows =
        store.jobs(&JobFilter::default(), JobPage::parse(0, "").unwrap()).await.unwrap().rows;
    assert_eq!(rows.len(), 16);
    let template = store.run_template(other).await.unwrap().template;
    let states = [
        vec![],
        vec![State::Failed],
        vec![State::Failed, State::Cancelled],
        vec![State::Running],
        vec![State::Queued, State::Failed],
        vec![State::Succeeded],
    ];
    for states in states {
        for exit_code in [None, Some(0), Some(3)] {
            for owner in 0..4 {
                for agent in [true, false] {
                    for order in [JobOrder::Id, JobOrder::Created, JobOrder::Ended] {
                        let filter = JobFilter {
                            states: states.clone(),
                            exit_code,
                            run_template: (owner == 1).then_some(other),
                            company: (owner == 2).then_some(template.company),
                            application: (owner == 3).then_some(template.application),
                            agent: agent.then_some(world.agent),
                            order,
                            ascending: owner == 1,
                            ..JobFilter::default()
                        };
                        let wanted = rows.iter().filter(|row| {
                            (states.is_empty() || states.contains(&row.state))
                                && exit_code.is_none_or(|code| row.exit_code == Some(code))
                                && (owner == 0 || row.run_template.0 == other)
                                && (!agent || row.agent.is_some())
                                && (order != JobOrder::Ended || row.ended.is_some())
                        });
                        let mut wanted: Vec<_> = wanted
                            .map(|row| match order {
                                JobOrder::Id => (0, row.id.0),
                                JobOrder::Created => (row.created, row.id.0),
                                JobOrder::Ended => (row.ended.unwrap_or_default(), row.id.0),
                            })
                            .collect();
                        wanted.sort_unstable();
                        if !filter.ascending {
                            wanted.reverse();
                        }
                        let wanted: Vec<i64> = wanted.into_iter().map(|(_, id)| id).collect();
                        assert_eq!(jobs(store, &filter).await, wanted, "{filter:?}");
                    }
                }
            }
        }
    }
}
