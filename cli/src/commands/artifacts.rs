//! `artifact:list`, `artifact:show`, `artifact:get`.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Write},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use multiflexi_proto::v1::{
    Artifact, ArtifactState, DownloadArtifactRequest, GetArtifactRequest, ListArtifactsRequest,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{pages, resource::given};
use crate::{
    arguments::{self, Paging},
    connect::Server,
    exit_code::Exit,
    failure::{Failure, is_broken_connection},
    output::{Format, Output, json},
};

/// A download of more bytes than this has a progress bar.
const LARGE: i64 = 8 * 1024 * 1024;

/// How often a download that broke off goes on.
const TRIES: u32 = 5;

/// An artifact, for machines.
pub fn value(artifact: &Artifact) -> Value {
    json!({
        "id": artifact.id,
        "job_id": artifact.job_id,
        "attempt": artifact.attempt,
        "filename": artifact.filename,
        "content_type": artifact.content_type,
        "size_bytes": artifact.size_bytes,
        "sha256": json::hash(&artifact.sha256),
        "note": json::text(&artifact.note),
        "created": json::time(artifact.created.as_ref()),
        "failed": artifact.failed,
    })
}

/// `artifact:list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this job
    #[arg(long, alias = "job_id", value_parser = arguments::id, value_name = "ID")]
    job: Option<i64>,
    /// Only those of this attempt
    #[arg(long, requires = "job", value_name = "N", value_parser = arguments::number::<i32>(1..))]
    attempt: Option<i32>,
    /// Only those of this MIME type, such as application/pdf
    #[arg(long, value_name = "TYPE", default_value = "", hide_default_value = true)]
    content_type: String,
    /// Only those whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    name: String,
    /// Only those in this state
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    /// What they are sorted by: id or, of a job, also name or created, upwards, or downwards as
    /// in "name desc" [default: id of a job, id desc of all]
    #[arg(long, value_name = "ORDER", default_value = "", hide_default_value = true)]
    order: String,
    #[command(flatten)]
    paging: Paging,
}

/// What became of an artifact.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// It is stored
    Stored,
    /// It could not be kept
    Failed,
}

/// The list of all artifacts of one job.
pub fn of_job(job: i64) -> List {
    let paging = Paging { limit: 1000, page_token: String::new(), all: true };
    let (content_type, name, order) = Default::default();
    List { job: Some(job), attempt: None, content_type, name, state: None, order, paging }
}

impl List {
    /// Lists artifacts.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let mut client = server.artifacts();
        let state = match self.state {
            None => ArtifactState::Unspecified,
            Some(State::Stored) => ArtifactState::Stored,
            Some(State::Failed) => ArtifactState::Failed,
        };
        let list = pages(&self.paging, async |page_size, page_token, list| {
            let request = ListArtifactsRequest {
                job_id: self.job.unwrap_or_default(),
                attempt: self.attempt.unwrap_or_default(),
                page_size,
                page_token,
                content_type: self.content_type.clone(),
                name: self.name.clone(),
                state: state.into(),
                order_by: self.order.clone(),
            };
            let answer = client.list_artifacts(request).await?.into_inner();
            for artifact in answer.artifacts {
                list.values.push(value(&artifact));
                list.rows.push(vec![
                    artifact.id.to_string(),
                    artifact.job_id.to_string(),
                    artifact.attempt.to_string(),
                    artifact.filename,
                    artifact.content_type,
                    if artifact.failed { "-".to_owned() } else { json::size(artifact.size_bytes) },
                    artifact.note,
                ]);
            }
            list.next_page_token = answer.next_page_token;
            Ok(())
        })
        .await?;
        let header = ["ID", "JOB", "ATTEMPT", "FILENAME", "CONTENT TYPE", "SIZE", "NOTE"];
        output.list("artifacts", &header, list)
    }
}

async fn get(server: &Server, artifact_id: i64) -> Result<Artifact, Failure> {
    let answer = server.artifacts().get_artifact(GetArtifactRequest { artifact_id }).await?;
    given(answer.into_inner().artifact)
}

/// Shows what is known of an artifact.
pub async fn show(server: &Server, output: Output, artifact_id: i64) -> Result<(), Failure> {
    let artifact = get(server, artifact_id).await?;
    let fields = [
        ("id", artifact.id.to_string()),
        ("job", format!("{} (attempt {})", artifact.job_id, artifact.attempt)),
        ("filename", artifact.filename.clone()),
        ("content type", artifact.content_type.clone()),
        ("size", format!("{} bytes", artifact.size_bytes)),
        ("sha256", json::hexadecimal(&artifact.sha256)),
        ("note", artifact.note.clone()),
        ("created", json::local(artifact.created.as_ref())),
    ];
    output.one(&value(&artifact), &fields)
}

