//! The only place that knows the SQL of our database. One function a question, one [`Change`] a
//! change; the guard of every change is in its writing statement.
//!
//! Readers use a pool; every change goes through one [`writer`] that puts what is
//! waiting into one transaction, so that a hundred transitions cost one commit.
//! Statements are written once: `$1` placeholders and the SQL that SQLite and
//! PostgreSQL share; [`mysql`] says them as MySQL and MariaDB do. What else differs stands
//! in [`dialect`] and nowhere else.

mod actions;
mod adopted;
mod agents;
mod announcements;
mod applications;
mod artifacts;
mod assign;
mod checkpoints;
mod companies;
mod connection;
mod credential_types;
mod credentials;
mod decisions;
mod declared;
mod dialect;
mod documents;
mod error;
mod events;
mod exclusive;
mod jobs;
mod list;
mod logs;
mod mysql;
mod objects;
mod page;
mod performance;
mod queue;
mod reseal;
mod retention;
mod rows;
mod run_templates;
mod schedulers;
mod schedules;
mod schema;
mod snapshot;
mod transfer;
mod transitions;
mod variables;
mod vitals;
mod writer;
mod zabbix;

use std::sync::Arc;

use sqlx::any::AnyPoolOptions;
use tokio::sync::{Notify, watch};

use connection::Connection;

use crate::{domain::ids::SchedulerId, vault::Vault};

pub use actions::{
    ActionClaim, ActionFailure, ActionRow, COMMAND, CancelAction, ClaimActions, ClaimedAction,
    CreateAction, DeleteAction, Effect, KeepAction, NextSettings, PerformedActionRow,
    PerformedFilter, PutOff, RecordAction, Recorded, ReleaseActions, ResumeAction, RetryAction,
    SealSettings, SecretSettings, UpdateAction,
};
pub use adopted::{Adopt, AdoptedRow, Brought, Link, Origin, Readopt};
pub use agents::{AgentFilter, AgentRow, RegisterAgent, Registered};
pub use announcements::{Announcer, Listener};
pub use applications::{ApplicationFilter, ApplicationRow, DeleteApplication, Put, PutApplication};
pub use artifacts::{
    About, AddPart, ArtifactFilter, ArtifactRow, BeginUpload, Content, FinishUpload, Part,
    PutArtifact, Source, Upload, hex,
};
pub use assign::{AssignCredential, CreateWithCredentials, UpdateWithCredentials};
pub use companies::{CompanyFilter, CompanyRow, CreateCompany, DeleteCompany, UpdateCompany};
pub use credential_types::{
    CredentialTypeFilter, CredentialTypeRow, DeleteCredentialType, PutCredentialType,
};
pub use credentials::{
    CreateCredential, CredentialFilter, CredentialRow, DeleteCredential, UpdateCredential,
};
pub use decisions::{Decision, DecisionRow, Waits};
pub use declared::{SealDeclared, Sealed, Sealing};
pub(crate) use dialect::in_time;
pub use dialect::{Dialect, Erased};
pub use documents::SealDefinitions;
pub use error::StoreError;
pub use events::{EventPage, EventRow, TrimEvents};
pub use exclusive::Exclusive;
pub use jobs::{
    AdoptJob, AdoptedFile, AttemptRow, CreateJobs, DeleteJob, DeleteJobs, Deleted, JobFilter,
    JobOrder, JobPage, JobRow, NewJobs, Start, TakeJobIds,
};
pub use list::{ListPage, Listed, Order, Sort};
pub use logs::{ChunkContent, PutChunk, StoredChunk};
pub use objects::{ObjectStoreRow, Referred, Referrer, RememberObjectStore};
pub use page::{ListId, MAX_PAGE, Page};
pub use performance::RunRow;
pub use queue::{CompanyLoad, PauseQueue, ProcessQueue, Processed, Progress, QueueCounts, Wait};
pub use reseal::{AllSealed, Reseal, Resealed};
pub use run_templates::{
    CreateRunTemplate, DeleteRunTemplate, NewRunTemplate, RunTemplateFilter, RunTemplateRow, Runs,
    UpdateRunTemplate,
};
pub use schedulers::{AgentLoad, Alive, KeepAlive, Leave, SchedulerRow};
pub use schedules::{
    FireSchedules, Fired, ScheduleChange, ScheduleRow, SetSchedule, SlotOutcome, SlotRow, TrimSlots,
};
pub use schema::{Upgrade, lacks, upgrade_database};
pub use snapshot::{check, go_on_from, snapshot};
pub use transfer::{Transferred, transfer};
pub use transitions::{
    Accept, CancelJob, Cancelled, Claim, Claimed, Ended, Finish, Finished, FinishingAttempts,
    GiveUp, HeldRow, LoseContact, Lost, Missing, Overdue, QueueJob, Queued, Reconcile, Reconciled,
    ReleaseDue, Started, StartedRow, Withdraw,
};
pub use vitals::{Catalogue, Pool, Vitals};
pub use writer::{Change, Tx};
pub use zabbix::{
    AdvanceZabbix, ForgetZabbix, Gauges, JobFacts, TakeZabbix, Told, Watched, WatchedAction,
    WatchedCompany, ZabbixCursor, ZabbixProgress,
};

