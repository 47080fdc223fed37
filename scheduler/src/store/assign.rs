//! Which credentials run templates use: table `runtplcreds`. All that may be refused is
//! looked at before anything is written, as of every [`Change`].

use std::collections::BTreeSet;

use super::{Change, CreateRunTemplate, StoreError, Tx, UpdateRunTemplate, rows};
use crate::domain::ids::{CompanyId, CredentialId, RunTemplateId};

/// Refuses a credential of another company than a run template's.
async fn check(tx: &mut Tx<'_>, id: CredentialId, company: CompanyId) -> Result<(), StoreError> {
    let sql = "SELECT company_id FROM credentials WHERE id = $1";
    let owner = rows::found(tx, sql, "credential", id.0).await?;
    if owner == company.0 {
        return Ok(());
    }
    Err(StoreError::Invalid(format!(
        "credential {id} is of company {owner}, and the run template of company {company}: \
         companies do not share credentials"
    )))
}

/// The company that a run template is of.
async fn company(tx: &mut Tx<'_>, id: RunTemplateId) -> Result<CompanyId, StoreError> {
    let sql = "SELECT company_id FROM runtemplate WHERE id = $1";
    Ok(CompanyId(rows::found(tx, sql, "run template", id.0).await?))
}

/// Writes what was checked; whether that changed something.
async fn write(
    tx: &mut Tx<'_>,
    id: CredentialId,
    run_template: RunTemplateId,
    assign: bool,
) -> Result<bool, StoreError> {
    let sql = match assign {
        true => {
            "INSERT INTO runtplcreds (runtemplate_id, credentials_id) VALUES ($1, $2) \
             ON CONFLICT DO NOTHING"
        }
        false => "DELETE FROM runtplcreds WHERE runtemplate_id = $1 AND credentials_id = $2",
    };
    let written = sqlx::query(sql).bind(run_template.0).bind(id.0).execute(&mut *tx.conn).await?;
    Ok(written.rows_affected() > 0)
}

/// Lets a run template use a credential of its company, or no longer; whether that is new.
#[derive(Clone, Copy, Debug)]
pub struct AssignCredential {
    /// The credential.
    pub id: CredentialId,
    /// The run template.
    pub run_template: RunTemplateId,
    /// Use it, or no longer.
    pub assign: bool,
}

impl Change for AssignCredential {
    type Output = bool;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let company = company(tx, self.run_template).await?;
        check(tx, self.id, company).await?;
        write(tx, self.id, self.run_template, self.assign).await
    }
}

/// Creates a run template that uses credentials.
#[derive(Clone, Debug)]
pub struct CreateWithCredentials {
    /// The run template.
    pub create: CreateRunTemplate,
    /// The credentials that it uses.
    pub uses: BTreeSet<CredentialId>,
    /// Whether jobs can be made of it.
    pub active: bool,
}

impl Change for CreateWithCredentials {
    type Output = RunTemplateId;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<RunTemplateId, StoreError> {
        for id in &self.uses {
            check(tx, *id, self.create.0.company).await?;
        }
        let run_template = self.create.apply(tx).await?;
        for id in &self.uses {
            write(tx, *id, run_template, true).await?;
        }
        if !self.active {
            let id = run_template;
            UpdateRunTemplate { active: Some(false), ..UpdateRunTemplate::of(id) }
                .apply(tx)
                .await?;
        }
        Ok(run_template)
    }
}

/// Changes a run template and which credentials it uses.
#[derive(Clone, Debug)]
pub struct UpdateWithCredentials {
    /// What changes of the run template itself.
    pub update: UpdateRunTemplate,
    /// Credentials, and whether it uses each from now on.
    pub uses: Vec<(CredentialId, bool)>,
}

impl Change for UpdateWithCredentials {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let company = company(tx, self.update.id).await?;
        for (id, _) in &self.uses {
            check(tx, *id, company).await?;
        }
        self.update.apply(tx).await?;
        for (id, to) in &self.uses {
            write(tx, *id, self.update.id, *to).await?;
        }
        Ok(())
    }
}
