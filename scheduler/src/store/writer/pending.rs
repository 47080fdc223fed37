//! Changes of any kind that wait, and those of one kind among them.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    iter,
    pin::Pin,
};

use tokio::sync::oneshot;

use super::{Change, Tx};
use crate::store::StoreError;

pub(super) type Applied<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;

/// A change of any kind, with the caller that waits for it.
pub(super) trait Pending: Any + Send {
    /// The name of the change's type.
    fn name(&self) -> &'static str;

    /// What it can be made together with: those that say the same.
    fn together(&self) -> Option<TypeId>;

    /// Makes it, and others that it can be made together with.
    fn apply<'a>(&'a mut self, others: Turn<'a>, tx: &'a mut Tx<'_>) -> Applied<'a>;

    /// Tells the caller what came of it, or why it failed.
    fn settle(self: Box<Self>, failure: Option<StoreError>);
}

impl std::fmt::Debug for dyn Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
    }
}

/// Changes that are made together.
pub(super) type Turn<'a> = Vec<&'a mut dyn Pending>;

/// The changes in their order, but for those that are made together: they are made with the
/// first of them.
pub(super) fn turns(changes: &mut [Box<dyn Pending>]) -> Vec<Turn<'_>> {
    let mut turns: Vec<Turn<'_>> = Vec::with_capacity(changes.len());
    let mut open = HashMap::new();
    for change in changes {
        let kind = change.together();
        match kind.and_then(|kind| open.get(&kind).copied()) {
            Some(turn) => {
                let turn: &mut Turn<'_> = &mut turns[turn];
                turn.push(change.as_mut());
            }
            None => {
                kind.map(|kind| open.insert(kind, turns.len()));
                turns.push(vec![change.as_mut()]);
            }
        }
    }
    turns
}

/// A change of one kind.
pub(super) struct Submitted<C: Change> {
    change: C,
    result: Option<Result<C::Output, StoreError>>,
    reply: oneshot::Sender<Result<C::Output, StoreError>>,
}

impl<C: Change> Submitted<C> {
    pub(super) fn new(change: C, reply: oneshot::Sender<Result<C::Output, StoreError>>) -> Self {
        Self { change, result: None, reply }
    }

    async fn apply_alone(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        match self.change.apply(tx).await {
            Err(error) if !error.is_answer() => Err(error),
            result => {
                self.result = Some(result);
                Ok(())
            }
        }
    }

    async fn apply_with(&mut self, others: Turn<'_>, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let others = others.into_iter().filter_map(|other| (other as &mut dyn Any).downcast_mut());
        let mut all: Vec<&mut Self> = iter::once(self).chain(others).collect();
        let changes: Vec<&C> = all.iter().map(|submitted| &submitted.change).collect();
        let outputs = C::apply_all(&changes, tx).await?;
        for (submitted, output) in all.iter_mut().zip(outputs) {
            submitted.result = Some(Ok(output));
        }
        Ok(())
    }
}

impl<C: Change> Pending for Submitted<C> {
    fn name(&self) -> &'static str {
        std::any::type_name::<C>()
    }

    fn together(&self) -> Option<TypeId> {
        C::TOGETHER.then(TypeId::of::<C>)
    }

    fn apply<'a>(&'a mut self, others: Turn<'a>, tx: &'a mut Tx<'_>) -> Applied<'a> {
        if others.is_empty() {
            return Box::pin(self.apply_alone(tx));
        }
        Box::pin(self.apply_with(others, tx))
    }

    fn settle(self: Box<Self>, failure: Option<StoreError>) {
        let result = match failure {
            Some(error) => Err(error),
            None => self.result.unwrap_or(Err(StoreError::Closed)),
        };
        // The caller may have gone; the change stands all the same.
        let _ = self.reply.send(result);
    }
}
