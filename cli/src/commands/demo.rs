//! `demo`: one small job through its whole life, for whoever is new here.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use anstyle::Style;
use clap::Args;
use multiflexi_program::log;
use multiflexi_proto::v1::{
    CreateApplicationRequest, CreateCompanyRequest, CreateJobsRequest, CreateRunTemplateRequest,
    JobState, RunJobRequest,
};

use super::{
    artifacts,
    dev::{Pair, internal, runtime},
    jobs::{self, Follow, Followed, Raw},
    missing,
    resource::given,
};
use crate::{
    connect::Server,
    exit_code::{self, Exit},
    failure::Failure,
    output::Output,
};

/// What the sample does: counts the invoices of a small file, says so, and leaves a
/// report. It needs nothing but a POSIX shell.
const SCRIPT: &str = r#"
echo "importing invoices for $CUSTOMER"
total=0
printf 'number,amount\n' > invoices.csv
for number in 1 2 3; do
    amount=$((number * 111))
    total=$((total + amount))
    echo "$number,$amount" >> invoices.csv
    echo "invoice $number: $amount EUR"
    [ $number = 2 ] && echo "warning: invoice 2 has no due date" >&2
    sleep 0.3
done
echo "{\"invoices\": 3, \"total\": $total}" > report.json
echo "done: 3 invoices, $total EUR"
"#;

/// `demo`.
#[derive(Debug, Args)]
pub struct Demo {}

impl Demo {
    /// Runs the sample.
    pub fn run(self, output: Output) -> Result<ExitCode, Failure> {
        log::start(log::Format::Text, "warn");
        runtime()?.block_on(run(output))
    }
}

async fn run(output: Output) -> Result<ExitCode, Failure> {
    let folder = tempfile::Builder::new()
        .prefix("multiflexi-demo-")
        .tempdir()
        .map_err(|error| Failure::new(Exit::CannotWrite, error.to_string()))?;
    say("A scheduler and an agent start, with SQLite in a temporary folder");
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let pair = Pair::start(folder.path(), anywhere, None).await?;
    say(&format!(
        "Ready at {}; a company, an application and a run template are created",
        pair.url
    ));
    let outcome = sample(&pair.url, output).await;
    pair.stop().await?;
    let code = outcome?;
    say("What to type next");
    say_plain(
        "  multiflexi-cli dev --data-dir ./multiflexi            a scheduler and an agent that stay
  multiflexi-cli company:create --name Acme
  multiflexi-cli application:create --name Hello --executable echo --cmdparams 'hello {WHO}'
  multiflexi-cli runtemplate:create --name Greeting --app 1 --company 1 --env WHO=world
  multiflexi-cli job:create --template 1
  multiflexi-cli job:run 1
  multiflexi-cli --help",
    );
    Ok(ExitCode::from(code))
}

/// Runs the sample; returns the job's exit code.
async fn sample(url: &str, output: Output) -> Result<u8, Failure> {
    let server = Server::connect(url).await?;
    let company = CreateCompanyRequest { name: "Acme".to_owned(), ..Default::default() };
    let company = server.companies().create_company(company).await?.into_inner().company;
    let application = CreateApplicationRequest {
        name: "Invoice import".to_owned(),
        executable: "sh".to_owned(),
        cmdparams: "-c {SCRIPT}".to_owned(),
        ..Default::default()
    };
    let application = server.applications().create_application(application).await?.into_inner();
    let environment = [("SCRIPT", SCRIPT), ("CUSTOMER", "Acme")];
    let template = CreateRunTemplateRequest {
        name: "Daily import".to_owned(),
        application_id: given(application.application)?.id,
        company_id: given(company)?.id,
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..CreateRunTemplateRequest::default()
    };
    let template = server.run_templates().create_run_template(template).await?.into_inner();
    let create = CreateJobsRequest {
        run_template_id: given(template.run_template)?.id,
        ..CreateJobsRequest::default()
    };
    let created = server.jobs().create_jobs(create).await?.into_inner().job_ids;
    let job_id = *created.first().ok_or_else(|| missing("job"))?;

    say(&format!("Job {job_id} runs; this is its output, live"));
    let attempt = server
        .jobs()
        .run_job(RunJobRequest { job_id, ..RunJobRequest::default() })
        .await?
        .into_inner()
        .attempt;
    let follow = Follow { attempt, ..Follow::new(job_id) };
    let Followed::Ended(attempt) = follow.run(&server, &mut Raw, std::future::pending()).await?
    else {
        return Err(internal(&"the job's output ended before the job"));
    };
    if attempt.state() != JobState::Succeeded {
        return Ok(exit_code::of_job(&attempt).max(1));
    }
    say("It has ended; this is what is known of it");
    jobs::show(&server, output, job_id).await?;
    say("And these are its artifacts");
    artifacts::of_job(job_id).run(&server, output).await?;
    Ok(0)
}

/// Says what happens next, apart from what the commands print.
fn say(sentence: &str) {
    let bold = Style::new().bold();
    // It is only decoration: a closed stderr is no reason to stop.
    let _ = writeln!(anstream::stderr().lock(), "\n{bold}# {sentence}{bold:#}");
}

fn say_plain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
