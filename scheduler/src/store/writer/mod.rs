//! The one writer. It takes every change that is waiting, applies them in order
//! in one transaction, commits, and only then tells the callers. While it
//! commits, the next ones gather: the busier it is, the more share a commit.
//!
//! Those of one kind are made at once where they can be ([`Change::TOGETHER`]): a hundred
//! cost a few statements.
//!
//! A change that the database refuses never spoils its neighbours: the
//! transaction is rolled back and each of its changes is applied by itself.

mod change;
mod pending;

use std::{collections::HashSet, sync::Arc};

use sqlx::{AnyConnection, Connection as _, any::AnyConnectOptions};
use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    Dialect, StoreError, connection::Connection, dialect, documents::Known, transitions::ends,
};
use crate::telemetry::{self, Transaction};
use pending::{Pending, Submitted};

pub use change::{Change, Tx};

/// Changes that may wait for the writer; a caller beyond that waits for a place.
const QUEUE: usize = 1024;

/// Most changes in one transaction.
const BATCH: usize = 512;

/// How often a change is made that collides with others.
const TRIES: u32 = 5;

/// What is rung after a commit.
#[derive(Clone, Debug)]
pub(super) struct Bells {
    /// If it has put actions into the outbox.
    pub(super) actions: Arc<Notify>,
    /// Always.
    pub(super) committed: watch::Sender<()>,
}

type Queue = mpsc::Sender<Box<dyn Pending>>;

/// A handle on the writer's task.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    queue: Arc<std::sync::Mutex<Option<Queue>>>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Writer {
    pub(super) fn start(
        connection: AnyConnection,
        options: AnyConnectOptions,
        dialect: Dialect,
        known: Known,
        bells: Bells,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let connection = Some(connection);
        let worker = Worker { connection, options, dialect, known, bells, waiting };
        Self {
            queue: Arc::new(std::sync::Mutex::new(Some(queue))),
            task: Arc::new(Mutex::new(Some(tokio::spawn(worker.run())))),
        }
    }

    pub(super) async fn submit<C: Change>(
        &self,
        change: C,
    ) -> Result<impl Future<Output = Result<C::Output, StoreError>> + Send + 'static, StoreError>
    {
        let (reply, result) = oneshot::channel();
        let queue = self.sender().ok_or(StoreError::Closed)?;
        queue
            .send(Box::new(Submitted::new(change, reply)))
            .await
            .map_err(|_| StoreError::Closed)?;
        Ok(async move { result.await.unwrap_or(Err(StoreError::Closed)) })
    }

    fn sender(&self) -> Option<Queue> {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Lets no change in any more and waits for those that wait.
    pub(super) async fn close(&self) {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the database writer ended badly");
        }
    }
}

struct Worker {
    connection: Option<AnyConnection>,
    options: AnyConnectOptions,
    dialect: Dialect,
    known: Known,
    bells: Bells,
    waiting: mpsc::Receiver<Box<dyn Pending>>,
}

impl Worker {
    async fn run(mut self) {
        while let Some(first) = self.waiting.recv().await {
            let mut batch = vec![first];
            match self.transact(&mut batch, true).await {
                Ok(()) => batch.into_iter().for_each(|change| change.settle(None)),
                Err(error) if batch.len() == 1 && !error.is_collision() => {
                    settle_all(batch, &error);
                }
                Err(error) => {
                    tracing::warn!(%error, changes = batch.len(), "a transaction failed; each of its changes is made by itself");
                    self.make_each(batch).await;
                }
            }
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database connection did not close cleanly");
        }
    }

    /// Makes changes one by one. Once the database is away it is so for all that are left: each
    /// would wait for it as long again.
    async fn make_each(&mut self, changes: Vec<Box<dyn Pending>>) {
        let mut changes = changes.into_iter();
        for change in changes.by_ref() {
            let mut alone = vec![change];
            match self.make_alone(&mut alone).await {
                Ok(()) => alone.into_iter().for_each(|change| change.settle(None)),
                Err(error) => {
                    settle_all(alone, &error);
                    if matches!(error, StoreError::Away(_)) {
                        return settle_all(changes.collect(), &error);
                    }
                }
            }
        }
    }

