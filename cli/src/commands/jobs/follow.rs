//! Reads a job's output from a cursor on, and goes on from there when the
//! connection breaks: nothing is missing, nothing comes twice.

use multiflexi_proto::v1::{Attempt, LogRecord, LogStream, TailLogRequest};
use prost_types::Timestamp;
use tonic::Status;

use super::patience::Patience;
use crate::{connect::Server, exit_code::Exit, failure::Failure};

/// Where the output goes.
pub trait Sink {
    /// Takes some records, in the order they were read.
    fn take(&mut self, records: &[LogRecord]) -> Result<(), Failure>;

    /// Nothing more comes.
    fn finish(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// What is read.
#[derive(Clone, Debug)]
pub struct Follow {
    /// The job.
    pub job: i64,
    /// Number of the attempt; 0 for the newest.
    pub attempt: i32,
    /// Only this stream; unspecified for both.
    pub stream: LogStream,
    /// Waits for more until the attempt has ended.
    pub follow: bool,
    /// Only what was read at or after this time.
    pub since: Option<Timestamp>,
}

/// How following ended.
#[derive(Debug)]
pub enum Followed {
    /// The attempt has ended.
    Ended(Box<Attempt>),
    /// There is no more for now.
    NoMore,
    /// The user has interrupted it.
    Interrupted,
}

impl Follow {
    /// Follows all output of the newest attempt of a job.
    pub fn new(job: i64) -> Self {
        Self { job, attempt: 0, stream: LogStream::Unspecified, follow: true, since: None }
    }

    /// Reads until the end, or until `interrupted` resolves.
    pub async fn run(
        self,
        server: &Server,
        sink: &mut impl Sink,
        interrupted: impl Future<Output = ()>,
    ) -> Result<Followed, Failure> {
        let mut reading = Reading { follow: self, server: server.clone(), cursor: 0 };
        tokio::select! {
            followed = reading.run(sink) => followed,
            () = interrupted => Ok(Followed::Interrupted),
        }
    }
}

struct Reading {
    follow: Follow,
    server: Server,
    cursor: i64,
}

impl Reading {
    async fn run(&mut self, sink: &mut impl Sink) -> Result<Followed, Failure> {
        let mut patience = Patience::new();
        loop {
            let before = self.cursor;
            let status = match self.read(sink).await? {
                Ok(followed) => {
                    sink.finish()?;
                    return Ok(followed);
                }
                Err(status) => status,
            };
            patience.reconnect(&mut self.server, status, self.cursor > before).await?;
        }
    }

    /// Reads over one connection. The outer error is final.
    async fn read(&mut self, sink: &mut impl Sink) -> Result<Result<Followed, Status>, Failure> {
        let request = TailLogRequest {
            job_id: self.follow.job,
            attempt: self.follow.attempt,
            stream: self.follow.stream.into(),
            follow: self.follow.follow,
            cursor: self.cursor,
            since: self.follow.since,
        };
        let mut answers = match self.server.jobs().tail_log(request).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return Ok(Err(status)),
        };
        loop {
            match answers.message().await {
                Ok(Some(answer)) => {
                    sink.take(&answer.records)?;
                    self.cursor = answer.next_cursor;
                    if let Some(attempt) = answer.ended {
                        return Ok(Ok(Followed::Ended(Box::new(attempt))));
                    }
                }
                Ok(None) if self.follow.follow => {
                    return Ok(Err(Status::unavailable("the scheduler has ended the stream")));
                }
                Ok(None) => return Ok(Ok(Followed::NoMore)),
                Err(status) => return Ok(Err(status)),
            }
        }
    }
}

/// The failure of a follower that gave up on purpose.
pub(super) fn detached(job: i64) -> Failure {
    Failure::new(Exit::Detached, format!("interrupted; job {job} goes on")).hint(afterwards(job))
}

/// What can be done about a job that nobody follows any more.
pub(super) fn afterwards(job: i64) -> String {
    format!(
        "`multiflexi-cli job:logs {job} --follow` shows the rest, `multiflexi-cli job:cancel {job}` \
         ends it"
    )
}
