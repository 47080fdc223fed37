//! Reads an artifact, in pieces and from any byte on, as fast as its reader takes
//! them and no faster.

use bytes::Bytes;
use multiflexi_proto::frame::{self, Stream};
use tokio::sync::mpsc;

use super::{ArtifactError, Artifacts};
use crate::{
    domain::ids::ArtifactId,
    logs::{LogError, LogReader},
    store::{ArtifactRow, Content, Source},
};

/// Most bytes of one piece.
const PIECE: usize = 256 * 1024;

/// Where the pieces go.
pub type Pieces = mpsc::Sender<Bytes>;

/// Whether the reader still takes pieces.
enum Reader {
    Here,
    Gone,
}

impl Artifacts {
    /// An artifact that can be read from `offset` on.
    pub async fn readable(
        &self,
        id: ArtifactId,
        offset: i64,
    ) -> Result<ArtifactRow, ArtifactError> {
        let artifact = self.store.artifact(id).await?;
        if artifact.failed {
            return Err(ArtifactError::NotKept { id: id.0, note: artifact.note });
        }
        if !(0..=artifact.size).contains(&offset) {
            return Err(ArtifactError::BeyondEnd { id: id.0, size: artifact.size, offset });
        }
        Ok(artifact)
    }

    /// Sends the content from `offset` on. Ends early if nobody reads any more.
    pub async fn send(
        &self,
        artifact: &ArtifactRow,
        offset: i64,
        pieces: &Pieces,
    ) -> Result<(), ArtifactError> {
        match artifact.source {
            Source::File => self.send_file(artifact.id, offset, pieces).await,
            Source::Stdout => self.send_stream(artifact, Stream::Stdout, offset, pieces).await,
            Source::Stderr => self.send_stream(artifact, Stream::Stderr, offset, pieces).await,
        }
    }

    /// The content from `offset` on, in memory: at most so many bytes of it.
    pub async fn content(
        &self,
        artifact: &ArtifactRow,
        offset: i64,
        most: usize,
    ) -> Result<Vec<u8>, ArtifactError> {
        let (pieces, mut coming) = mpsc::channel::<Bytes>(1);
        let sending = async move { self.send(artifact, offset, &pieces).await };
        let receiving = async move {
            let mut content = Vec::new();
            while let Some(piece) = coming.recv().await {
                let room = most - content.len();
                content.extend_from_slice(&piece[..piece.len().min(room)]);
                if content.len() == most {
                    break;
                }
            }
            content
        };
        let (sent, content) = tokio::join!(sending, receiving);
        sent.map(|()| content)
    }

    async fn send_file(
        &self,
        id: ArtifactId,
        offset: i64,
        pieces: &Pieces,
    ) -> Result<(), ArtifactError> {
        let parts = match self.store.artifact_content(id).await? {
            Content::Inline(content) => {
                send_all(Bytes::from(content).slice(index(offset)..), pieces).await;
                return Ok(());
            }
            Content::Parts(parts) => parts,
        };
        for part in parts.iter().filter(|part| part.start + part.length > offset) {
            let skip = u64::try_from(offset - part.start).unwrap_or(0);
            let content = self.objects.get_from(&part.object, skip).await?;
            if let Reader::Gone = send_all(content, pieces).await {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn send_stream(
        &self,
        artifact: &ArtifactRow,
        stream: Stream,
        offset: i64,
        pieces: &Pieces,
    ) -> Result<(), ArtifactError> {
        let (job, attempt) = (artifact.job, artifact.attempt);
        let (mut cursor, mut at) =
            self.store.chunk_of_stream(job, attempt, stream.index(), offset).await?;
        let mut reader = LogReader::new(self.logs.clone(), job, attempt);
        loop {
            let frames = reader.read(None, cursor).await?;
            if frames.is_empty() {
                break;
            }
            // Small records are sent together.
            let mut gathered = Vec::new();
            for frames in frames {
                cursor += frames.len() as i64;
                for record in frame::records(frames) {
                    let record = record.map_err(|error| LogError::Damaged {
                        what: format!("job {job} attempt {attempt}"),
                        reason: error.to_string(),
                    })?;
                    if record.stream == stream {
                        let skip = index(offset - at).min(record.data.len());
                        at += record.data.len() as i64;
                        gathered.extend_from_slice(&record.data[skip..]);
                    }
                }
            }
            if let Reader::Gone = send_all(gathered.into(), pieces).await {
                return Ok(());
            }
        }
        if at == artifact.size {
            return Ok(());
        }
        Err(ArtifactError::Log(LogError::Damaged {
            what: format!("job {job} attempt {attempt}"),
            reason: format!(
                "{} has {at} bytes and should have {}",
                artifact.filename, artifact.size
            ),
        }))
    }
}

/// A place within bytes in memory; one before them is their beginning.
fn index(offset: i64) -> usize {
    usize::try_from(offset).unwrap_or(0)
}

async fn send_all(mut content: Bytes, pieces: &Pieces) -> Reader {
    while !content.is_empty() {
        let piece = content.split_to(content.len().min(PIECE));
        if pieces.send(piece).await.is_err() {
            return Reader::Gone;
        }
    }
    Reader::Here
}
