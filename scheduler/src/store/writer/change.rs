//! What a change to the database is, and the transaction that it is made in.

use std::collections::HashSet;

use crate::{
    domain::ids::AgentId,
    store::{
        Dialect, StoreError, connection::Connection, documents::Known, transitions::ends::End,
    },
    vault::Vault,
};

/// A change to the database. It may be applied more than once (after a rollback),
/// and returns an error for which [`StoreError::is_answer`] holds only if it has
/// written nothing.
pub trait Change: Send + Sync + 'static {
    /// What the caller learns.
    type Output: Send + 'static;

    /// Makes the change within a transaction.
    fn apply(
        &self,
        tx: &mut Tx<'_>,
    ) -> impl Future<Output = Result<Self::Output, StoreError>> + Send;

    /// Whether those of this kind that wait are made at once, with the first of them and so
    /// before what lies between. Only for what depends on no other change that waits.
    const TOGETHER: bool = false;

    /// Makes several, for less than one after the other costs: what each caller learns, in
    /// their order. An error refuses them all, and each is then made by itself.
    fn apply_all(
        changes: &[&Self],
        tx: &mut Tx<'_>,
    ) -> impl Future<Output = Result<Vec<Self::Output>, StoreError>> + Send {
        async move {
            let mut outputs = Vec::with_capacity(changes.len());
            for change in changes {
                outputs.push(change.apply(tx).await?);
            }
            Ok(outputs)
        }
    }
}

/// The transaction that a change is made in.
#[derive(Debug)]
pub struct Tx<'c> {
    /// The connection.
    pub(in crate::store) conn: &'c mut Connection<'c>,
    /// Which database it is.
    pub(in crate::store) dialect: Dialect,
    /// Definitions that were read before.
    pub(in crate::store) known: &'c Known,
    /// Seals and opens secrets.
    pub(in crate::store) vault: &'c Vault,
    /// The database's time when the transaction began, in microseconds since the
    /// Unix epoch.
    pub(in crate::store) now: i64,
    /// Agents that are known to be connected to this scheduler while the transaction lasts.
    pub(in crate::store) here: HashSet<AgentId>,
    /// Jobs that have ended for good in it.
    pub(in crate::store) ends: Vec<End>,
}
