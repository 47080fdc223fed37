//! `job:logs`.

use std::{io, time::SystemTime};

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, TimeZone as _, Utc};
use clap::{Args, ValueEnum};
use multiflexi_proto::v1::LogStream;
use prost_types::Timestamp;

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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
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
    #[arg(long, value_parser = since, value_name = "WHEN")]
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
            since: self.since.map(|since| Timestamp {
                seconds: since.timestamp(),
                nanos: i32::try_from(since.timestamp_subsec_nanos()).unwrap_or_default(),
            }),
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

/// Reads a time: RFC 3339, a local date with or without a time, or how long ago.
fn since(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(ago) = arguments::duration(text) {
        let then = SystemTime::now().checked_sub(ago);
        return then.map(Into::into).ok_or_else(|| "that is too long ago".to_owned());
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    let local = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let midnight = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    local
        .or_else(midnight)
        .and_then(|time| Local.from_local_datetime(&time).earliest())
        .map(|time| time.to_utc())
        .ok_or_else(|| {
            "a time looks like 2026-01-31, \"2026-01-31 13:00\", 2026-01-31T13:00:00Z or 5m (ago)"
                .to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_can_be_said_in_many_ways() {
        let time = since("2026-01-31T13:00:00Z").unwrap();
        assert_eq!(time.timestamp(), 1_769_864_400);
        assert_eq!(since("2026-01-31T14:00:00+01:00").unwrap(), time);
        assert!(since("2026-01-31").is_ok() && since("2026-01-31 13:00").is_ok());
        let then = since("5m").unwrap();
        let ago = Utc::now() - then;
        assert!((300..310).contains(&ago.num_seconds()), "{ago}");
        assert!(since("yesterday").is_err());
    }
}
