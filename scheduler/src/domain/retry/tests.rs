use super::*;
use crate::domain::{
    application::ExitCode,
    ids::{AttemptKey, Fence, JobId},
};
use proptest::prelude::*;

fn end(cause: EndCause, exit_code: Option<i32>) -> Completion {
    let key = AttemptKey { job: JobId(1), number: 1, fence: Fence(1) };
    Completion { cause, exit_code, ..Completion::lost(key, 0, String::new()) }
}

#[test]
fn tries_are_counted_and_the_pause_between_them_grows() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let max_gap = Duration::from_secs(30);
    let policy = RetryPolicy { max_attempts: 5, max_gap, ..RetryPolicy::default() };
    let pauses = [1, 2, 3, 4, 5, 6].map(|tries| policy.again(tries, 0));
    assert_eq!(pauses, [seconds(10), seconds(20), seconds(30), seconds(30), None, None]);
    assert_eq!(RetryPolicy::default().again(1, 0), None, "one try is all unless it says more");
}

fn policy(on: &[&str]) -> RetryPolicy {
    let on = on.iter().map(|cause| cause.parse().unwrap()).collect();
    RetryPolicy { max_attempts: 3, on, ..RetryPolicy::default() }
}

fn application() -> Definition {
    Definition::new("a", "true", "").unwrap()
}

fn is_retry(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Retry { .. })
}

/// Declares of 75 that it is retried, of 2 that it is not, and nothing of 3.
fn declaring() -> Definition {
    crate::domain::application::parse(
        r#"{"name": "a", "description": "", "executable": "a", "environment": {},
            "exitCodes": {"75": {"description": "try later", "severity": "warning",
            "retry": true}, "2": {"description": "no", "severity": "error", "retry": false},
            "3": {"description": "what", "severity": "error"},
            "0": {"description": "done", "retry": true}}}"#,
    )
    .unwrap()
}

#[test]
fn an_exit_code_that_the_application_declares_so_is_retried() {
    let (application, policy) = (declaring(), policy(&["lost"]));
    let retried = |end: &Completion| is_retry(&policy.decide(end, &application, 0, 0));
    assert!(retried(&end(EndCause::Exited, Some(75))));
    assert!(!retried(&end(EndCause::Exited, Some(3))));
    assert!(!retried(&end(EndCause::Cancelled, Some(75))), "it did not end by itself");
    let once = RetryPolicy { max_attempts: 1, ..policy.clone() };
    let verdict = once.decide(&end(EndCause::Exited, Some(75)), &application, 0, 0);
    assert_eq!(verdict, Verdict::Nothing);
}

#[test]
fn an_exit_code_that_the_application_declares_permanent_is_retried_only_by_its_number() {
    let application = declaring();
    let decide =
        |on: &[&str], end: &Completion, retries| policy(on).decide(end, &application, retries, 0);
    let permanent = end(EndCause::Exited, Some(2));
    let Verdict::Forbidden { why } = decide(&["failed"], &permanent, 0) else {
        panic!("it is forbidden");
    };
    assert!(why.contains("exit code 2") && why.contains("--retry-on exit:2"), "{why}");
    assert!(is_retry(&decide(&["failed", "exit:2"], &permanent, 0)));
    assert!(is_retry(&decide(&["failed"], &end(EndCause::Exited, Some(3)), 0)));
    // Nothing is forbidden that nobody asked for, or that would be too many.
    assert_eq!(decide(&["lost"], &permanent, 0), Verdict::Nothing);
    assert_eq!(decide(&["failed"], &permanent, 2), Verdict::Nothing);
    // What it was killed by has no exit code.
    let killed = Completion { signal: Some(9), ..end(EndCause::Signaled, None) };
    assert!(is_retry(&decide(&["failed"], &killed, 0)));
}

#[test]
fn work_that_is_done_is_not_done_again_for_want_of_its_output_unless_that_is_asked_for() {
    let application = declaring();
    let reason = "gone".to_owned();
    let lost_output = vec![crate::domain::job::LostOutput { from: 0, to: 9, reason }];
    let lost = |code| {
        let end = end(EndCause::Exited, Some(code));
        Completion { lost_output: lost_output.clone(), ..end }
    };
    let retried = |on: &[&str], code| is_retry(&policy(on).decide(&lost(code), &application, 0, 0));
    assert!(!retried(&["failed", "lost", "signaled"], 0));
    assert!(retried(&["output_lost"], 0));
    assert!(retried(&["failed"], 1), "it has failed anyway");
    assert!(!retried(&["output_lost"], 1), "its work is not done: its exit code decides");
    let usual = RetryPolicy { max_attempts: 9, ..RetryPolicy::default() };
    assert_eq!(usual.decide(&lost(0), &application, 0, 0), Verdict::Nothing);
}

