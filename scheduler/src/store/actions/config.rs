//! The actions that run templates and companies have.

use sqlx::{AssertSqlSafe, Row as _};

use super::{
    effect::COMMANDS_OF,
    outbox::{companys_follows, no_command},
};
use crate::{
    domain::{
        action::{Mode, Owner, way_back},
        environment::Given,
        ids::{ActionId, CompanyId, RunTemplateId},
    },
    store::{Change, StoreError, Tx, rows, variables},
};

/// Gives a run template or a company an action.
#[derive(Clone, Debug)]
pub struct CreateAction {
    /// Whose it is.
    pub owner: Owner,
    /// What kind it is of.
    pub kind: String,
    /// After which ends it follows.
    pub mode: Mode,
    /// Where it stands among its owner's actions; at the end if absent.
    pub position: Option<i32>,
    /// What it is told.
    pub settings: Given,
    /// The run template that it makes jobs of.
    pub leads_to: Option<RunTemplateId>,
}

impl Change for CreateAction {
    type Output = ActionId;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<ActionId, StoreError> {
        company_of(tx, self.owner).await?;
        check_way(tx, ActionId(0), self.owner, self.leads_to).await?;
        let configuration = variables::to_json(&self.settings, tx.vault)?;
        let (template, company) = match self.owner {
            Owner::RunTemplate(id) => (Some(id.0), None),
            Owner::Company(id) => (None, Some(id.0)),
        };
        let id = sqlx::query_scalar(
            "INSERT INTO actionconfig (runtemplate_id, company_id, module, mode, position, \
             configuration, leads_to, created) SELECT $1, $2, $3, $4, \
             COALESCE($5, other.next, 1), $6, $7, $8 FROM (SELECT MAX(position) + 1 AS next \
             FROM actionconfig WHERE runtemplate_id = $1 OR company_id = $2) AS other RETURNING id",
        )
        .bind(template)
        .bind(company)
        .bind(self.kind.clone())
        .bind(self.mode.name().to_owned())
        .bind(self.position.map(i64::from))
        .bind(configuration)
        .bind(self.leads_to.map(|id| id.0))
        .bind(tx.now)
        .fetch_one(&mut *tx.conn)
        .await?;
        Ok(ActionId(id))
    }
}

/// The company whose jobs an action follows.
async fn company_of(tx: &mut Tx<'_>, owner: Owner) -> Result<i64, StoreError> {
    match owner {
        Owner::RunTemplate(id) => {
            let sql = "SELECT company_id FROM runtemplate WHERE id = $1";
            rows::found(tx, sql, "run template", id.0).await
        }
        Owner::Company(id) => {
            rows::found(tx, "SELECT id FROM company WHERE id = $1", "company", id.0).await
        }
    }
}

/// Refuses an action that would make jobs for another company, or jobs that lead to jobs of
/// its own run template again. One that a company has follows the jobs of all its run
/// templates but the one that it makes jobs of.
async fn check_way(
    tx: &mut Tx<'_>,
    own: ActionId,
    owner: Owner,
    to: Option<RunTemplateId>,
) -> Result<(), StoreError> {
    let Some(to) = to else { return Ok(()) };
    let company = company_of(tx, owner).await?;
    let other = company_of(tx, Owner::RunTemplate(to)).await?;
    if company != other {
        let of = match owner {
            Owner::RunTemplate(from) => format!(", and run template {from} of company {company}"),
            Owner::Company(_) => format!(" and not of company {company}"),
        };
        return Err(StoreError::Invalid(format!(
            "run_template_id is {to}: run template {to} is of company {other}{of}; companies do \
             not launch each other's jobs"
        )));
    }
    // Two that each close half of a loop wait for each other here.
    let lock = format!("SELECT id FROM company WHERE id = $1 {}", tx.dialect.lock_rows());
    sqlx::query(AssertSqlSafe(lock)).bind(company).execute(&mut *tx.conn).await?;
    // A command's jobs are those of a run template that is made for it.
    let follows = companys_follows();
    let edges = format!(
        "SELECT c.runtemplate_id, c.leads_to FROM actionconfig c \
         JOIN runtemplate t ON t.id = c.runtemplate_id \
         WHERE t.company_id = $1 AND c.leads_to IS NOT NULL AND c.id <> $2 \
         UNION SELECT t.id, c.leads_to FROM actionconfig c JOIN runtemplate t ON {follows} \
         WHERE c.company_id = $1 AND c.leads_to IS NOT NULL AND c.id <> $2 \
         UNION SELECT t.id, x.id FROM actionconfig c \
         JOIN runtemplate t ON t.id = c.runtemplate_id OR ({follows}) \
         JOIN runtemplate x ON x.company_id = t.company_id AND x.id <> t.id \
         AND x.name = '{COMMANDS_OF}' || CAST(c.id AS TEXT) \
         WHERE t.company_id = $1 AND c.module = 'CustomCommand' AND c.id <> $2"
    );
    let edges = pairs(tx, edges, [company, own.0]).await?;
    let from = match owner {
        Owner::RunTemplate(from) => vec![from],
        Owner::Company(_) => {
            let others = format!(
                "SELECT t.id, t.id FROM runtemplate t \
                 WHERE t.company_id = $1 AND t.id <> $2 AND {} ORDER BY t.id",
                no_command()
            );
            let others = pairs(tx, others, [company, to.0]).await?;
            others.into_iter().map(|(id, _)| id).collect()
        }
    };
    from.into_iter().try_for_each(|from| refuse_loop(&edges, from, to))
}

/// Pairs of run templates.
async fn pairs(
    tx: &mut Tx<'_>,
    sql: String,
    [first, second]: [i64; 2],
) -> Result<Vec<(RunTemplateId, RunTemplateId)>, StoreError> {
    let rows =
        sqlx::query(AssertSqlSafe(sql)).bind(first).bind(second).fetch_all(&mut *tx.conn).await?;
    let edge = |row: &sqlx::any::AnyRow| {
        Ok((RunTemplateId(row.try_get(0)?), RunTemplateId(row.try_get(1)?)))
    };
    rows.iter().map(edge).collect()
}

fn refuse_loop(
    edges: &[(RunTemplateId, RunTemplateId)],
    from: RunTemplateId,
    to: RunTemplateId,
) -> Result<(), StoreError> {
    match way_back(edges, from, to).as_deref() {
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
    /// Where it stands among its owner's actions.
    pub position: Option<i32>,
    /// What it is told, all of it, with the run template that it makes jobs of.
    pub settings: Option<(Given, Option<RunTemplateId>)>,
}

impl Change for UpdateAction {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let id = self.id;
        // A company's has a minus.
        let owner = "SELECT COALESCE(runtemplate_id, -company_id) FROM actionconfig WHERE id = $1";
        let owner = match rows::found(tx, owner, "action", id.0).await? {
            company @ ..0 => Owner::Company(CompanyId(-company)),
            template => Owner::RunTemplate(RunTemplateId(template)),
        };
        if let Some((settings, leads_to)) = &self.settings {
            check_way(tx, id, owner, *leads_to).await?;
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
        .bind(self.mode.as_ref().map(|mode| mode.name().to_owned()))
        .bind(self.position.map(i64::from))
        .execute(&mut *tx.conn)
        .await?;
        Ok(())
    }
}

/// Takes an action from its owner. Those of jobs that have ended stay.
#[derive(Clone, Copy, Debug)]
pub struct DeleteAction(pub ActionId);

impl Change for DeleteAction {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        rows::delete(tx, "DELETE FROM actionconfig WHERE id = $1", "action", self.0.0).await
    }
}
