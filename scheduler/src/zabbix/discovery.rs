//! Low-level discovery: what there is, as JSON arrays of macros, each with all of it. The
//! names of rules and macros are the PHP MultiFlexi's.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value as Json, json};

use super::phases::{application_code, created, data_item};
use crate::{
    domain::{ids::RunTemplateId, job::State, schedule::Rhythm},
    store::{
        JobFilter, JobPage, Listed, MAX_PAGE, Store, StoreError, Watched, WatchedAction,
        WatchedCompany,
    },
};

/// The kind of action that sends a job's result.
pub const ACTION: &str = "Zabbix";

/// What is discovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Companies.
    Company,
    /// Run templates.
    RunTemplate,
    /// Agents.
    Agent,
    /// Run templates with their actions.
    Action,
}

impl Kind {
    /// The key of its discovery rule.
    pub fn key(self) -> &'static str {
        match self {
            Self::Company => "multiflexi.company.lld",
            Self::RunTemplate => "multiflexi.runtemplate.lld",
            Self::Agent => "multiflexi.agent.lld",
            Self::Action => "multiflexi.action.lld",
        }
    }
}

/// All that there is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// Companies.
    pub companies: Vec<WatchedCompany>,
    /// Run templates.
    pub run_templates: Vec<Watched>,
    /// Ids and names of agents.
    pub agents: Vec<(i64, String)>,
    /// Actions of run templates.
    pub actions: Vec<WatchedAction>,
}

impl Inventory {
    /// What there is now.
    pub async fn of(store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            companies: store.watched_companies().await?,
            run_templates: store.watched().await?,
            agents: store.watched_agents().await?,
            actions: store.watched_actions().await?,
        })
    }

    /// Whether a run template is in it.
    pub fn has(&self, template: RunTemplateId) -> bool {
        self.run_templates.binary_search_by_key(&template, |row| row.id).is_ok()
    }

    /// What each host is told: its key, and an array. `main` is the host of what belongs to
    /// no company, and of companies that have none of their own.
    pub fn values(&self, main: &str) -> Vec<(String, Kind, String)> {
        let hosts: BTreeSet<&str> = self
            .companies
            .iter()
            .filter_map(|company| company.host.as_deref())
            .chain([main])
            .collect();
        let mut values = Vec::new();
        for host in hosts {
            let of_host = |row: &&Watched| row.company.host.as_deref().unwrap_or(main) == host;
            let rows: Vec<&Watched> = self.run_templates.iter().filter(of_host).collect();
            let mut kinds = vec![
                (Kind::RunTemplate, run_templates(&rows, main)),
                (Kind::Action, actions(&rows, &self.actions)),
            ];
            if host == main {
                kinds.push((Kind::Company, companies(&self.companies, main)));
                kinds.push((Kind::Agent, agents(&self.agents)));
            }
            let value = |(kind, rows): (Kind, Vec<Json>)| (host.to_owned(), kind, text(&rows));
            values.extend(kinds.into_iter().map(value));
        }
        values
    }

    /// All of a kind, whichever host it is of.
    pub fn all(&self, kind: Kind, main: &str) -> String {
        let rows: Vec<&Watched> = self.run_templates.iter().collect();
        text(&match kind {
            Kind::Company => companies(&self.companies, main),
            Kind::RunTemplate => run_templates(&rows, main),
            Kind::Agent => agents(&self.agents),
            Kind::Action => actions(&rows, &self.actions),
        })
    }
}

/// The jobs that have not ended, as Zabbix was told each when it was created.
pub async fn jobs(store: &Store) -> Result<String, StoreError> {
    let templates = store.watched().await?;
    let waits = State::ALL.into_iter().filter(|state| !state.is_terminal());
    let filter = JobFilter { states: waits.collect(), ascending: true, ..JobFilter::default() };
    let mut page = JobPage { size: i64::from(MAX_PAGE), after: None };
    let mut found = Vec::new();
    loop {
        let Listed { rows, next } = store.jobs(&filter, page).await?;
        for row in &rows {
            let place = templates.binary_search_by_key(&row.run_template.0, |row| row.id);
            let template = place.ok().and_then(|place| templates.get(place));
            found.extend(template.map(|template| created(row.id, template)));
        }
        match rows.last() {
            Some(last) if !next.is_empty() => page.after = Some((last.id.0, last.id.0)),
            _ => return Ok(text(&found)),
        }
    }
}

