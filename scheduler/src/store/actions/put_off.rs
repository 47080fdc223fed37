//! Actions that were claimed and have no place with whoever claimed them: they are let go of and
//! say what they wait for. They come back when their time has come, whatever becomes of that
//! scheduler, or sooner if it has a place for them.

use std::time::Duration;

use serde_json::json;
use sqlx::AssertSqlSafe;

use super::outbox::{ActionClaim, CLAIMED, ClaimedAction, claimed, microseconds};
use crate::{
    domain::action::Progress,
    store::{Change, StoreError, Tx, dialect::Kind},
};

/// What is said first of an action that was put off.
pub(super) const WAITS: &str = "waits: ";

/// Puts off actions that were not begun, as if they had not been claimed.
#[derive(Clone, Debug)]
pub struct PutOff {
    /// The claims, each with what it waits for, in words.
    pub claims: Vec<(ActionClaim, String)>,
    /// For how long.
    pub pause: Duration,
}

impl Change for PutOff {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let row = |(claim, why): &(ActionClaim, String)| {
            json!([claim.id.0, claim.fence.0, format!("{WAITS}{why}")])
        };
        let rows: Vec<_> = self.claims.iter().map(row).collect();
        let columns = [("k_id", Kind::Int), ("k_fence", Kind::Int), ("k_why", Kind::Text)];
        let sql = format!(
            "UPDATE action SET state = '{}', due = $2, outcome = r.k_why, \
             started = CASE WHEN tries > 1 THEN started END, tries = tries - 1 \
             FROM {} WHERE action.id = r.k_id AND action.fence = r.k_fence \
             AND action.state = '{}'",
            Progress::Pending,
            tx.dialect.rows("$1", &columns),
            Progress::Running,
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(json!(rows).to_string())
            .bind(tx.now.saturating_add(microseconds(self.pause)))
            .execute(&mut *tx.conn)
            .await?;
        Ok(())
    }
}

/// Claims an action that was put off and that nobody has claimed, cancelled or begun since.
#[derive(Clone, Copy, Debug)]
pub struct ResumeAction {
    /// The claim that was let go of.
    pub claim: ActionClaim,
    /// How long it is left to whoever takes it.
    pub lease: Duration,
}

impl Change for ResumeAction {
    type Output = Option<ClaimedAction>;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Option<ClaimedAction>, StoreError> {
        let sql = format!(
            "UPDATE action SET state = '{}', fence = fence + 1, tries = tries + 1, due = $4, \
             started = COALESCE(started, $3), outcome = NULL \
             WHERE id = $1 AND fence = $2 AND {} = '{}' {CLAIMED}",
            Progress::Running,
            tx.dialect.unindexed("state"),
            Progress::Pending,
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(self.claim.id.0)
            .bind(self.claim.fence.0)
            .bind(tx.now)
            .bind(tx.now.saturating_add(microseconds(self.lease)))
            .fetch_optional(&mut *tx.conn)
            .await?;
        row.map(|row| claimed(&row, tx.vault)).transpose()
    }
}
