//! `RunTemplateService`.

use std::time::Duration;

use multiflexi_proto::{
    duration, timestamp,
    v1::{
        self, CreateRunTemplateRequest, CreateRunTemplateResponse, DeleteRunTemplateRequest,
        DeleteRunTemplateResponse, GetPerformanceRequest, GetPerformanceResponse,
        GetRunTemplateRequest, GetRunTemplateResponse, ListRunTemplatesRequest,
        ListRunTemplatesResponse, UpdateRunTemplateRequest, UpdateRunTemplateResponse,
        run_template_service_server::RunTemplateService,
    },
};
use tonic::{Request, Response, Status};

use super::{Services, environment, parse, schedules, status::invalid};
use crate::{
    dispatch::convert,
    domain::{
        application::Definition,
        environment::Given,
        ids::{ApplicationId, CompanyId, RunTemplateId},
        job::{Executor, GRACE, LOST_AFTER, Overflow},
        retention::Keep,
        retry::{Backoff, Cause, MAX_ATTEMPTS, RetryPolicy},
    },
    removal::Cascade,
    store::{
        CreateRunTemplate, NewRunTemplate, Order, RunTemplateFilter, RunTemplateRow, Runs,
        ScheduleRow, Sort, StoreError, UpdateRunTemplate,
    },
};

/// A run template, with its schedule.
fn run_template(row: RunTemplateRow, schedule: Option<&ScheduleRow>) -> v1::RunTemplate {
    let template = row.template;
    v1::RunTemplate {
        missing_credentials: template.missing_credentials(),
        executor: Executor::Native.to_string(),
        id: template.id.0,
        name: template.name,
        application_id: template.application.0,
        application_name: template.application_name,
        company_id: template.company.0,
        company_name: template.company_name,
        secrets: template.environment.secret.iter().cloned().collect(),
        files: environment::files(&template.environment),
        environment: environment::shown(template.environment, Some(&template.definition)),
        timeout: template.timeout.map(duration),
        grace: Some(duration(template.grace)),
        created: Some(timestamp(row.created)),
        lost_after: Some(duration(template.lost_after)),
        retry: Some(retry(&template.retry)),
        overflow: convert::overflow(template.overflow).into(),
        priority: template.priority,
        max_running: template.max_running.map(|most| i32::try_from(most).unwrap_or(i32::MAX)),
        keep: Some(v1::Keep {
            age: template.keep.age.map(duration),
            count: template.keep.count.map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
            bytes: template.keep.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        }),
        runs: Some(runs(row.runs)),
        active: row.active,
        schedule: schedule.map(schedules::answer),
    }
}

fn runs(runs: Runs) -> v1::Runs {
    let Runs { succeeded, failed, cancelled, timed_out, lost, last_ended } = runs;
    let last_ended = last_ended.map(timestamp);
    v1::Runs { succeeded, failed, cancelled, timed_out, lost, last_ended }
}

fn retry(policy: &RetryPolicy) -> v1::RetryPolicy {
    let backoff = match policy.backoff {
        Backoff::None => v1::Backoff::None,
        Backoff::Fixed => v1::Backoff::Fixed,
        Backoff::Linear => v1::Backoff::Linear,
        Backoff::Exponential => v1::Backoff::Exponential,
    };
    v1::RetryPolicy {
        max_attempts: i32::try_from(policy.max_attempts).unwrap_or(i32::MAX),
        on: policy.on.iter().map(Cause::to_string).collect(),
        backoff: backoff.into(),
        min_gap: Some(duration(policy.min_gap)),
        max_gap: Some(duration(policy.max_gap)),
    }
}

fn retry_policy(said: Option<&v1::RetryPolicy>) -> Result<RetryPolicy, Status> {
    let usual = RetryPolicy::default();
    let Some(said) = said else { return Ok(usual) };
    if !(0..=MAX_ATTEMPTS).contains(&said.max_attempts) {
        let reason = format!("max_attempts is {}: take 1 to {MAX_ATTEMPTS}", said.max_attempts);
        return Err(invalid("retry.max_attempts", reason));
    }
    let causes: Vec<Cause> = said
        .on
        .iter()
        .map(|cause| cause.parse().map_err(|error| invalid("retry.on", error)))
        .collect::<Result<_, _>>()?;
    let backoff = match v1::Backoff::try_from(said.backoff) {
        Ok(v1::Backoff::Unspecified) => usual.backoff,
        Ok(v1::Backoff::None) => Backoff::None,
        Ok(v1::Backoff::Fixed) => Backoff::Fixed,
        Ok(v1::Backoff::Linear) => Backoff::Linear,
        Ok(v1::Backoff::Exponential) => Backoff::Exponential,
        Err(error) => return Err(invalid("retry.backoff", error)),
    };
    Ok(RetryPolicy {
        max_attempts: said.max_attempts.max(1).unsigned_abs(),
        on: if causes.is_empty() { usual.on } else { causes },
        backoff,
        min_gap: parse::duration("retry.min_gap", said.min_gap.as_ref())?.unwrap_or(usual.min_gap),
        max_gap: parse::duration("retry.max_gap", said.max_gap.as_ref())?.unwrap_or(usual.max_gap),
    })
}

