//! `JobService.TailLog`: the output of an attempt from a cursor on. Each follower
//! is a task of its own that reads at its reader's pace; it holds a few pieces and
//! otherwise waits, so that a slow one costs nobody anything. Where the attempt's agent is
//! connected to another scheduler, that one is asked and its answers are handed on.

use std::time::Duration;

use bytes::Bytes;
use multiflexi_proto::{
    frame::{self, Stream},
    timestamp, timestamp_micros,
    v1::{self, LogStream, TailLogRequest, TailLogResponse},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, metadata::MetadataValue};

use super::answer::{attempt, to_state};
use crate::{
    api::{Answers, Services, status::invalid},
    domain::{
        exit_code,
        ids::{AttemptKey, JobId},
        job::State,
    },
    logs::{LiveLog, LogReader},
    store::{JobRow, StoreError},
};

/// Says in a request that another scheduler makes it for somebody.
pub(super) const FOR_PEER: &str = "multiflexi-for-peer";

/// How long a follower waits before it asks again, when another scheduler breaks off.
const AGAIN: Duration = Duration::from_millis(500);

/// Pieces that wait for a follower; each has about a quarter of a MiB.
const AHEAD: usize = 2;

/// Which records a follower wants.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    stream: Option<Stream>,
    since: i64,
}

impl Wanted {
    fn takes(&self, record: &frame::Record) -> bool {
        self.stream.is_none_or(|stream| stream == record.stream) && record.time >= self.since
    }
}

/// One follower.
struct Tail {
    services: Services,
    job: JobId,
    number: i32,
    follow: bool,
    wanted: Wanted,
    cursor: i64,
    reader: LogReader,
    /// Another scheduler asks for somebody: it knows whom to ask next.
    for_peer: bool,
    answers: mpsc::Sender<Result<TailLogResponse, Status>>,
}

/// Nobody reads the answers any more.
struct Gone;

/// What there is of the attempt.
enum Found {
    /// It goes on.
    Open,
    /// It has ended like this.
    Ended(Box<v1::Attempt>),
}

impl Services {
    pub(super) async fn tail(
        &self,
        job: JobId,
        request: TailLogRequest,
        for_peer: bool,
    ) -> Result<Answers<TailLogResponse>, Status> {
        let stream = match request.stream() {
            LogStream::Unspecified => None,
            LogStream::Stdout => Some(Stream::Stdout),
            LogStream::Stderr => Some(Stream::Stderr),
        };
        if request.cursor < 0 {
            return Err(invalid("cursor", format!("{} is no cursor", request.cursor)));
        }
        let row = self.store.job(job).await?;
        let number = number(&row, request.attempt, request.follow)?;
        let since = request.since.as_ref().map_or(i64::MIN, timestamp_micros);
        let mut cursor = request.cursor;
        if cursor == 0 && request.since.is_some() {
            // What is stored and older is not even read.
            cursor = self.store.chunk_since(job, number, since).await?.unwrap_or(0);
        }
        let (answers, outgoing) = mpsc::channel(AHEAD);
        let tail = Tail {
            services: self.clone(),
            job,
            number,
            follow: request.follow,
            wanted: Wanted { stream, since },
            cursor,
            reader: LogReader::new(self.logs.clone(), job, number),
            for_peer,
            answers,
        };
        tokio::spawn(tail.run());
        Ok(Box::pin(ReceiverStream::new(outgoing)))
    }
}

/// The attempt that is meant. Without a number it is the newest; for a follower
/// of a job that waits for its next attempt, that one.
fn number(job: &JobRow, asked: i32, follow: bool) -> Result<i32, Status> {
    let waits = matches!(job.state, State::Loaded | State::Queued);
    let next = if waits { job.attempt + 1 } else { job.attempt };
    match asked {
        0 if follow || job.attempt == 0 => Ok(next.max(1)),
        0 => Ok(job.attempt),
        asked if asked < 0 => Err(invalid("attempt", format!("{asked} is no attempt"))),
        // One that was asked for may be taken back into the queue and come again.
        asked if asked <= job.attempt.max(next) + 1 => Ok(asked),
        asked => Err(Status::not_found(format!(
            "job {} has no attempt {asked}: its newest is {}",
            job.id, job.attempt
        ))),
    }
}

impl Tail {
    async fn run(mut self) {
        // An error ends the stream; a follower that is gone needs no answer.
        if let Err(status) = self.send_all().await {
            let _ = self.answers.send(Err(status)).await;
        }
    }

    async fn send_all(&mut self) -> Result<(), Status> {
        let mut bell = self.services.events.subscribe(self.job);
        loop {
            bell.borrow_and_update();
            let found = self.services.find(self.job, self.number).await?;
            let live = found.as_ref().and_then(|found| self.services.logs.get(found.0));
            if let Some(log) = live {
                if self.send_live(&log).await?.is_err() {
                    return Ok(());
                }
                if self.follow {
                    continue;
                }
                let _ = self.send(Vec::new(), None).await;
                return Ok(());
            }
            if let Some((key, Found::Open)) = &found
                && !self.for_peer
                && let Some(address) = self.services.store.elsewhere(*key).await?
            {
                if self.hand_on(&address).await?.is_err() {
                    return Ok(());
                }
                // That one is gone, or its agent is.
                tokio::select! {
                    _ = bell.changed() => {}
                    () = tokio::time::sleep(AGAIN) => {}
                    () = self.answers.closed() => return Ok(()),
                }
                continue;
            }
            // No live log: what is stored is all there is, unless it is yet to begin.
            if self.send_stored().await?.is_err() {
                return Ok(());
            }
            let ended = match found {
                Some((_, Found::Ended(attempt))) => Some(*attempt),
                Some((_, Found::Open)) => None,
                None => self.services.never_offered(self.job, self.number).await?,
            };
            if ended.is_some() || !self.follow || self.for_peer {
                let _ = self.send(Vec::new(), ended).await;
                return Ok(());
            }
            tokio::select! {
                changed = bell.changed() => if changed.is_err() { return Ok(()) },
                () = self.answers.closed() => return Ok(()),
            }
        }
    }

