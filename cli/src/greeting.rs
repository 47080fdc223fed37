//! What a server says first. A scheduler speaks HTTP/2, which begins with a frame of settings:
//! what begins otherwise is no scheduler, and is told apart before anything is asked of it.

use std::{
    error::Error,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::oneshot,
};
use tonic::{codegen::Service, transport::Uri};

/// What was said first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// The settings of HTTP/2.
    Settings,
    /// Something else.
    Other,
    /// Nothing: the connection was closed.
    Nothing,
}

impl Greeting {
    /// What the first bytes are; none if the connection was closed. Fewer than tell are taken
    /// for settings.
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [] => Self::Nothing,
            // The length of a frame, its type, its flags.
            [_, _, _, 4, 0, ..] => Self::Settings,
            [_, _, _, _, _, ..] => Self::Other,
            _ => Self::Settings,
        }
    }
}

/// Opens connections, and tells of the first what the server says.
pub struct Connector {
    http: HttpConnector,
    said: Option<oneshot::Sender<Greeting>>,
}

impl Connector {
    /// One that tries for so long, and where the greeting will be; an error there is a connection
    /// that was closed.
    pub fn new(timeout: Duration) -> (Self, oneshot::Receiver<Greeting>) {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(timeout));
        let (said, greeting) = oneshot::channel();
        (Self { http, said: Some(said) }, greeting)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Heard>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, said) = (self.http.call(uri), self.said.take());
        Box::pin(async move {
            let stream = connecting.await?.into_inner();
            Ok(TokioIo::new(Heard { stream, said }))
        })
    }
}

/// A connection that is listened to until the server has said something.
pub struct Heard {
    stream: TcpStream,
    said: Option<oneshot::Sender<Greeting>>,
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if let Some(said) = self.said.take() {
            // Whoever asked may not wait for it any more.
            let _ = said.send(Greeting::of(&buffer.filled()[before..]));
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_2_begins_with_a_frame_of_settings() {
        assert_eq!(Greeting::of(b"\0\0\x12\x04\0\0\0\0\0\0\x03"), Greeting::Settings);
        assert_eq!(Greeting::of(b"\0\0"), Greeting::Settings);
        assert_eq!(Greeting::of(b""), Greeting::Nothing);
        let others: [&[u8]; 3] = [b"HTTP/1.1 400", b"SSH-2.0-OpenSSH", b"\x15\x03\x01\0\x02\x02F"];
        for other in others {
            assert_eq!(Greeting::of(other), Greeting::Other, "{other:?}");
        }
    }
}