fn keep(said: &v1::Keep) -> Result<Keep, Status> {
    let number = |field: &str, value: Option<i64>| {
        let number = value.map(u64::try_from).transpose();
        number.map_err(|_| invalid(field, format!("{field} is negative: 0 keeps all")))
    };
    Ok(Keep {
        age: parse::duration("keep.age", said.age.as_ref())?,
        count: number("keep.count", said.count)?,
        bytes: number("keep.bytes", said.bytes)?,
    })
}

fn overflow(said: i32) -> Result<Overflow, Status> {
    match v1::OutputOverflow::try_from(said) {
        Ok(v1::OutputOverflow::Unspecified | v1::OutputOverflow::Block) => Ok(Overflow::Block),
        Ok(v1::OutputOverflow::HeadTail) => Ok(Overflow::HeadTail),
        Ok(v1::OutputOverflow::Fail) => Ok(Overflow::Fail),
        Err(error) => Err(invalid("overflow", error)),
    }
}

/// Refuses what there is no executor for.
fn check_executor(name: &str) -> Result<(), Status> {
    if name.is_empty() {
        return Ok(());
    }
    name.parse::<Executor>().map(|_| ()).map_err(|error| invalid("executor", error))
}

/// Refuses values with which no job could be run, while somebody is there who knows better.
fn check_values(definition: &Definition, given: &Given) -> Result<(), Status> {
    match definition.faults(given).join("; ") {
        faults if faults.is_empty() => Ok(()),
        faults => Err(invalid("environment", faults)),
    }
}

fn update(request: UpdateRunTemplateRequest) -> Result<UpdateRunTemplate, Status> {
    check_executor(&request.executor)?;
    let id = parse::id("run_template_id", "run template", request.run_template_id)?;
    let says_overflow = request.overflow != v1::OutputOverflow::Unspecified as i32;
    Ok(UpdateRunTemplate {
        id: RunTemplateId(id),
        name: request.name.as_deref().map(parse::name).transpose()?,
        environment: parse::variable_change(
            parse::given(request.set_environment, request.secrets, request.set_files)?,
            request.unset_environment,
        )?,
        timeout: parse::duration("timeout", request.timeout.as_ref())?
            .map(|timeout| Some(timeout).filter(|timeout| !timeout.is_zero())),
        grace: parse::duration("grace", request.grace.as_ref())?,
        lost_after: parse::duration("lost_after", request.lost_after.as_ref())?,
        retry: request.retry.as_ref().map(|retry| retry_policy(Some(retry))).transpose()?,
        overflow: says_overflow.then(|| overflow(request.overflow)).transpose()?,
        priority: request.priority.map(parse::priority).transpose()?,
        max_running: parse::changed_limit("max_running", request.max_running)?,
        keep: request.keep.as_ref().map(keep).transpose()?,
        active: request.active,
    })
}

fn new_run_template(request: CreateRunTemplateRequest) -> Result<NewRunTemplate, Status> {
    check_executor(&request.executor)?;
    let timeout = parse::duration("timeout", request.timeout.as_ref())?;
    if timeout == Some(Duration::ZERO) {
        return Err(invalid("timeout", "the timeout is 0: leave it out for no limit"));
    }
    Ok(NewRunTemplate {
        name: parse::name(&request.name)?,
        application: ApplicationId(parse::id(
            "application_id",
            "application",
            request.application_id,
        )?),
        company: CompanyId(parse::id("company_id", "company", request.company_id)?),
        environment: parse::given(request.environment, request.secrets, request.files)?,
        timeout,
        grace: parse::duration("grace", request.grace.as_ref())?.unwrap_or(GRACE),
        lost_after: parse::duration("lost_after", request.lost_after.as_ref())?
            .unwrap_or(LOST_AFTER),
        retry: retry_policy(request.retry.as_ref())?,
        overflow: overflow(request.overflow)?,
        priority: parse::priority(request.priority)?,
        max_running: parse::limit("max_running", request.max_running)?,
        keep: request.keep.as_ref().map(keep).transpose()?.unwrap_or_default(),
    })
}