fn text(rows: &[Json]) -> String {
    json!(rows).to_string()
}

fn companies(rows: &[WatchedCompany], main: &str) -> Vec<Json> {
    let company = |row: &WatchedCompany| {
        json!({
            "{#COMPANY_ID}": row.id.0,
            "{#COMPANY_NAME}": row.name,
            "{#COMPANY_CODE}": row.code,
            "{#COMPANY_SERVER}": row.host.as_deref().unwrap_or(main),
        })
    };
    rows.iter().map(company).collect()
}

fn run_templates(rows: &[&Watched], main: &str) -> Vec<Json> {
    let template = |row: &&Watched| {
        json!({
            "{#RUNTEMPLATE}": row.id.0,
            "{#RUNTEMPLATE_NAME}": row.name,
            "{#ACTIVE}": i32::from(row.active),
            "{#APPNAME}": row.application.1,
            "{#APPNAME_CODE}": application_code(row),
            "{#APPNAME_UUID}": row.definition.uuid.as_deref().unwrap_or_default(),
            "{#INTERVAL}": row.interval.code(),
            "{#INTERVAL_SECONDS}": row.interval.seconds(),
            "{#SCHEDULED}": i32::from(row.scheduled),
            "{#SUCCESS_WITHIN}": success_within(row),
            "{#COMPANY_ID}": row.company.id.0,
            "{#COMPANY_NAME}": row.company.name,
            "{#COMPANY_CODE}": row.company.code,
            "{#COMPANY_SERVER}": row.company.host.as_deref().unwrap_or(main),
            "{#DATA_ITEM}": data_item(row),
        })
    };
    rows.iter().map(template).collect()
}

/// In which time a run template should have a success, as Zabbix writes times: one may fail and
/// the next take a while.
fn success_within(row: &Watched) -> String {
    let pause = Rhythm::new(row.interval, &row.cron).ok().and_then(|it| it.longest_pause());
    let minutes = pause.unwrap_or_default().as_secs().div_ceil(60) * 2 + 60;
    match minutes {
        ..120 => format!("{minutes}m"),
        _ => format!("{}h", minutes.div_ceil(60)),
    }
}

fn agents(rows: &[(i64, String)]) -> Vec<Json> {
    let agent = |(id, name): &(i64, String)| json!({ "{#AGENT_ID}": id, "{#AGENT_NAME}": name });
    rows.iter().map(agent).collect()
}

fn actions(rows: &[&Watched], actions: &[WatchedAction]) -> Vec<Json> {
    let mut of: HashMap<RunTemplateId, Vec<&WatchedAction>> = HashMap::new();
    for action in actions {
        of.entry(action.run_template).or_default().push(action);
    }
    let template = |row: &&Watched| {
        let following = |end: usize| {
            of.get(&row.id).into_iter().flatten().filter(move |action| action.follows[end])
        };
        let kinds = |end: usize| {
            let kinds: Vec<&str> = following(end).map(|action| action.kind.as_str()).collect();
            kinds.join(",")
        };
        let key = |end: usize| {
            let zabbix = following(end).find(|action| action.kind == ACTION);
            let key = zabbix.map(|action| action.key.clone().unwrap_or_else(|| result_key(row)));
            key.unwrap_or_default()
        };
        let keys = [0, 1].map(key);
        json!({
            "{#RUN_TEMPLATE_ID}": row.id.0,
            "{#RUN_TEMPLATE_NAME}": row.name,
            "{#COMPANY_ID}": row.company.id.0,
            "{#COMPANY_NAME}": row.company.name,
            "{#APP_ID}": row.application.0.0,
            "{#APP_NAME}": row.application.1,
            "{#SUCCESS_ACTIONS}": kinds(0),
            "{#FAIL_ACTIONS}": kinds(1),
            "{#ZABBIX_KEY_SUCCESS}": keys[0],
            "{#ZABBIX_KEY_FAIL}": keys[1],
            "{#ZABBIX_KEY}": keys.iter().find(|key| !key.is_empty()).map_or("", String::as_str),
        })
    };
    rows.iter().map(template).collect()
}

