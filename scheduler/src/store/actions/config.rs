//! The actions that run templates have.

use sqlx::Row as _;

use crate::{
    domain::{
        action::{Mode, way_back},
        environment::Given,
        ids::{ActionId, RunTemplateId},
    },
    store::{Change, StoreError, Tx, rows, variables},
};

/// Gives a run template an action.
#[derive(Clone, Debug)]
pub struct CreateAction {
    /// The run template.
    pub run_template: RunTemplateId,
    /// What kind it is of.
    pub kind: String,
    /// After which ends it follows.
    pub mode: Mode,
    /// Where it stands among the run template's actions; at the end if absent.
    pub position: Option<i32>,
    /// What it is told.
    pub settings: Given,
    /// The run template that it makes jobs of.
    pub leads_to: Option<RunTemplateId>,
}

impl Change for CreateAction {
    type Output = ActionId;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<ActionId, StoreError> {
        let template = self.run_template.0;
        let of_template = "SELECT company_id FROM runtemplate WHERE id = $1";
        rows::found(tx, of_template, "run template", template).await?;
        check_way(tx, ActionId(0), self.run_template, self.leads_to).await?;
        let configuration = variables::to_json(&self.settings, tx.vault)?;
        let id = sqlx::query_scalar(
            "INSERT INTO actionconfig (runtemplate_id, module, mode, position, configuration, \
             leads_to, created) SELECT $1, $2, $3, COALESCE($4, (SELECT MAX(position) + 1 \
             FROM actionconfig WHERE runtemplate_id = $1), 1), $5, $6, $7 \
             FROM runtemplate WHERE id = $1 RETURNING id",
        )
        .bind(template)
        .bind(self.kind.clone())
        .bind(self.mode.name())
        .bind(self.position.map(i64::from))
        .bind(configuration)
        .bind(self.leads_to.map(|id| id.0))
        .bind(tx.now)
        .fetch_one(&mut *tx.conn)
        .await?;
        Ok(ActionId(id))
    }
}

/// Refuses an action that would make jobs for another company, or jobs that lead to jobs of
/// its own run template again.
async fn check_way(
    tx: &mut Tx<'_>,
    own: ActionId,
    from: RunTemplateId,
    to: Option<RunTemplateId>,
) -> Result<(), StoreError> {
    let Some(to) = to else { return Ok(()) };
    let company_of = "SELECT company_id FROM runtemplate WHERE id = $1";
    let owner = rows::found(tx, company_of, "run template", from.0).await?;
    let other = rows::found(tx, company_of, "run template", to.0).await?;
    if owner != other {
        return Err(StoreError::Invalid(format!(
            "run_template_id is {to}: run template {to} is of company {other}, and run template \
             {from} of company {owner}; companies do not launch each other's jobs"
        )));
    }
    // Two that each close half of a loop wait for each other here.
    let lock = format!("SELECT id FROM company WHERE id = $1 {}", tx.dialect.lock_rows());
    sqlx::query(sqlx::AssertSqlSafe(lock)).bind(owner).execute(&mut *tx.conn).await?;
    let edges = sqlx::query(
        "SELECT c.runtemplate_id, c.leads_to FROM actionconfig c \
         JOIN runtemplate t ON t.id = c.runtemplate_id \
         WHERE t.company_id = $1 AND c.leads_to IS NOT NULL AND c.id <> $2",
    )
    .bind(owner)
    .bind(own.0)
    .fetch_all(&mut *tx.conn)
    .await?;
    let edge = |row: &sqlx::any::AnyRow| {
        Ok::<_, sqlx::Error>((RunTemplateId(row.try_get(0)?), RunTemplateId(row.try_get(1)?)))
    };
    let edges: Vec<_> = edges.iter().map(edge).collect::<Result<_, _>>()?;
    match way_back(&edges, from, to).as_deref() {
        None => Ok(()),
        Some([_]) => Err(StoreError::Invalid(format!(
            "run_template_id is {to}: run template {from} would launch itself for ever; take \
             Reschedule to run it again and again"
        ))),
        Some(way) => {
            let way: Vec<String> = way.iter().map(ToString::to_string).collect();
            Err(StoreError::Invalid(format!(
                "run_template_id is {to}: run template {to} leads back to {from} already ({}), and \
                 their jobs would launch each other for ever",
                way.join(" launches ")
            )))
        }
    }
}

/// Changes an action; what is absent stays as it is.
#[derive(Clone, Debug)]
pub struct UpdateAction {
    /// The action.
    pub id: ActionId,
    /// After which ends it follows.
    pub mode: Option<Mode>,
    /// Where it stands among its run template's actions.
    pub position: Option<i32>,
    /// What it is told, all of it, with the run template that it makes jobs of.
    pub settings: Option<(Given, Option<RunTemplateId>)>,
}

impl Change for UpdateAction {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.id;
        let template = "SELECT runtemplate_id FROM actionconfig WHERE id = $1";
        let template = RunTemplateId(rows::found(tx, template, "action", id.0).await?);
        if let Some((settings, leads_to)) = &self.settings {
            check_way(tx, id, template, *leads_to).await?;
            let configuration = variables::to_json(settings, tx.vault)?;
            sqlx::query("UPDATE actionconfig SET configuration = $2, leads_to = $3 WHERE id = $1")
                .bind(id.0)
                .bind(configuration)
                .bind(leads_to.map(|id| id.0))
                .execute(&mut *tx.conn)
                .await?;
        }
        sqlx::query(
            "UPDATE actionconfig SET mode = COALESCE($2, mode), \
             position = COALESCE($3, position) WHERE id = $1",
        )
        .bind(id.0)
        .bind(self.mode.map(Mode::name))
        .bind(self.position.map(i64::from))
        .execute(&mut *tx.conn)
        .await?;
        Ok(())
    }
}

/// Takes an action from its run template. Those of jobs that have ended stay.
#[derive(Clone, Copy, Debug)]
pub struct DeleteAction(pub ActionId);

impl Change for DeleteAction {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        rows::delete(tx, "DELETE FROM actionconfig WHERE id = $1", "action", self.0.0).await
    }
}
