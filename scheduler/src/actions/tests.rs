use super::*;
use crate::requests::Answer;

fn given(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn refused(kind: &str, pairs: &[(&str, &str)]) -> String {
    let registry = Registry::default();
    registry.find(kind).unwrap().read(&given(pairs)).unwrap_err().to_string()
}

#[test]
fn kinds_are_found_by_their_names() {
    let registry = Registry::default();
    assert_eq!(registry.find("launchjob").unwrap().name(), "LaunchJob");
    let unknown = registry.find("Lunch").unwrap_err().to_string();
    assert!(unknown.contains("\"Lunch\"") && unknown.contains("Reschedule"), "{unknown}");
}

#[test]
fn what_a_kind_cannot_take_is_refused_by_field_and_value() {
    let said = refused("Reschedule", &[("delay", "soon")]);
    assert!(said.contains("delay") && said.contains("\"soon\""), "{said}");
    assert!(refused("Reschedule", &[("delay", "-1")]).contains("\"-1\""));
    let said = refused("LaunchJob", &[]);
    assert!(said.contains("run_template_id") && said.contains("LaunchJob"), "{said}");
    assert!(refused("LaunchJob", &[("run_template_id", "0")]).contains("\"0\""));
    let said = refused("Sleep", &[("secs", "1")]);
    assert!(said.contains("\"secs\"") && said.contains("seconds"), "{said}");
    assert!(refused("Stop", &[("now", "1")]).contains("takes no settings"));
}

#[test]
fn settings_that_contradict_themselves_are_refused_when_they_are_new() {
    let registry = Registry::default();
    for (kind, pairs, said) in [
        ("Reschedule", &[("delay", "0")][..], "take 1 second or more"),
        (
            "WebHook",
            &[("uri", "https://example.org/"), ("retry_min_gap", "5h")],
            "retry_min_gap of WebHook is 5h, and no pause is longer than retry_max_gap, 1h",
        ),
        (
            "ChainRuntemplate",
            &[("run_template_id", "1"), ("variables", "X=@file:../../etc/passwd")],
            "\"../../etc/passwd\" is no file that a job leaves",
        ),
    ] {
        let kind = registry.find(kind).unwrap();
        let refused = kind.accept(&given(pairs)).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
        assert!(kind.read(&given(pairs)).is_ok(), "what is stored is read");
    }
}

#[test]
fn an_answer_without_what_was_made_is_no_success() {
    use asking::Ask;
    let settings = Settings::default();
    let answer = |status, body: &str| Answer { status, body: body.into() };
    fn outcome<K: Ask>(settings: &Settings, answer: &Answer) -> Result<String, String> {
        K::outcome(settings, "http://h", answer)
    }
    let told = answer(200, "ok");
    for refused in [
        outcome::<issues::Github>(&settings, &told),
        outcome::<issues::RedmineIssue>(&settings, &told),
        outcome::<to_do::ToDo>(&settings, &told),
        outcome::<jenkins::TriggerJenkins>(&settings, &told),
    ] {
        let refused = refused.unwrap_err();
        assert!(refused.starts_with("http://h answered 200"), "{refused}");
    }
    let made = |body| answer(201, body);
    assert!(outcome::<issues::Github>(&settings, &made(r#"{"number": 1}"#)).is_ok());
    assert!(outcome::<issues::RedmineIssue>(&settings, &made(r#"{"issue": {"id": 1}}"#)).is_ok());
    assert!(outcome::<to_do::ToDo>(&settings, &made(r#"{"id": "AAMk"}"#)).is_ok());
    assert!(outcome::<jenkins::TriggerJenkins>(&settings, &made("")).is_ok());
}

#[test]
fn who_asks_a_site_is_secret_and_the_site_is_not() {
    let registry = Registry::default();
    let kind = registry.find("TriggerJenkins").unwrap();
    let shown = |url: &str| {
        let told = given(&[("url", url), ("job_name", "build")]);
        let settings = kind.read(&told).unwrap();
        let sealed = kind.sealed(told);
        assert!(sealed.secret.contains("url"));
        let said = settings.without_secrets(&format!("asked {url}"));
        (kind.shown(sealed).remove("url").unwrap(), said)
    };
    let (url, said) = shown("http://us:jenpw@h.example:81/ci/?token=s3cret");
    assert_eq!(url, "http://***@h.example:81/ci/?***");
    assert!(!said.contains("jenpw") && !said.contains("s3cret"), "{said}");
    let (url, said) = shown("http://h.example/ci");
    assert_eq!((url.as_str(), said.as_str()), ("http://h.example/ci", "asked http://h.example/ci"));
    let (url, said) = shown("http://a-token@h.example/");
    assert!(url == "http://***@h.example/" && !said.contains("a-token"), "{url} {said}");
    for (kind, field) in [("Github", "api"), ("RedmineIssue", "url"), ("ToDo", "api")] {
        let mut secret = registry.find(kind).unwrap().all_fields();
        assert!(secret.any(|it| it.name == field && it.secret), "{kind} {field}");
    }
}

#[test]
fn what_is_not_said_is_the_default() {
    let registry = Registry::default();
    let read = |kind: &str, pairs: &[(&str, &str)]| {
        registry.find(kind).unwrap().read(&given(pairs)).unwrap()
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(read("Reschedule", &[]).duration("delay"), seconds(3600));
    assert_eq!(read("Reschedule", &[("delay", "1h 30m")]).duration("delay"), seconds(5400));
    assert_eq!(read("Sleep", &[]).duration("seconds"), seconds(60));
    assert_eq!(read("Sleep", &[("seconds", "5")]).duration("seconds"), seconds(5));
    let chained = read("ChainRuntemplate", &[("run_template_id", "7")]);
    let kind = registry.find("ChainRuntemplate").unwrap();
    assert_eq!(kind.leads_to(&chained), Some(RunTemplateId(7)));
}

#[test]
fn what_will_hardly_be_meant_is_remarked() {
    let remarks = |kind: &str, pairs: &[(&str, &str)]| {
        let registry = Registry::default();
        let kind = registry.find(kind).unwrap();
        kind.remarks(&kind.read(&given(pairs)).unwrap())
    };
    let hook = |more: &[(&str, &str)]| {
        remarks("WebHook", &[&[("uri", "https://example.org/{JOB_ID}")], more].concat())
    };
    let body = "{\"job\": \"{JOB_ID} {NOSUCH} ${HOME} {lower}\", \"A\": {EXIT_CODE}}";
    let said = hook(&[("body", body), ("method", "TELEPORT")]);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("TELEPORT") && said[1].contains("{NOSUCH} in body"), "{said:?}");
    assert!(hook(&[("method", "PUT")]).is_empty());
    // A variable of the job may have that name.
    let variables = [("run_template_id", "1"), ("variables", "A={NOSUCH}")];
    assert!(remarks("LaunchJob", &variables).is_empty());
}