/// What is between the brackets of the key of a run template's result, if its action is told
/// no other.
pub(super) fn result_key(template: &Watched) -> String {
    format!("{}-data", data_item(template))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ids::CompanyId, schedule::Interval},
        zabbix::phases::tests::template,
    };

    fn action(kind: &str, follows: [bool; 2]) -> WatchedAction {
        WatchedAction { run_template: RunTemplateId(7), kind: kind.to_owned(), follows, key: None }
    }

    fn inventory() -> Inventory {
        let mut other = template(8, "B");
        other.company.host = Some("branch".to_owned());
        let elsewhere = WatchedCompany {
            id: CompanyId(2),
            host: Some("branch".to_owned()),
            ..other.company.clone()
        };
        Inventory {
            companies: vec![template(7, "A").company, elsewhere],
            run_templates: vec![template(7, "A"), other],
            agents: vec![(1, "north".to_owned())],
            actions: vec![action("Reschedule", [true, true]), action(ACTION, [false, true])],
        }
    }

    #[test]
    fn each_host_is_told_all_that_is_its_own() {
        let values = inventory().values("main");
        let find = |host: &str, kind: Kind| {
            let found = values.iter().find(|(of, this, _)| of == host && *this == kind);
            found.map(|(.., text)| serde_json::from_str::<Vec<Json>>(text).unwrap())
        };
        let templates = find("main", Kind::RunTemplate).unwrap();
        assert_eq!(templates.len(), 1);
        assert_eq!(templates[0]["{#DATA_ITEM}"], "acme-A-7");
        assert_eq!(templates[0]["{#SUCCESS_WITHIN}"], "3h");
        assert_eq!(find("branch", Kind::RunTemplate).unwrap()[0]["{#RUNTEMPLATE}"], 8);
        assert_eq!(find("main", Kind::Company).unwrap().len(), 2);
        assert_eq!(find("main", Kind::Agent).unwrap()[0]["{#AGENT_NAME}"], "north");
        assert_eq!(find("branch", Kind::Agent), None);
        let actions = find("main", Kind::Action).unwrap();
        assert_eq!(actions[0]["{#SUCCESS_ACTIONS}"], "Reschedule");
        assert_eq!(actions[0]["{#FAIL_ACTIONS}"], "Reschedule,Zabbix");
        assert_eq!(actions[0]["{#ZABBIX_KEY_SUCCESS}"], "");
        assert_eq!(actions[0]["{#ZABBIX_KEY_FAIL}"], "acme-A-7-data");
        assert_eq!(actions[0]["{#ZABBIX_KEY}"], "acme-A-7-data");
    }

    #[test]
    fn a_success_is_expected_within_two_pauses_and_an_hour() {
        let within = |interval, cron: &str| {
            success_within(&Watched { interval, cron: cron.to_owned(), ..template(7, "A") })
        };
        assert_eq!(within(Interval::None, ""), "60m");
        assert_eq!(within(Interval::Minute, ""), "62m");
        assert_eq!(within(Interval::Day, ""), "49h");
        assert_eq!(within(Interval::Cron, "0 6 * * MON-FRI"), "145h");
    }

    #[test]
    fn all_of_a_kind_are_listed_whichever_host_they_are_of() {
        let all: Vec<Json> =
            serde_json::from_str(&inventory().all(Kind::RunTemplate, "main")).unwrap();
        assert_eq!(all.len(), 2);
        assert!(inventory().has(RunTemplateId(8)) && !inventory().has(RunTemplateId(9)));
        assert_eq!(Inventory::default().all(Kind::Agent, "main"), "[]");
    }
}