impl Services {
    /// A run template as the protocol has it.
    pub(super) async fn run_template(
        &self,
        id: RunTemplateId,
    ) -> Result<v1::RunTemplate, StoreError> {
        let row = self.store.run_template(id).await?;
        Ok(run_template(row, Some(&self.store.schedule(id).await?)))
    }
}

#[tonic::async_trait]
impl RunTemplateService for Services {
    async fn create_run_template(
        &self,
        request: Request<CreateRunTemplateRequest>,
    ) -> Result<Response<CreateRunTemplateResponse>, Status> {
        let new = new_run_template(request.into_inner())?;
        let application = self.store.application(new.application).await?;
        check_values(&application.definition, &new.environment)?;
        let id = self.store.change(CreateRunTemplate(new)).await?;
        // Its application may declare secret what its company has stored.
        self.sealing.declared();
        let run_template = Some(self.run_template(id).await?);
        Ok(Response::new(CreateRunTemplateResponse { run_template }))
    }

    async fn get_run_template(
        &self,
        request: Request<GetRunTemplateRequest>,
    ) -> Result<Response<GetRunTemplateResponse>, Status> {
        let id = request.into_inner().run_template_id;
        let id = parse::id("run_template_id", "run template", id)?;
        let run_template = Some(self.run_template(RunTemplateId(id)).await?);
        Ok(Response::new(GetRunTemplateResponse { run_template }))
    }

    async fn list_run_templates(
        &self,
        request: Request<ListRunTemplatesRequest>,
    ) -> Result<Response<ListRunTemplatesResponse>, Status> {
        let mut request = request.into_inner();
        let (list, page) = parse::list("run template", &mut request)?;
        let company = parse::optional_id("company_id", "company", request.company_id)?;
        let application =
            parse::optional_id("application_id", "application", request.application_id)?;
        let filter = RunTemplateFilter {
            company: company.map(CompanyId),
            application: application.map(ApplicationId),
            sort: parse::sort(&request.order_by, &Order::ALL, Sort::default())?,
            name: request.name,
            scheduled: request.scheduled,
        };
        let found = self.store.run_templates(&filter, &page).await?;
        if found.rows.is_empty() {
            // An id that is not there is a mistake, not an empty list.
            if let Some(company) = filter.company {
                self.store.company(company).await?;
            }
            if let Some(application) = filter.application {
                self.store.application(application).await?;
            }
        }
        let next_page_token = list.seal(&found.next);
        let ids: Vec<_> = found.rows.iter().map(|row| row.template.id).collect();
        let schedules = self.store.schedules(&ids).await?;
        let with_schedule = |row: RunTemplateRow| {
            let schedule = schedules.get(&row.template.id);
            run_template(row, schedule)
        };
        let run_templates = found.rows.into_iter().map(with_schedule).collect();
        Ok(Response::new(ListRunTemplatesResponse { run_templates, next_page_token }))
    }

    async fn update_run_template(
        &self,
        request: Request<UpdateRunTemplateRequest>,
    ) -> Result<Response<UpdateRunTemplateResponse>, Status> {
        let update = update(request.into_inner())?;
        let id = update.id;
        if !update.environment.set.is_empty() {
            let known = self.store.run_template(id).await?.template;
            check_values(&known.definition, &update.environment.set)?;
        }
        self.store.change(update).await?;
        // Another limit may let jobs in, another patience may be over.
        self.dispatch.job_queued();
        self.dispatch.patience_changed();
        self.dispatch.schedule_changed();
        let run_template = Some(self.run_template(id).await?);
        Ok(Response::new(UpdateRunTemplateResponse { run_template }))
    }

    async fn delete_run_template(
        &self,
        request: Request<DeleteRunTemplateRequest>,
    ) -> Result<Response<DeleteRunTemplateResponse>, Status> {
        let request = request.into_inner();
        let id = parse::id("run_template_id", "run template", request.run_template_id)?;
        let cascade = Cascade::of(request.cascade, request.dry_run);
        let went = self.removal.run_template(RunTemplateId(id), cascade).await?;
        Ok(Response::new(DeleteRunTemplateResponse { jobs: went.jobs }))
    }

    async fn get_performance(
        &self,
        request: Request<GetPerformanceRequest>,
    ) -> Result<Response<GetPerformanceResponse>, Status> {
        self.performance(&request.into_inner()).await.map(Response::new)
    }
}
