//! `ActionService`.

use multiflexi_proto::{
    timestamp,
    v1::{
        self, CreateActionRequest, CreateActionResponse, DeleteActionRequest, DeleteActionResponse,
        GetActionRequest, GetActionResponse, ListActionKindsRequest, ListActionKindsResponse,
        ListActionsRequest, ListActionsResponse, ListPerformedActionsRequest,
        ListPerformedActionsResponse, UpdateActionRequest, UpdateActionResponse,
        action_service_server::ActionService,
    },
};
use tonic::{Request, Response, Status};

use super::{Services, environment, parse, status::invalid};
use crate::{
    actions::{Action, Field, SettingError},
    domain::{
        action::{Mode, Progress},
        environment::Variables,
        ids::{ActionId, JobId, RunTemplateId},
    },
    store::{ActionRow, CreateAction, DeleteAction, Page, PerformedActionRow, UpdateAction},
};

/// The highest position of an action.
const MAX_POSITION: i32 = 1_000_000;

fn action(row: ActionRow) -> v1::Action {
    let mode = match row.mode {
        Mode::Success => v1::ActionMode::Success,
        Mode::Fail => v1::ActionMode::Fail,
        Mode::Always => v1::ActionMode::Always,
    };
    v1::Action {
        id: row.id.0,
        run_template_id: row.run_template.0.0,
        run_template_name: row.run_template.1,
        kind: row.kind,
        mode: mode.into(),
        position: row.position,
        settings: environment::shown(row.settings, None),
        created: Some(timestamp(row.created)),
    }
}

fn to_state(progress: Progress) -> v1::PerformedActionState {
    match progress {
        Progress::Pending => v1::PerformedActionState::Pending,
        Progress::Running => v1::PerformedActionState::Running,
        Progress::Succeeded => v1::PerformedActionState::Succeeded,
        Progress::Failed => v1::PerformedActionState::Failed,
    }
}

/// An action of an ended job.
pub(super) fn performed(row: PerformedActionRow) -> v1::PerformedAction {
    v1::PerformedAction {
        id: row.id.0,
        job_id: row.job.0.0,
        attempt: row.job.1,
        action_id: row.action.0,
        kind: row.kind,
        settings: environment::shown(row.settings, None),
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
    };
    v1::ActionKind {
        name: kind.name().to_owned(),
        description: kind.about().to_owned(),
        fields: kind.fields().iter().map(field).collect(),
    }
}

fn id(value: i64) -> Result<ActionId, Status> {
    parse::id("action_id", "action", value).map(ActionId)
}

fn template(value: i64) -> Result<RunTemplateId, Status> {
    parse::id("run_template_id", "run template", value).map(RunTemplateId)
}

/// After which ends an action follows; none if that is not said.
fn mode(value: i32) -> Result<Option<Mode>, Status> {
    match v1::ActionMode::try_from(value) {
        Ok(v1::ActionMode::Unspecified) => Ok(None),
        Ok(v1::ActionMode::Success) => Ok(Some(Mode::Success)),
        Ok(v1::ActionMode::Fail) => Ok(Some(Mode::Fail)),
        Ok(v1::ActionMode::Always) => Ok(Some(Mode::Always)),
        Err(error) => Err(invalid("mode", error)),
    }
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
        Ok(Some(action(self.store.action(id).await?)))
    }

    async fn action_update(&self, request: UpdateActionRequest) -> Result<UpdateAction, Status> {
        let id = id(request.action_id)?;
        let mut update = UpdateAction {
            id,
            mode: mode(request.mode)?,
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
        let read = kind.read(&settings.values).map_err(|error| wrong_setting(&error))?;
        update.settings = Some((settings, kind.leads_to(&read)));
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
        let run_template = template(request.run_template_id)?;
        let kind = self.actions.registry().find(&request.kind);
        let kind = kind.map_err(|error| invalid("kind", error))?;
        let unsaid = || invalid("mode", "say on which ends it follows: success, fail or always");
        let mode = mode(request.mode)?.ok_or_else(unsaid)?;
        let settings: Variables = request.settings.into_iter().collect();
        let read = kind.read(&settings).map_err(|error| wrong_setting(&error))?;
        let create = CreateAction {
            run_template,
            kind: kind.name().to_owned(),
            mode,
            position: request.position.map(position).transpose()?,
            settings: settings.into(),
            leads_to: kind.leads_to(&read),
        };
        let id = self.store.change(create).await?;
        Ok(Response::new(CreateActionResponse { action: self.action(id).await? }))
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
        let of = parse::optional_id("run_template_id", "run template", request.run_template_id)?;
        let of = of.map(RunTemplateId);
        let rows = self.store.actions(of, page).await?;
        if let (Some(of), true) = (of, rows.is_empty()) {
            // An id that is not there is a mistake, not an empty list.
            self.store.run_template(of).await?;
        }
        let next_page_token = list.seal(&page.next(&rows, |row| row.id.0));
        let actions = rows.into_iter().map(action).collect();
        Ok(Response::new(ListActionsResponse { actions, next_page_token }))
    }

    async fn update_action(
        &self,
        request: Request<UpdateActionRequest>,
    ) -> Result<Response<UpdateActionResponse>, Status> {
        let update = self.action_update(request.into_inner()).await?;
        let id = update.id;
        self.store.change(update).await?;
        Ok(Response::new(UpdateActionResponse { action: self.action(id).await? }))
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
        let rows = self.store.performed_actions((job, progress), page).await?;
        if let (Some(job), true) = (job, rows.is_empty()) {
            // An id that is not there is a mistake, not an empty list.
            self.store.job(job).await?;
        }
        let next_page_token = list.seal(&page.next(&rows, |row| row.id.0));
        let actions = rows.into_iter().map(performed).collect();
        Ok(Response::new(ListPerformedActionsResponse { actions, next_page_token }))
    }

    async fn list_action_kinds(
        &self,
        _: Request<ListActionKindsRequest>,
    ) -> Result<Response<ListActionKindsResponse>, Status> {
        let kinds = self.actions.registry().kinds().map(kind).collect();
        Ok(Response::new(ListActionKindsResponse { kinds }))
    }
}
