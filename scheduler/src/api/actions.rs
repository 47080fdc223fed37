//! `ActionService`.

use std::collections::HashMap;

use multiflexi_proto::{
    timestamp,
    v1::{
        self, CancelPerformedActionRequest, CancelPerformedActionResponse, CreateActionRequest,
        CreateActionResponse, DeleteActionRequest, DeleteActionResponse, GetActionRequest,
        GetActionResponse, ListActionKindsRequest, ListActionKindsResponse, ListActionsRequest,
        ListActionsResponse, ListPerformedActionsRequest, ListPerformedActionsResponse,
        RetryPerformedActionRequest, RetryPerformedActionResponse, UpdateActionRequest,
        UpdateActionResponse, action_service_server::ActionService,
    },
};
use tonic::{Request, Response, Status};

use super::{Services, environment, parse, status::invalid};
use crate::{
    actions::{Action, Field, Registry, SettingError},
    domain::{
        action::{Condition, Mode, Owner, Progress},
        environment::{Given, Variables},
        ids::{ActionId, CompanyId, JobId, PerformedActionId, RunTemplateId},
    },
    store::{
        ActionRow, CancelAction, CreateAction, DeleteAction, Listed, Page, PerformedActionRow,
        PerformedFilter, RetryAction, UpdateAction,
    },
};

/// The highest position of an action.
const MAX_POSITION: i32 = 1_000_000;

/// What an action is told, for people.
fn shown(registry: &Registry, kind: &str, settings: Given) -> HashMap<String, String> {
    match registry.find(kind) {
        Ok(kind) => kind.shown(settings).into_iter().collect(),
        Err(_) => environment::shown(settings, None),
    }
}

fn action(registry: &Registry, row: ActionRow) -> v1::Action {
    let (mode, condition) = match row.mode {
        Mode::Success => (v1::ActionMode::Success, String::new()),
        Mode::Fail => (v1::ActionMode::Fail, String::new()),
        Mode::Always => (v1::ActionMode::Always, String::new()),
        Mode::When(condition) => (v1::ActionMode::Condition, condition.to_string()),
    };
    let mut action = v1::Action {
        id: row.id.0,
        settings: shown(registry, &row.kind, row.settings),
        kind: row.kind,
        mode: mode.into(),
        condition,
        position: row.position,
        created: Some(timestamp(row.created)),
        ..v1::Action::default()
    };
    let (owner, name) = row.owner;
    match owner {
        Owner::RunTemplate(id) => (action.run_template_id, action.run_template_name) = (id.0, name),
        Owner::Company(id) => (action.company_id, action.company_name) = (id.0, name),
    }
    action
}

fn to_state(progress: Progress) -> v1::PerformedActionState {
    match progress {
        Progress::Pending => v1::PerformedActionState::Pending,
        Progress::Running => v1::PerformedActionState::Running,
        Progress::Succeeded => v1::PerformedActionState::Succeeded,
        Progress::Failed => v1::PerformedActionState::Failed,
        Progress::Cancelled => v1::PerformedActionState::Cancelled,
    }
}

/// An action of an ended job.
pub(super) fn performed(registry: &Registry, row: PerformedActionRow) -> v1::PerformedAction {
    v1::PerformedAction {
        id: row.id.0,
        job_id: row.job.0.0,
        attempt: row.job.1,
        action_id: row.action.0,
        settings: shown(registry, &row.kind, row.settings),
        kind: row.kind,
        state: to_state(row.progress).into(),
        tries: row.tries,
        due: row.due.map(timestamp),
        started: row.started.map(timestamp),
        ended: row.ended.map(timestamp),
        outcome: row.outcome.unwrap_or_default(),
    }
}

fn kind(kind: &dyn Action) -> v1::ActionKind {
    let field = |field: &Field| v1::ActionField {
        name: field.name.to_owned(),
        description: field.about.to_owned(),
        r#type: field.takes.name().to_owned(),
        default_value: field.default.map(ToOwned::to_owned),
        secret: field.secret,
    };
    v1::ActionKind {
        name: kind.name().to_owned(),
        description: kind.about().to_owned(),
        fields: kind.all_fields().map(field).collect(),
    }
}

fn id(value: i64) -> Result<ActionId, Status> {
    parse::id("action_id", "action", value).map(ActionId)
}

fn performed_id(value: i64) -> Result<PerformedActionId, Status> {
    parse::id("performed_action_id", "action of a job", value).map(PerformedActionId)
}

/// Whose an action is; none if neither is said.
fn owner(template: i64, company: i64) -> Result<Option<Owner>, Status> {
    let template = parse::optional_id("run_template_id", "run template", template)?;
    let company = parse::optional_id("company_id", "company", company)?;
    match (template, company) {
        (Some(_), Some(_)) => {
            Err(invalid("company_id", "name a run template or a company, and not both"))
        }
        (template, company) => {
            let template = template.map(|id| Owner::RunTemplate(RunTemplateId(id)));
            Ok(template.or(company.map(|id| Owner::Company(CompanyId(id)))))
        }
    }
}

