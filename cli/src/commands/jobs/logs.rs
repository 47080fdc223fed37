//! `job:logs`.

use std::io;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use multiflexi_proto::v1::LogStream;

use super::{
    Follow,
    sinks::{Json, Raw, Timestamps},
};
use crate::{
    arguments::{self, ById},
    connect::Server,
    failure::Failure,
    output::{Format, Output},
};

/// A stream, as people name it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Stream {
    Stdout,
    Stderr,
}

/// `job:logs`.
#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    by: ById,
    /// Number of the attempt [default: the newest]
    #[arg(long, value_name = "N", value_parser = arguments::number::<i32>(1..))]
    attempt: Option<i32>,
    /// Go on until the job has ended
    #[arg(long)]
    follow: bool,
    /// Only this stream
    #[arg(long, value_name = "STREAM")]
    stream: Option<Stream>,
    /// Both streams on stdout, in their order, each line with its time
    #[arg(long)]
    timestamps: bool,
    /// Only what was written since then: a time, or a duration ago such as 5m
    #[arg(long, value_parser = arguments::since, value_name = "WHEN")]
    since: Option<DateTime<Utc>>,
}

impl Logs {
    /// Shows a job's output.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let follow = Follow {
            job: self.by.id(),
            attempt: self.attempt.unwrap_or_default(),
            stream: match self.stream {
                None => LogStream::Unspecified,
                Some(Stream::Stdout) => LogStream::Stdout,
                Some(Stream::Stderr) => LogStream::Stderr,
            },
            follow: self.follow,
            since: self.since.map(arguments::timestamp),
        };
        // Ctrl-C ends it: it is only reading.
        let never = std::future::pending();
        match (output.format, self.timestamps) {
            (Format::Json, _) => follow.run(server, &mut Json, never).await?,
            (Format::Text, true) => {
                follow.run(server, &mut Timestamps::new(io::stdout()), never).await?
            }
            (Format::Text, false) => follow.run(server, &mut Raw, never).await?,
        };
        Ok(())
    }
}