proptest! {
    #[test]
    fn who_says_it_more_exactly_is_heard_first(
        code in 1..=255_i32,
        failed in any::<bool>(),
        exactly in any::<bool>(),
        declared in prop::option::of(any::<bool>()),
    ) {
        let mut application = application();
        let description = Default::default();
        let severity = crate::domain::application::Severity::Error;
        let meaning = ExitCode { description, severity, retry: declared };
        application.exit_codes.insert(code, meaning);
        let on = [failed.then_some(Cause::Failed), exactly.then_some(Cause::ExitCode(code))];
        let on = on.into_iter().flatten().collect();
        let policy = RetryPolicy { max_attempts: 2, on, ..RetryPolicy::default() };
        let verdict = policy.decide(&end(EndCause::Exited, Some(code)), &application, 0, 0);
        prop_assert_eq!(is_retry(&verdict), exactly || declared.unwrap_or(failed));
        let forbidden = matches!(verdict, Verdict::Forbidden { .. });
        prop_assert_eq!(forbidden, failed && !exactly && declared == Some(false));
    }
}

#[test]
fn only_what_is_named_is_retried() {
    let retried = |policy: &RetryPolicy, end: &Completion| {
        is_retry(&policy.decide(end, &application(), 0, 0))
    };
    let exit = |code| end(EndCause::Exited, Some(code));
    let on_75 = policy(&["exit:75", "lost"]);
    assert!(retried(&on_75, &exit(75)) && retried(&on_75, &end(EndCause::Lost, None)));
    assert!(!retried(&on_75, &exit(1)) && !retried(&on_75, &end(EndCause::TimedOut, None)));
    let on_failed = policy(&["failed"]);
    assert!(retried(&on_failed, &exit(1)));
    assert!(retried(&on_failed, &end(EndCause::Signaled, None)));
    for never in [exit(0), end(EndCause::Cancelled, Some(1)), end(EndCause::Cancelled, None)] {
        let all = policy(&["failed", "signaled", "launch_failed", "timed_out", "lost"]);
        assert!(!retried(&all, &never), "{never:?}");
    }
    assert!(!retried(&RetryPolicy::default(), &exit(1)), "without a wish there is no retry");
}

#[test]
fn the_number_of_attempts_is_bounded() {
    let policy = policy(&["failed"]);
    let failed = end(EndCause::Exited, Some(1));
    assert!(is_retry(&policy.decide(&failed, &application(), 0, 0)));
    assert!(is_retry(&policy.decide(&failed, &application(), 1, 0)));
    assert_eq!(policy.decide(&failed, &application(), 2, 0), Verdict::Nothing);
}

#[test]
fn pauses_grow_as_the_backoff_says() {
    let pauses = |backoff| {
        let policy = RetryPolicy { backoff, ..RetryPolicy::default() };
        [0, 1, 2, 40].map(|retries| policy.pause(retries, 0).as_secs())
    };
    assert_eq!(pauses(Backoff::None), [0, 0, 0, 0]);
    assert_eq!(pauses(Backoff::Fixed), [10, 10, 10, 10]);
    assert_eq!(pauses(Backoff::Linear), [10, 20, 30, 410]);
    assert_eq!(pauses(Backoff::Exponential), [10, 20, 40, 3600]);
}

proptest! {
    #[test]
    fn pauses_are_spread_within_a_quarter(retries in 0_u32..2000, random in any::<u32>()) {
        let policy = RetryPolicy::default();
        let (least, pause) = (policy.pause(retries, 0), policy.pause(retries, random));
        prop_assert!(pause >= least && pause <= least.mul_f64(1.2500001));
    }
}

#[test]
fn names_return_unchanged() {
    for name in
        ["failed", "exit:75", "signaled", "launch_failed", "timed_out", "lost", "output_lost"]
    {
        assert_eq!(name.parse::<Cause>().unwrap().to_string(), name);
    }
    for name in ["none", "fixed", "linear", "exponential"] {
        assert_eq!(name.parse::<Backoff>().unwrap().to_string(), name);
    }
    for bad in ["", "exit:", "exit:0", "exit:256", "exit:x", "cancelled"] {
        assert!(bad.parse::<Cause>().is_err(), "{bad:?}");
    }
    assert!("quadratic".parse::<Backoff>().is_err());
}