/// After which ends an action follows; none if that is not said.
fn mode(value: i32, condition: &str) -> Result<Option<Mode>, Status> {
    let said = v1::ActionMode::try_from(value).map_err(|error| invalid("mode", error))?;
    Ok(Some(match (said, condition) {
        (v1::ActionMode::Unspecified, "") => return Ok(None),
        (v1::ActionMode::Success, "") => Mode::Success,
        (v1::ActionMode::Fail, "") => Mode::Fail,
        (v1::ActionMode::Always, "") => Mode::Always,
        (v1::ActionMode::Unspecified | v1::ActionMode::Condition, text) => {
            Mode::When(Condition::accept(text).map_err(|error| invalid("condition", error))?)
        }
        _ => return Err(invalid("condition", "say a mode or a condition, and not both")),
    }))
}

fn position(value: i32) -> Result<i32, Status> {
    if (0..=MAX_POSITION).contains(&value) {
        return Ok(value);
    }
    Err(invalid("position", format!("the position is {value}: take 0 to {MAX_POSITION}")))
}

fn wrong_setting(error: &SettingError) -> Status {
    invalid(&format!("settings.{}", error.field), error)
}

impl Services {
    async fn action(&self, id: ActionId) -> Result<Option<v1::Action>, Status> {
        Ok(Some(action(self.actions.registry(), self.store.action(id).await?)))
    }

    /// An action of an ended job.
    pub(super) fn performed(&self, row: PerformedActionRow) -> v1::PerformedAction {
        performed(self.actions.registry(), row)
    }

    async fn action_update(&self, request: UpdateActionRequest) -> Result<UpdateAction, Status> {
        let id = id(request.action_id)?;
        let mut update = UpdateAction {
            id,
            mode: mode(request.mode, &request.condition)?,
            position: request.position.map(position).transpose()?,
            settings: None,
        };
        if request.set_settings.is_empty() && request.unset_settings.is_empty() {
            return Ok(update);
        }
        let before = self.store.action(id).await?;
        let kind = self.actions.registry().find(&before.kind);
        let kind = kind.map_err(|error| invalid("kind", error))?;
        let mut settings = before.settings;
        for name in &request.unset_settings {
            if settings.values.remove(name).is_none() {
                let name: String = name.chars().take(40).collect();
                let reason = format!("action {id} was told no {name:?}, which is to be left out");
                return Err(invalid("unset_settings", reason));
            }
        }
        settings.values.extend(request.set_settings);
        let read = kind.accept(&settings.values).map_err(|error| wrong_setting(&error))?;
        update.settings = Some((kind.sealed(settings.values), kind.leads_to(&read)));
        Ok(update)
    }
}

#[tonic::async_trait]
impl ActionService for Services {
    async fn create_action(
        &self,
        request: Request<CreateActionRequest>,
    ) -> Result<Response<CreateActionResponse>, Status> {
        let request = request.into_inner();
        let owner = owner(request.run_template_id, request.company_id)?;
        let nobody =
            || invalid("run_template_id", "name the run template or the company whose it is");
        let owner = owner.ok_or_else(nobody)?;
        let kind = self.actions.registry().find(&request.kind);
        let kind = kind.map_err(|error| invalid("kind", error))?;
        let unsaid = || {
            invalid("mode", "say on which ends it follows: success, fail, always or a condition")
        };
        let mode = mode(request.mode, &request.condition)?.ok_or_else(unsaid)?;
        let settings: Variables = request.settings.into_iter().collect();
        let read = kind.accept(&settings).map_err(|error| wrong_setting(&error))?;
        let create = CreateAction {
            owner,
            kind: kind.name().to_owned(),
            mode,
            position: request.position.map(position).transpose()?,
            settings: kind.sealed(settings),
            leads_to: kind.leads_to(&read),
        };
        let id = self.store.change(create).await?;
        let (action, remarks) = (self.action(id).await?, kind.remarks(&read));
        Ok(Response::new(CreateActionResponse { action, remarks }))
    }

    async fn get_action(
        &self,
        request: Request<GetActionRequest>,
    ) -> Result<Response<GetActionResponse>, Status> {
        let id = id(request.into_inner().action_id)?;
        Ok(Response::new(GetActionResponse { action: self.action(id).await? }))
    }

