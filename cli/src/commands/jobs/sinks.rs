//! Where a job's output goes: through as it is, line by line with times, or as
//! JSON. None of them holds more than a piece of it, however long a line is.

use std::io::{self, Write};

use multiflexi_proto::v1::{LogRecord, LogStream};
use serde_json::json;

use super::follow::Sink;
use crate::{failure::Failure, output::json};

fn write(target: &mut impl Write, bytes: &[u8]) -> Result<(), Failure> {
    target.write_all(bytes).map_err(|error| Failure::stdout(&error))
}

/// The same bytes, each stream on its own.
#[derive(Debug)]
pub struct Raw;

impl Sink for Raw {
    fn take(&mut self, records: &[LogRecord]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        for record in records {
            if record.stream() == LogStream::Stderr {
                // What came before on stdout is seen before.
                stdout.flush().map_err(|error| Failure::stdout(&error))?;
                write(&mut io::stderr().lock(), &record.data)?;
            } else {
                write(&mut stdout, &record.data)?;
            }
        }
        stdout.flush().map_err(|error| Failure::stdout(&error))
    }
}

/// Nowhere.
#[derive(Debug)]
pub struct Nothing;

impl Sink for Nothing {
    fn take(&mut self, _: &[LogRecord]) -> Result<(), Failure> {
        Ok(())
    }
}

/// Both streams on stdout, each line with its time and stream.
///
/// A line that is cut by the other stream goes on on a line of its own, which `+`
/// marks.
#[derive(Debug)]
pub struct Timestamps<W> {
    target: W,
    /// The stream whose line is open at the end of what is written.
    open: Option<LogStream>,
    /// Streams (stdout, stderr) whose line was cut.
    cut: [bool; 2],
}

impl<W: Write> Timestamps<W> {
    /// Writes to `target`.
    pub fn new(target: W) -> Self {
        Self { target, open: None, cut: [false; 2] }
    }
}

fn index(stream: LogStream) -> usize {
    usize::from(stream == LogStream::Stderr)
}

fn name(stream: LogStream) -> &'static str {
    if stream == LogStream::Stderr { "stderr" } else { "stdout" }
}

impl<W: Write> Sink for Timestamps<W> {
    fn take(&mut self, records: &[LogRecord]) -> Result<(), Failure> {
        for record in records {
            let stream = record.stream();
            let time = json::stamp_of(record.time.as_ref());
            for line in record.data.split_inclusive(|byte| *byte == b'\n') {
                if let Some(other) = self.open.take_if(|open| *open != stream) {
                    self.cut[index(other)] = true;
                    write(&mut self.target, b"\n")?;
                }
                if self.open.is_none() {
                    let goes_on = std::mem::take(&mut self.cut[index(stream)]);
                    let mark = if goes_on { '+' } else { ' ' };
                    write(&mut self.target, format!("{time} {}{mark} ", name(stream)).as_bytes())?;
                }
                write(&mut self.target, line)?;
                self.open = (!line.ends_with(b"\n")).then_some(stream);
            }
        }
        self.target.flush().map_err(|error| Failure::stdout(&error))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.open.take().is_some() {
            write(&mut self.target, b"\n")?;
        }
        self.target.flush().map_err(|error| Failure::stdout(&error))
    }
}

/// One JSON object a record. Bytes that are no text are in `base16`.
#[derive(Debug)]
pub struct Json;

impl Sink for Json {
    fn take(&mut self, records: &[LogRecord]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        for record in records {
            let mut value = json!({
                "stream": name(record.stream()),
                "time": json::time(record.time.as_ref()),
            });
            match std::str::from_utf8(&record.data) {
                Ok(text) => value["text"] = text.into(),
                Err(_) => value["base16"] = json::hexadecimal(&record.data).into(),
            }
            write(&mut stdout, format!("{value}\n").as_bytes())?;
        }
        stdout.flush().map_err(|error| Failure::stdout(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Timestamp;

    fn show(records: &[(LogStream, &str)]) -> String {
        let records: Vec<LogRecord> = records
            .iter()
            .enumerate()
            .map(|(at, (stream, data))| LogRecord {
                stream: (*stream).into(),
                time: Some(Timestamp { seconds: at as i64, nanos: 0 }),
                data: data.as_bytes().to_vec().into(),
            })
            .collect();
        let mut shown = Vec::new();
        let mut sink = Timestamps::new(&mut shown);
        sink.take(&records).unwrap();
        sink.finish().unwrap();
        String::from_utf8(shown).unwrap().replace("1970-01-01T00:00:0", "").replace(".000000Z", "")
    }

    use LogStream::{Stderr, Stdout};

    #[test]
    fn every_line_has_its_time_and_stream() {
        assert_eq!(
            show(&[(Stdout, "a\nb\n"), (Stderr, "c\n")]),
            "0 stdout  a\n0 stdout  b\n1 stderr  c\n"
        );
    }

    #[test]
    fn a_line_of_several_records_is_one_line() {
        assert_eq!(show(&[(Stdout, "a"), (Stdout, "b\n")]), "0 stdout  ab\n");
        assert_eq!(show(&[(Stdout, "no end")]), "0 stdout  no end\n");
    }

    #[test]
    fn a_line_that_is_cut_is_marked() {
        assert_eq!(
            show(&[(Stdout, "a"), (Stderr, "x\n"), (Stdout, "b\nc\n")]),
            "0 stdout  a\n1 stderr  x\n2 stdout+ b\n2 stdout  c\n"
        );
    }
}