/// Where the database is.
#[derive(Clone, Debug)]
pub struct Location {
    /// A URL as sqlx takes it.
    pub url: String,
    /// How to name it to a user: a path or a URL without its password.
    pub name: String,
}

/// What the program that opens a database is to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Scheduler,
    Tool,
}

/// An open database.
#[derive(Clone, Debug)]
pub struct Store {
    readers: connection::Readers,
    writer: writer::Writer,
    dialect: Dialect,
    known: documents::Known,
    actions: Arc<Notify>,
    gaps: events::Gaps,
    committed: watch::Sender<()>,
}

impl Store {
    /// Opens the database and brings its schema up to date. The database must be
    /// one of ours, of this version or an older one. `vault` seals and opens secrets.
    pub async fn open(location: &Location, vault: Vault) -> Result<Self, StoreError> {
        Self::open_as(Role::Scheduler, location, vault).await
    }

    /// Opens it as [`Store::open`] does for a program that works on the database beside the
    /// schedulers: it dispatches nothing, so it is none of them.
    pub async fn open_beside(location: &Location, vault: Vault) -> Result<Self, StoreError> {
        Self::open_as(Role::Tool, location, vault).await
    }

    async fn open_as(role: Role, location: &Location, vault: Vault) -> Result<Self, StoreError> {
        let dialect = Dialect::of(&location.url)?;
        let options = dialect::options(location)?;
        dialect::make_private(location, dialect);
        let mut connection = dialect::connect(&options, dialect)
            .await
            .map_err(|error| StoreError::open(location, &error))?;
        schema::migrate(&mut connection, dialect, location).await?;
        dialect::prepare_writer(&mut connection, dialect)
            .await
            .map_err(|error| StoreError::open(location, &error))?;
        let readers = AnyPoolOptions::new()
            .max_connections(dialect.readers())
            .min_connections(0)
            .acquire_timeout(dialect::PATIENCE)
            .after_connect(move |connection, _| Box::pin(dialect::prepare(connection, dialect)))
            .connect_lazy_with(options.clone());
        let readers = connection::Readers::new(readers, dialect);
        let me = match role {
            Role::Scheduler => {
                schedulers::enter(&mut Connection::new(&mut connection, dialect), dialect)
                    .await
                    .map_err(|error| StoreError::open(location, &error))?
            }
            Role::Tool => SchedulerId(0),
        };
        let known = documents::Known::new(vault, me);
        let actions = Arc::new(Notify::new());
        let rung = Arc::clone(&actions);
        let committed = watch::Sender::new(());
        let bells = writer::Bells { actions: rung, committed: committed.clone() };
        let writer = writer::Writer::start(connection, options, dialect, known.clone(), bells);
        if role == Role::Scheduler {
            tokio::spawn(checkpoints::run(readers.clone(), dialect, committed.subscribe()));
        }
        let gaps = events::Gaps::default();
        Ok(Self { readers, writer, dialect, known, actions, gaps, committed })
    }

    /// Seals and opens its secrets.
    pub fn vault(&self) -> &Vault {
        &self.known.vault
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether several schedulers can use it at once.
    pub fn is_shared(&self) -> bool {
        self.dialect.is_shared()
    }

    /// Makes a change durable: when this returns `Ok`, the change is committed.
    pub async fn change<C: Change>(&self, change: C) -> Result<C::Output, StoreError> {
        self.writer.submit(change).await?.await
    }

    /// Hands a change to the writer and returns at once; the future that comes
    /// back resolves when it is committed. Changes handed in one after the other
    /// are applied in that order, in one transaction if they are quick enough; those that
    /// are made together ([`Change::TOGETHER`]) with the first of them.
    pub async fn begin_change<C: Change>(
        &self,
        change: C,
    ) -> Result<impl Future<Output = Result<C::Output, StoreError>> + Send + 'static, StoreError>
    {
        self.writer.submit(change).await
    }

    /// Takes what was deleted or overwritten out of the database's own files.
    pub async fn erase_deleted(&self) -> Result<Erased, StoreError> {
        let mut conn = self.readers.acquire().await?;
        Ok(dialect::erase(&mut conn, self.dialect).await?)
    }

    /// The database's time, in microseconds since the Unix epoch.
    pub async fn now(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(self.dialect.now()).fetch_one(&self.readers).await?)
    }

    /// A receiver that sees every commit of this scheduler after this call.
    pub fn commits(&self) -> watch::Receiver<()> {
        self.committed.subscribe()
    }

    /// Finishes what was handed to the writer and closes every connection.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
        // Who waits for a commit sees that none will come.
        self.committed.send_replace(());
    }
}