    /// Makes one change. Where another scheduler's transaction is in the way, it is made again:
    /// of two that wait for each other, the database lets one go on.
    async fn make_alone(&mut self, alone: &mut Vec<Box<dyn Pending>>) -> Result<(), StoreError> {
        let mut tries = 1;
        loop {
            match self.transact(alone, false).await {
                Err(error) if error.is_collision() && tries < TRIES => tries += 1,
                result => return result,
            }
        }
    }

    /// Applies `batch` in one transaction; with `gather`, changes that arrive
    /// while it works join it.
    async fn transact(
        &mut self,
        batch: &mut Vec<Box<dyn Pending>>,
        gather: bool,
    ) -> Result<(), StoreError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let connected = dialect::connect_writer(&self.options, self.dialect).await;
                none.insert(connected.inspect_err(|_| telemetry::store_failed())?)
            }
        };
        let waiting = gather.then_some(&mut self.waiting);
        let known = (self.dialect, &self.known);
        let (result, rolled_back) = apply_all(connection, known, batch, waiting).await;
        match &result {
            Err(StoreError::Away(_)) => self.connection = None,
            // Not the database's own word: the connection is not to be trusted.
            Err(StoreError::Database(error)) if error.as_database_error().is_none() => {
                self.connection = None;
            }
            // SQLite has rolled back by itself, as it does on a full disk, and the connection
            // still counts a transaction. The new one is opened before the old one is closed:
            // the last that closes a database removes files that need room to be made again.
            Err(_) if !rolled_back => {
                self.connection = dialect::connect_writer(&self.options, self.dialect).await.ok();
            }
            _ => {}
        }
        if result? {
            self.bells.actions.notify_one();
        }
        self.bells.committed.send_replace(());
        Ok(())
    }
}

/// Applies `batch`; whether that put actions into the outbox, and whether the transaction was
/// rolled back if not.
async fn apply_all(
    connection: &mut AnyConnection,
    (dialect, known): (Dialect, &Known),
    batch: &mut Vec<Box<dyn Pending>>,
    waiting: Option<&mut mpsc::Receiver<Box<dyn Pending>>>,
) -> (Result<bool, StoreError>, bool) {
    let mut watched = Transaction::begin();
    let mut transaction = match connection.begin_with(dialect.begin()).await {
        Ok(transaction) => transaction,
        Err(error) => return (Err(error.into()), true),
    };
    watched.locked();
    match apply_within(&mut transaction, (dialect, known), batch, waiting).await {
        Ok(actions) => match watched.commit(transaction.commit()).await {
            Ok(()) => {
                let names: Vec<_> = batch.iter().map(|change| change.name()).collect();
                watched.done(&names);
                (Ok(actions), true)
            }
            // Dropped, it is rolled back; whether that works is not known.
            Err(error) => (Err(error.into()), false),
        },
        Err(error) => (Err(error), transaction.rollback().await.is_ok()),
    }
}

async fn apply_within(
    connection: &mut AnyConnection,
    (dialect, known): (Dialect, &Known),
    batch: &mut Vec<Box<dyn Pending>>,
    mut waiting: Option<&mut mpsc::Receiver<Box<dyn Pending>>>,
) -> Result<bool, StoreError> {
    let mut connection = Connection::new(connection, dialect);
    let now = match dialect.own_clock() {
        Some(now) => now,
        None => sqlx::query_scalar(dialect.now()).fetch_one(&mut connection).await?,
    };
    let (vault, here, ends) = (&known.vault, HashSet::new(), Vec::new());
    let mut tx = Tx { conn: &mut connection, dialect, known, vault, now, here, ends };
    let mut next = 0;
    loop {
        while let Some(waiting) = waiting.as_mut().filter(|_| batch.len() < BATCH)
            && let Ok(change) = waiting.try_recv()
        {
            batch.push(change);
        }
        let turns = pending::turns(&mut batch[next..]);
        if turns.is_empty() {
            break;
        }
        for mut turn in turns {
            let first = turn.remove(0);
            first.apply(turn, &mut tx).await?;
        }
        next = batch.len();
    }
    ends::settle(&mut tx).await
}

fn settle_all(batch: Vec<Box<dyn Pending>>, error: &StoreError) {
    for change in batch {
        change.settle(Some(error.clone()));
    }
}

#[cfg(test)]
mod tests;
