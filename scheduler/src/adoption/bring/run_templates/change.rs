//! Changes of a run template together with the credentials that it uses.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    domain::ids::{CredentialId, RunTemplateId},
    store::{AssignCredential, Change, CreateRunTemplate, StoreError, Tx, UpdateRunTemplate},
};

/// Assigns a credential after something was written: a refusal takes that back too.
async fn assign(tx: &mut Tx<'_>, change: AssignCredential) -> Result<(), StoreError> {
    let whole = |refusal: StoreError| match refusal.is_answer() {
        true => StoreError::Database(Arc::new(sqlx::Error::Protocol(refusal.to_string()))),
        false => refusal,
    };
    change.apply(tx).await.map_err(whole)
}

/// Creates a run template that uses credentials.
pub(super) struct WithCredentials {
    pub(super) what: CreateRunTemplate,
    pub(super) uses: BTreeSet<i64>,
}

impl Change for WithCredentials {
    type Output = RunTemplateId;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<RunTemplateId, StoreError> {
        let run_template = self.what.apply(tx).await?;
        for id in &self.uses {
            let id = CredentialId(*id);
            assign(tx, AssignCredential { id, run_template, assign: true }).await?;
        }
        Ok(run_template)
    }
}

/// Changes a run template and the credentials that it uses.
pub(super) struct Reassign {
    pub(super) what: UpdateRunTemplate,
    pub(super) own: RunTemplateId,
    pub(super) changed: Vec<(i64, bool)>,
}

impl Change for Reassign {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.what.apply(tx).await?;
        for (id, to) in &self.changed {
            let (id, run_template) = (CredentialId(*id), self.own);
            assign(tx, AssignCredential { id, run_template, assign: *to }).await?;
        }
        Ok(())
    }
}
