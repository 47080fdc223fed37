//! `runtemplate:stats`: how the newest runs of a run template went, with a small chart.

use clap::Args;
use multiflexi_proto::v1::{
    GetPerformanceRequest, GetPerformanceResponse, JobState, RunTemplateRun,
};
use serde_json::{Value, json};

use crate::{
    arguments::{self, ById},
    connect::Server,
    failure::Failure,
    output::{Output, json, print},
};

/// Runs that the chart shows: as many as fit on a line of a narrow terminal.
const COLUMNS: usize = 60;

/// The heights of a bar.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// `runtemplate:stats`.
#[derive(Debug, Args)]
pub struct Stats {
    #[command(flatten)]
    by: ById,
    /// How many runs are looked at, the newest
    #[arg(long, default_value_t = 100, value_name = "N",
        value_parser = arguments::number::<i32>(1..=10_000))]
    last: i32,
}

impl Stats {
    /// Shows how runs went.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let run_template_id = self.by.id();
        let request = GetPerformanceRequest { run_template_id, limit: self.last };
        let found = server.run_templates().get_performance(request).await?.into_inner();
        output.one(&value(run_template_id, &found), &fields(&found))?;
        if !output.is_chatty() {
            return Ok(());
        }
        print(&chart(&found.ended))?;
        let running = found.running.iter().map(row).collect::<Vec<_>>();
        if running.is_empty() {
            return Ok(());
        }
        print("\nrunning now\n")?;
        output.part(&["JOB", "STATE", "STARTED", "SECONDS", "NOTE"], running)
    }
}

fn value(id: i64, found: &GetPerformanceResponse) -> Value {
    let runs = |runs: &[RunTemplateRun]| runs.iter().map(run_value).collect::<Vec<_>>();
    json!({
        "id": id,
        "runs": found.ended.len(),
        "succeeded": found.succeeded,
        "success_rate": rate(found),
        "p50_seconds": json::seconds(found.p50.as_ref()),
        "p95_seconds": json::seconds(found.p95.as_ref()),
        "usual_seconds": json::seconds(found.usual.as_ref()),
        "streak": found.streak,
        "changed": json::time(found.changed.as_ref()),
        "ended": runs(&found.ended),
        "running": runs(&found.running),
    })
}

fn run_value(run: &RunTemplateRun) -> Value {
    json!({
        "job_id": run.job_id,
        "state": run.state().name(),
        "started": json::time(run.started.as_ref()),
        "ended": json::time(run.ended.as_ref()),
        "seconds": json::seconds(run.took.as_ref()),
        "exit_code": run.exit_code,
        "long": run.long,
    })
}

/// The part that ended well; none without a run.
fn rate(found: &GetPerformanceResponse) -> Option<f64> {
    let runs = found.ended.len();
    (runs > 0).then(|| f64::from(found.succeeded) / runs as f64)
}

fn fields(found: &GetPerformanceResponse) -> Vec<(&'static str, String)> {
    let seconds = |time: Option<&prost_types::Duration>| {
        time.map_or_else(|| "not known yet".to_owned(), |_| format!("{} s", json::rounded(time)))
    };
    let rate = rate(found).map_or_else(String::new, |rate| format!("{:.1} %", rate * 100.0));
    let streak = match (found.ended.first(), found.changed.as_ref()) {
        (None, _) => String::new(),
        (Some(run), None) => format!("all {} {}", found.streak, ended_well(run)),
        (Some(run), changed) => {
            let last = match found.streak {
                1 => "the last".to_owned(),
                streak => format!("the last {streak}"),
            };
            format!("{last} {}, since {}", ended_well(run), json::local(changed))
        }
    };
    let usual = match found.usual.as_ref() {
        None => seconds(None),
        usual => format!("beyond {}", seconds(usual)),
    };
    vec![
        ("runs", found.ended.len().to_string()),
        ("succeeded", format!("{} {rate}", found.succeeded).trim_end().to_owned()),
        ("state", streak),
        ("p50", seconds(found.p50.as_ref())),
        ("p95", seconds(found.p95.as_ref())),
        ("longer than usual", usual),
    ]
}

fn ended_well(run: &RunTemplateRun) -> &'static str {
    if run.state() == JobState::Succeeded { "succeeded" } else { "did not succeed" }
}

fn row(run: &RunTemplateRun) -> Vec<String> {
    vec![
        run.job_id.to_string(),
        run.state().name().to_owned(),
        json::local(run.started.as_ref()),
        json::rounded(run.took.as_ref()),
        if run.long { "longer than usual" } else { "" }.to_owned(),
    ]
}

/// The newest runs, the oldest of them first: how long each took, and below those that did not
/// succeed or took longer than usual.
fn chart(runs: &[RunTemplateRun]) -> String {
    let newest: Vec<&RunTemplateRun> = runs.iter().take(COLUMNS).rev().collect();
    let seconds =
        |run: &RunTemplateRun| run.took.as_ref().map(json::as_seconds).unwrap_or_default();
    let longest = newest.iter().map(|run| seconds(run)).fold(0.0, f64::max);
    if newest.is_empty() {
        return String::new();
    }
    let bar = |run: &&RunTemplateRun| {
        let share = if longest > 0.0 { seconds(run) / longest } else { 0.0 };
        BARS[((share * BARS.len() as f64) as usize).min(BARS.len() - 1)]
    };
    let bars: String = newest.iter().map(bar).collect();
    let mark = |run: &&RunTemplateRun| match (run.state(), run.long) {
        (JobState::Succeeded, false) => ' ',
        (JobState::Succeeded, true) => '!',
        _ => 'x',
    };
    let marks: String = newest.iter().map(mark).collect();
    let legend = [('x', "did not succeed"), ('!', "took longer than usual")];
    let legend = legend.iter().filter(|(mark, _)| marks.contains(*mark));
    let legend: Vec<String> = legend.map(|(mark, what)| format!("{mark} {what}")).collect();
    let marks = match legend.is_empty() {
        true => String::new(),
        false => format!("{marks}  {}\n", legend.join(", ")),
    };
    format!("\n{bars}  up to {longest:.3} s\n{marks}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seconds: i64, state: JobState) -> RunTemplateRun {
        let took = Some(prost_types::Duration { seconds, nanos: 0 });
        let mut run = RunTemplateRun { took, ..RunTemplateRun::default() };
        run.set_state(state);
        run
    }

    #[test]
    fn without_runs_nothing_is_known_of_them() {
        let shown = fields(&GetPerformanceResponse::default());
        assert!(shown.contains(&("longer than usual", "not known yet".to_owned())), "{shown:?}");
    }

    #[test]
    fn the_chart_shows_the_oldest_first_and_marks_what_failed() {
        let runs =
            [run(8, JobState::Succeeded), run(1, JobState::Failed), run(4, JobState::Succeeded)];
        assert_eq!(chart(&runs), "\n▅▂█  up to 8.000 s\n x   x did not succeed\n");
        let mut long = run(8, JobState::Succeeded);
        long.long = true;
        let longer = chart(&[long, run(1, JobState::Failed), run(1, JobState::Succeeded)]);
        assert!(
            longer.ends_with("\n x!  x did not succeed, ! took longer than usual\n"),
            "{longer}"
        );
        assert_eq!(chart(&[]), "");
        assert_eq!(chart(&[run(0, JobState::Succeeded)]), "\n▁  up to 0.000 s\n");
    }
}