/// `artifact:get`.
#[derive(Debug, Args)]
pub struct Get {
    #[command(flatten)]
    by: arguments::ById,
    /// The file to write; - is stdout [default: the artifact's own name, here]
    #[arg(short, long, alias = "file", value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Get {
    /// Downloads an artifact. The file appears only once it is whole and its
    /// SHA-256 is right; what is there and is no file, a pipe say, is written into.
    pub async fn run(self, server: &Server, output: Output) -> Result<(), Failure> {
        let artifact = get(server, self.by.id()).await?;
        if self.output.as_deref() == Some(Path::new("-")) {
            let mut stdout = io::stdout().lock();
            download(server, &artifact, &mut stdout, |error| Failure::stdout(&error)).await?;
            return stdout.flush().map_err(|error| Failure::stdout(&error));
        }
        let path = self.output.unwrap_or_else(|| own_name(&artifact));
        let failed = |error: io::Error| {
            Failure::new(
                Exit::CannotWrite,
                format!("{} cannot be written: {error}", path.display()),
            )
        };
        if path.is_dir() {
            return Err(failed(io::Error::other("it is a folder")));
        }
        let target = match Target::of(&path).map_err(failed)? {
            Target::File(target) => target,
            Target::Other => {
                let open = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
                download(server, &artifact, &mut open.map_err(failed)?, failed).await?;
                return told(output, &artifact, &path);
            }
        };
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file = tempfile::Builder::new()
            .prefix(".multiflexi-")
            .make_in(folder.unwrap_or(Path::new(".")), |path| File::create_new(path))
            .map_err(failed)?;
        download(server, &artifact, file.as_file_mut(), failed).await?;
        file.persist(&target).map_err(|error| failed(error.error))?;
        told(output, &artifact, &path)
    }
}

fn told(output: Output, artifact: &Artifact, path: &Path) -> Result<(), Failure> {
    if output.format == Format::Json {
        let mut value = value(artifact);
        value["file"] = path.to_string_lossy().into();
        return output.done(&value, "");
    }
    let size = json::size(artifact.size_bytes);
    output.done(&Value::Null, &format!("{} ({size})", path.display()))
}

/// What a download is written to.
enum Target {
    /// A file that is there already, by its own path and not a link's; or a new one. Another
    /// takes its place.
    File(PathBuf),
    /// A device, a pipe, a link to nowhere: it stays what it is.
    Other,
}

impl Target {
    fn of(path: &Path) -> io::Result<Self> {
        match path.metadata() {
            Ok(known) if known.is_file() => Ok(Self::File(path.canonicalize()?)),
            Ok(_) => Ok(Self::Other),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Err(_) if path.is_symlink() => Ok(Self::Other),
            Err(_) => Ok(Self::File(path.to_owned())),
        }
    }
}

/// The last part of the artifact's name, in the current folder.
fn own_name(artifact: &Artifact) -> PathBuf {
    let last = artifact.filename.rsplit('/').next().unwrap_or_default();
    PathBuf::from(if matches!(last, "" | "." | "..") { "artifact" } else { last })
}

/// Writes an artifact's content, going on where a broken connection left off.
async fn download(
    server: &Server,
    artifact: &Artifact,
    target: &mut impl Write,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<(), Failure> {
    let bar = progress_bar(artifact.size_bytes);
    let mut hash = Sha256::new();
    let (mut offset, mut tries) = (0, 0);
    let mut server = server.clone();
    loop {
        let request = DownloadArtifactRequest { artifact_id: artifact.id, offset };
        let broken = match server.artifacts().download_artifact(request).await {
            Err(status) => status,
            Ok(answer) => {
                let mut pieces = answer.into_inner();
                loop {
                    match pieces.message().await {
                        Ok(Some(piece)) => {
                            hash.update(&piece.content);
                            target.write_all(&piece.content).map_err(&failed)?;
                            offset += piece.content.len() as i64;
                            bar.set_position(offset.unsigned_abs());
                        }
                        Ok(None) => {
                            bar.finish_and_clear();
                            return verify(artifact, offset, &hash.finalize());
                        }
                        Err(status) => break status,
                    }
                }
            }
        };
        if !is_broken_connection(&broken) || tries >= TRIES {
            return Err(broken.into());
        }
        tries += 1;
        tokio::time::sleep(std::time::Duration::from_millis(200) * tries).await;
        server = server.reconnect().await?;
    }
}

fn verify(artifact: &Artifact, size: i64, hash: &[u8]) -> Result<(), Failure> {
    if size == artifact.size_bytes && hash == artifact.sha256 {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Internal,
        format!("artifact {} did not arrive as it was stored: its SHA-256 differs", artifact.id),
    ))
}

fn progress_bar(size: i64) -> ProgressBar {
    let target = if size > LARGE && io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(size.unsigned_abs()), target);
    let style = ProgressStyle::with_template(
        "{bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
    );
    // The template is a constant.
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