    /// Sends a live log until it ends, or what there is of it.
    async fn send_live(&mut self, log: &LiveLog) -> Result<Result<(), Gone>, Status> {
        let mut progress = log.progress();
        loop {
            let ended = progress.borrow_and_update().ended;
            let pieces = self.reader.read(Some(log), self.cursor).await?;
            if !pieces.is_empty() {
                if self.send_pieces(pieces).await?.is_err() {
                    return Ok(Err(Gone));
                }
                continue;
            }
            if ended || !self.follow {
                return Ok(Ok(()));
            }
            tokio::select! {
                changed = progress.changed() => if changed.is_err() { return Ok(Ok(())) },
                () = self.answers.closed() => return Ok(Err(Gone)),
            }
        }
    }

    /// Hands on what another scheduler answers; an error if nothing more is to be sent.
    async fn hand_on(&mut self, address: &str) -> Result<Result<(), Gone>, Status> {
        let Some(mut peer) = self.services.dispatch.peers().jobs(address) else {
            return Ok(Ok(()));
        };
        let stream = match self.wanted.stream {
            None => LogStream::Unspecified,
            Some(Stream::Stdout) => LogStream::Stdout,
            Some(Stream::Stderr) => LogStream::Stderr,
        };
        let mut request = Request::new(TailLogRequest {
            job_id: self.job.0,
            attempt: self.number,
            cursor: self.cursor,
            follow: self.follow,
            stream: stream.into(),
            since: (self.wanted.since > i64::MIN).then(|| timestamp(self.wanted.since)),
        });
        request.metadata_mut().insert(FOR_PEER, MetadataValue::from_static("1"));
        let mut answers = match peer.tail_log(request).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => {
                tracing::debug!(address, %status, "another scheduler cannot be asked for output");
                return Ok(Ok(()));
            }
        };
        loop {
            let answer = match answers.message().await {
                Ok(Some(answer)) => answer,
                Ok(None) if !self.follow => return Ok(Err(Gone)),
                Ok(None) | Err(_) => return Ok(Ok(())),
            };
            // Where a follower stays is told by whoever has the attempt's end.
            if self.follow && answer.records.is_empty() && answer.ended.is_none() {
                continue;
            }
            self.cursor = answer.next_cursor;
            let ended = answer.ended.is_some();
            if self.answers.send(Ok(answer)).await.is_err() || ended {
                return Ok(Err(Gone));
            }
        }
    }

    async fn send_stored(&mut self) -> Result<Result<(), Gone>, Status> {
        loop {
            let pieces = self.reader.read(None, self.cursor).await?;
            if pieces.is_empty() {
                return Ok(Ok(()));
            }
            if self.send_pieces(pieces).await?.is_err() {
                return Ok(Err(Gone));
            }
        }
    }

    async fn send_pieces(&mut self, pieces: Vec<Bytes>) -> Result<Result<(), Gone>, Status> {
        let mut records = Vec::new();
        for frames in pieces {
            self.cursor += frames.len() as i64;
            for record in frame::records(frames) {
                let record = record.map_err(|error| Status::data_loss(error.to_string()))?;
                if self.wanted.takes(&record) {
                    records.push(to_record(record));
                }
            }
        }
        if records.is_empty() {
            return Ok(if self.answers.is_closed() { Err(Gone) } else { Ok(()) });
        }
        Ok(self.send(records, None).await)
    }

    async fn send(
        &self,
        records: Vec<v1::LogRecord>,
        ended: Option<v1::Attempt>,
    ) -> Result<(), Gone> {
        let answer = TailLogResponse { records, next_cursor: self.cursor, ended };
        self.answers.send(Ok(answer)).await.map_err(|_| Gone)
    }
}

fn to_record(record: frame::Record) -> v1::LogRecord {
    let stream = match record.stream {
        Stream::Stdout => LogStream::Stdout,
        Stream::Stderr => LogStream::Stderr,
    };
    v1::LogRecord { stream: stream.into(), time: Some(timestamp(record.time)), data: record.data }
}

impl Services {
    /// An attempt and what there is of it; none if it was not offered yet.
    async fn find(
        &self,
        job: JobId,
        number: i32,
    ) -> Result<Option<(AttemptKey, Found)>, StoreError> {
        let Some(row) = self.store.attempt(job, number).await? else { return Ok(None) };
        let key = AttemptKey { job, number, fence: row.fence };
        let ended = row.state.is_terminal();
        let found = if ended { Found::Ended(Box::new(attempt(row))) } else { Found::Open };
        Ok(Some((key, found)))
    }

    /// The end of an attempt that was never offered: its job was cancelled while it
    /// waited. None while it waits; an error if the job is gone.
    async fn never_offered(
        &self,
        job: JobId,
        number: i32,
    ) -> Result<Option<v1::Attempt>, StoreError> {
        let row = self.store.job(job).await?;
        let ended = row.state.is_terminal() && row.attempt < number;
        Ok(ended.then(|| v1::Attempt {
            number,
            state: to_state(row.state).into(),
            ended: row.ended.map(timestamp),
            meaning: exit_code::meaning(row.state, None, None, &row.definition),
            ..v1::Attempt::default()
        }))
    }
}