    async fn list_actions(
        &self,
        request: Request<ListActionsRequest>,
    ) -> Result<Response<ListActionsResponse>, Status> {
        let mut request = request.into_inner();
        let (list, size, token) = parse::pages("action", &mut request)?;
        let page = Page::parse(size, &token)?;
        let of = owner(request.run_template_id, request.company_id)?;
        let Listed { rows, next } = self.store.actions(of, page).await?;
        // An id that is not there is a mistake, not an empty list.
        match of.filter(|_| rows.is_empty()) {
            Some(Owner::RunTemplate(id)) => drop(self.store.run_template(id).await?),
            Some(Owner::Company(id)) => drop(self.store.company(id).await?),
            None => {}
        }
        let next_page_token = list.seal(&next);
        let registry = self.actions.registry();
        let actions = rows.into_iter().map(|row| action(registry, row)).collect();
        Ok(Response::new(ListActionsResponse { actions, next_page_token }))
    }

    async fn update_action(
        &self,
        request: Request<UpdateActionRequest>,
    ) -> Result<Response<UpdateActionResponse>, Status> {
        let update = self.action_update(request.into_inner()).await?;
        let id = update.id;
        self.store.change(update).await?;
        let row = self.store.action(id).await?;
        let registry = self.actions.registry();
        let read = registry.find(&row.kind).ok();
        let read = read.and_then(|kind| Some((kind, kind.read(&row.settings.values).ok()?)));
        let remarks = read.map(|(kind, settings)| kind.remarks(&settings)).unwrap_or_default();
        let action = Some(action(registry, row));
        Ok(Response::new(UpdateActionResponse { action, remarks }))
    }

    async fn delete_action(
        &self,
        request: Request<DeleteActionRequest>,
    ) -> Result<Response<DeleteActionResponse>, Status> {
        let id = id(request.into_inner().action_id)?;
        self.store.change(DeleteAction(id)).await?;
        Ok(Response::new(DeleteActionResponse {}))
    }

    async fn list_performed_actions(
        &self,
        request: Request<ListPerformedActionsRequest>,
    ) -> Result<Response<ListPerformedActionsResponse>, Status> {
        let mut request = request.into_inner();
        let (list, size, token) = parse::pages("performed action", &mut request)?;
        let page = Page::parse(size, &token)?;
        let job = parse::optional_id("job_id", "job", request.job_id)?.map(JobId);
        let state = v1::PerformedActionState::try_from(request.state)
            .map_err(|error| invalid("state", error))?;
        let progress = Progress::ALL.into_iter().find(|progress| to_state(*progress) == state);
        let template = request.run_template_id;
        let template = parse::optional_id("run_template_id", "run template", template)?;
        let company = parse::optional_id("company_id", "company", request.company_id)?;
        let since = request.since.as_ref().map(|time| parse::time("since", time)).transpose()?;
        let kind = Some(request.kind).filter(|kind| !kind.is_empty());
        let known = |kind: String| match self.actions.registry().find(&kind) {
            Ok(kind) => kind.name().to_owned(),
            // There may have been one.
            Err(_) => kind,
        };
        let which = PerformedFilter {
            job,
            progress,
            run_template: template.map(RunTemplateId),
            company: company.map(CompanyId),
            kind: kind.map(known),
            since,
        };
        let Listed { rows, next } = self.store.performed_actions(&which, page).await?;
        if let (Some(job), true) = (job, rows.is_empty()) {
            // An id that is not there is a mistake, not an empty list.
            self.store.job(job).await?;
        }
        let next_page_token = list.seal(&next);
        let actions = rows.into_iter().map(|row| self.performed(row)).collect();
        Ok(Response::new(ListPerformedActionsResponse { actions, next_page_token }))
    }

    async fn retry_performed_action(
        &self,
        request: Request<RetryPerformedActionRequest>,
    ) -> Result<Response<RetryPerformedActionResponse>, Status> {
        let id = performed_id(request.into_inner().performed_action_id)?;
        self.store.change(RetryAction(id)).await?;
        self.store.actions_added().notify_one();
        let action = Some(self.performed(self.store.performed_action(id).await?));
        Ok(Response::new(RetryPerformedActionResponse { action }))
    }

    async fn cancel_performed_action(
        &self,
        request: Request<CancelPerformedActionRequest>,
    ) -> Result<Response<CancelPerformedActionResponse>, Status> {
        let id = performed_id(request.into_inner().performed_action_id)?;
        self.store.change(CancelAction(id)).await?;
        self.store.actions_added().notify_one();
        let action = Some(self.performed(self.store.performed_action(id).await?));
        Ok(Response::new(CancelPerformedActionResponse { action }))
    }

    async fn list_action_kinds(
        &self,
        _: Request<ListActionKindsRequest>,
    ) -> Result<Response<ListActionKindsResponse>, Status> {
        let kinds = self.actions.registry().kinds().map(kind).collect();
        Ok(Response::new(ListActionKindsResponse { kinds }))
    }
}
