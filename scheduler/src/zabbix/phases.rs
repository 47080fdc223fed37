//! What a change of a job's state says to Zabbix: the phases `created`, `jobStart` and
//! `jobDone`, under the keys and with the fields of the PHP MultiFlexi, and some of ours.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value as Json, json};

use super::protocol::Value;
use crate::{
    domain::{exit_code, ids::JobId, job::State},
    store::{JobFacts, Told, Watched},
};

/// The item that hears of each job when it is created.
pub const CREATED: &str = "multiflexi.job.lld";

/// A phase in a job's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It was created.
    Created,
    /// An attempt has started.
    Started,
    /// It has ended for good.
    Done,
}

/// The phase that an event begins, if it begins one.
pub fn phase(told: &Told) -> Option<Phase> {
    match told.event.state {
        State::Loaded => Some(Phase::Created),
        State::Queued if told.event.attempt == 0 => {
            // One that was loaded first is not created again.
            let at_once = |job: &JobFacts| job.entered.is_none_or(|entered| entered <= job.created);
            told.job.as_ref().is_none_or(at_once).then_some(Phase::Created)
        }
        State::Running => Some(Phase::Started),
        state if state.is_terminal() => Some(Phase::Done),
        _ => None,
    }
}

/// The code by which keys name an application: what a key can hold of it.
pub fn application_code(template: &Watched) -> String {
    let code = template.definition.code.as_deref().unwrap_or_default();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    code.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

/// What the items of a run template are told apart by.
pub fn data_item(template: &Watched) -> String {
    format!("{}-{}-{}", template.company.code, application_code(template), template.id)
}

/// The value that a phase is told as, of the time `stamp`. `main` is the host of companies
/// that have none of their own, `traceparent` what the job's trace is if it has one.
pub fn value(
    phase: Phase,
    (told, traceparent): (&Told, Option<&str>),
    template: &Watched,
    stamp: i64,
    main: &str,
) -> Value {
    let host = template.company.host.as_deref().unwrap_or(main);
    match phase {
        Phase::Created => {
            let text = json!([created(told.event.job, template)]).to_string();
            Value::new(host, CREATED.to_owned(), text, stamp)
        }
        Phase::Started | Phase::Done => {
            let key = format!("job-[{}]", data_item(template));
            let mut fields = fields(phase, told, template);
            let trace =
                traceparent.map(|traceparent| ("traceparent".to_owned(), traceparent.into()));
            fields.extend(trace);
            Value::new(host, key, Json::Object(fields).to_string(), stamp)
        }
    }
}

/// What is said of a job when it is created.
pub fn created(job: JobId, template: &Watched) -> Json {
    json!({
        "{#PHASE}": "created",
        "{#JOB_ID}": job.0,
        "{#APP_ID}": template.application.0.0,
        "{#APP_NAME}": template.application.1,
        "{#COMPANY_ID}": template.company.id.0,
        "{#COMPANY_NAME}": template.company.name,
        "{#COMPANY_CODE}": template.company.code,
        "{#RUNTEMPLATE_ID}": template.id.0,
        "{#RUNTEMPLATE_NAME}": template.name,
        "{#EXECUTOR}": "Native",
    })
}

fn fields(phase: Phase, told: &Told, template: &Watched) -> Map<String, Json> {
    let (event, facts) = (&told.event, told.job.clone().unwrap_or_default());
    let begin = facts.started.or((phase == Phase::Started).then_some(event.at));
    let mut fields = Map::new();
    let mut put = |name: &str, value: Json| drop(fields.insert(name.to_owned(), value));
    put("phase", if phase == Phase::Started { "jobStart" } else { "jobDone" }.into());
    put("job_id", event.job.0.into());
    put("app_id", template.application.0.0.into());
    put("app_name", template.application.1.as_str().into());
    put("runtemplate_id", template.id.0.into());
    put("runtemplate_name", template.name.as_str().into());
    put("company_id", template.company.id.0.into());
    put("company_name", template.company.name.as_str().into());
    put("company_code", template.company.code.as_str().into());
    put("executor", "Native".into());
    put("launched_by", facts.by.into());
    put("launched_by_id", Json::Null);
    put("schedule_type", if facts.slot.is_some() { "cron" } else { "adhoc" }.into());
    put("scheduled", facts.slot.or(facts.due).and_then(time).into());
    put("begin", begin.and_then(time).into());
    put("interval", template.interval.code().into());
    put("interval_seconds", template.interval.seconds().into());
    put("pid", facts.pid.into());
    put("version", template.definition.version.as_deref().into());
    put("attempt", event.attempt.into());
    put("agent", facts.agent.into());
    if phase == Phase::Started {
        put("running_since", begin.map(seconds).into());
        return fields;
    }
    let end = facts.ended.unwrap_or(event.at);
    let state = event.state;
    put("end", time(end).into());
    put("state", state.name().into());
    let code = event.exit_code.or(event.signal.map(|signal| 128 + signal));
    if let Some(code) = code {
        put("exitcode", code.into());
    }
    let (code, signal) = (event.exit_code, event.signal);
    let meaning = exit_code::meaning(state, code, signal, &template.definition);
    put("exitcode_description", meaning.into());
    put("data", Json::Null);
    put("result_file", template.definition.result_file.as_deref().into());
    let took = facts.started.map(|begin| (end - begin).max(0) as f64 / 1e6);
    if let Some(seconds) = facts.ran.map(|ran| ran.as_secs_f64()).or(took) {
        put("duration", seconds.into());
    }
    // Whoever cancels a job knows how it went.
    if state != State::Cancelled {
        put("failed", i32::from(state != State::Succeeded).into());
    }
    if state == State::Succeeded {
        put("succeeded_at", seconds(end).into());
    }
    put("running_since", 0.into());
    fields
}

fn time(micros: i64) -> Option<String> {
    let time = DateTime::from_timestamp_micros(micros)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

fn seconds(micros: i64) -> i64 {
    micros.div_euclid(1_000_000)
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        domain::{
            application,
            ids::{ApplicationId, CompanyId, RunTemplateId},
            schedule::Interval,
        },
        store::{EventRow, WatchedCompany},
    };

    /// A run template of the application with this code.
    pub fn template(id: i64, code: &str) -> Watched {
        let text = json!({
            "name": "Probe", "description": "d", "executable": "probe", "environment": {},
            "code": code, "version": "1.2", "exitCodes": { "3": { "description": "no route" } },
        });
        Watched {
            id: RunTemplateId(id),
            name: "every hour".to_owned(),
            active: true,
            application: (ApplicationId(2), "Probe".to_owned()),
            definition: Arc::new(application::parse(&text.to_string()).unwrap()),
            company: WatchedCompany {
                id: CompanyId(1),
                name: "Acme".to_owned(),
                code: "acme".to_owned(),
                host: None,
            },
            interval: Interval::Hour,
            cron: String::new(),
            scheduled: true,
        }
    }

    fn told(state: State, attempt: i32) -> Told {
        let event = EventRow {
            id: 9,
            job: JobId(5),
            attempt,
            state,
            run_template: (RunTemplateId(7), "every hour".to_owned()),
            company: (CompanyId(1), "Acme".to_owned()),
            at: 1_700_000_009_000_000,
            exit_code: (state == State::Failed).then_some(3),
            signal: None,
        };
        let job = JobFacts {
            created: 1_700_000_000_000_000,
            entered: Some(1_700_000_000_000_000),
            started: (attempt > 0).then_some(1_700_000_001_000_000),
            ended: state.is_terminal().then_some(1_700_000_008_500_000),
            ..JobFacts::default()
        };
        Told { event, run_template: Some(Arc::new(template(7, "PRB"))), job: Some(job) }
    }

    fn said(told: &Told) -> (String, Json) {
        said_within(told, None)
    }

    fn said_within(told: &Told, trace: Option<&str>) -> (String, Json) {
        let value = value(phase(told).unwrap(), (told, trace), &template(7, "PRB"), 1, "main");
        (value.key, serde_json::from_str(&value.value).unwrap())
    }

    #[test]
    fn a_job_is_created_once() {
        let (key, value) = said(&told(State::Queued, 0));
        assert_eq!((key.as_str(), &value[0]["{#JOB_ID}"]), (CREATED, &json!(5)));
        assert_eq!(phase(&told(State::Loaded, 0)), Some(Phase::Created));
        let mut later = told(State::Queued, 0);
        later.job.as_mut().unwrap().entered = Some(1_700_000_000_000_001);
        assert_eq!(phase(&later), None);
        // A retry, or a run of an ended job.
        assert_eq!(phase(&told(State::Queued, 1)), None);
        assert_eq!(phase(&told(State::Finishing, 1)), None);
    }

    #[test]
    fn start_and_end_have_the_key_and_the_fields_of_the_php_multiflexi() {
        let (key, value) = said(&told(State::Running, 1));
        assert_eq!(key, "job-[acme-PRB-7]");
        assert_eq!(value["phase"], "jobStart");
        assert_eq!(value["begin"], "2023-11-14T22:13:21.000000Z");
        assert_eq!(value["running_since"], 1_700_000_001);
        assert!(value.get("exitcode").is_none());
        let (_, value) = said(&told(State::Failed, 1));
        assert_eq!(value["phase"], "jobDone");
        assert_eq!((&value["exitcode"], &value["failed"]), (&json!(3), &json!(1)));
        assert_eq!(value["exitcode_description"], "no route");
        assert_eq!((&value["duration"], &value["version"]), (&json!(7.5), &json!("1.2")));
        assert!(value.get("succeeded_at").is_none());
        let (_, value) = said(&told(State::Succeeded, 1));
        assert_eq!((&value["failed"], &value["succeeded_at"]), (&json!(0), &json!(1_700_000_008)));
        let (_, value) = said(&told(State::Cancelled, 0));
        assert!(value.get("failed").is_none() && value.get("exitcode").is_none());
    }

    #[test]
    fn start_and_end_say_which_trace_the_job_is() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for state in [State::Running, State::Failed] {
            let of = |trace| said_within(&told(state, 1), trace).1.get("traceparent").cloned();
            assert_eq!((of(Some(trace)), of(None)), (Some(trace.into()), None));
        }
    }

    #[test]
    fn what_is_left_of_a_deleted_job_is_told() {
        let deleted = Told { job: None, ..told(State::Failed, 1) };
        let (_, value) = said(&deleted);
        assert_eq!((&value["state"], &value["job_id"]), (&json!("failed"), &json!(5)));
        assert_eq!(phase(&Told { job: None, ..told(State::Queued, 0) }), Some(Phase::Created));
    }

    #[test]
    fn a_key_needs_no_quotes() {
        assert_eq!(data_item(&template(7, "a,b] c\"")), "acme-a_b__c_-7");
        assert_eq!(data_item(&template(7, "")), "acme--7");
    }
}
