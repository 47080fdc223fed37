//! What jobs have written and left.

use std::collections::HashSet;

use multiflexi_proto::frame::Stream;

use super::Fresh;
use crate::{
    adoption::{
        Error,
        report::Kind,
        source::{ARTIFACTS, JOB_OUTPUT_LINES, Row, Source},
        target::Target,
    },
    artifacts::{FileWriter, WrittenFile, is_filename},
    domain::ids::JobId,
    logs::{LogWriter, Written},
    store::AdoptedFile,
};

/// The output of a job, in the order in which it came.
pub(super) async fn read_log(
    source: &mut Source,
    target: &Target,
    job: &Fresh<'_>,
    own: JobId,
) -> Result<Written, Error> {
    let mut log = LogWriter::new(target.objects.clone(), own);
    let mut lines = source.each(&JOB_OUTPUT_LINES, "job_id", job.row.id(), "seq, id").await?;
    while let Some(line) = lines.next().await? {
        let stream = match line.text("type").unwrap_or_default().as_str() {
            "stderr" | "error" | "warning" => Stream::Stderr,
            _ => Stream::Stdout,
        };
        let time = line.time("created_at").unwrap_or(job.ended.started);
        log.push(stream, time, line.bytes("line").unwrap_or_default()).await?;
    }
    Ok(log.finish().await?)
}

/// The files that a job has left, stored.
pub(super) async fn read_files(
    source: &mut Source,
    target: &mut Target,
    job: &Fresh<'_>,
    own: JobId,
) -> Result<Vec<AdoptedFile>, Error> {
    let mut rows = Vec::new();
    let mut found = source.each(&ARTIFACTS, "job_id", job.row.id(), "id").await?;
    while let Some(row) = found.next().await? {
        rows.push(row);
    }
    drop(found);
    let (mut files, mut names) = (Vec::with_capacity(rows.len()), HashSet::new());
    for row in &rows {
        target.report.of(Kind::Artifact).read += 1;
        let filename = filename(row, &names);
        if Some(filename.as_str()) != row.raw("filename").as_deref() {
            let text = "it has another name here, as its own is used or cannot be used";
            target.report.remark(Kind::Artifact, row.id(), text);
        }
        names.insert(filename.clone());
        let mut file = FileWriter::new(target.objects.clone(), own);
        let size = row.int("artifact").unwrap_or_default();
        let mut offset = 0;
        while offset < size {
            let piece = source.artifact_piece(row.id(), offset).await?;
            if piece.is_empty() {
                break;
            }
            offset += piece.len() as i64;
            file.push(&piece).await?;
        }
        if offset < size {
            let text = "its server does not hand it out whole (max_allowed_packet): the rest is \
                 missing";
            target.report.remark(Kind::Artifact, row.id(), text);
        }
        let WrittenFile { size, sha256, content, content_type } = file.finish(&filename).await?;
        let said = row.text("content_type").filter(|kind| is_mime(kind));
        target.report.of(Kind::Artifact).created += 1;
        files.push(AdoptedFile {
            filename,
            content_type: said.unwrap_or(content_type),
            note: row.text("note").unwrap_or_default(),
            created: row.time("created_at").unwrap_or(job.ended.ended),
            size,
            sha256,
            content,
        });
    }
    Ok(files)
}

fn is_mime(kind: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() || c == ' ';
    kind.len() <= 200 && kind.split_once('/').is_some() && kind.chars().all(plain)
}

/// The name of a file as it can be here, told from others of its job by its id.
fn filename(row: &Row, taken: &HashSet<String>) -> String {
    let name = row.text("filename").unwrap_or_default();
    let last = name.rsplit('/').find(|part| !matches!(*part, "" | "." | ".."));
    let name = match (is_filename(&name), last) {
        (true, _) => name,
        (false, Some(last)) if is_filename(last) => last.to_owned(),
        _ => format!("artifact-{}", row.id()),
    };
    if taken.contains(&name) { format!("{name} ({})", row.id()) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_get_names_that_can_be_here_and_differ() {
        let row = |name: &'static str| Row::of(7, &[("filename", name)]);
        let taken = HashSet::from(["a.json".to_owned()]);
        assert_eq!(filename(&row("b.json"), &taken), "b.json");
        assert_eq!(filename(&row("a.json"), &taken), "a.json (7)");
        assert_eq!(filename(&row("/tmp/../x"), &taken), "x");
        assert_eq!(filename(&row("../.."), &taken), "artifact-7");
        assert_eq!(filename(&Row::of(7, &[]), &taken), "artifact-7");
    }
}
