//! The way to the server: a connection of our own for each request, or the host's
//! `zabbix_sender` where the connection is to be encrypted with a pre-shared key, which our
//! TLS cannot do (docs/decisions/0013).

use std::{
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::protocol::{self, BEFORE, Taken, Value};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the server may take to answer a request.
const ANSWER: Duration = Duration::from_secs(30);

/// Where the server is, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The key that the connection is encrypted with, if it is.
    pub psk: Option<Psk>,
}

/// A pre-shared key, and the program that can use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Psk {
    /// The key's name, as the server has it.
    pub identity: String,
    /// The file with the key, in hexadecimal.
    pub file: PathBuf,
    /// `zabbix_sender`.
    pub program: PathBuf,
}

/// The server cannot be told anything now: why, as half a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Zabbix at {server} takes nothing: {reason}")]
pub struct Away {
    server: String,
    reason: String,
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Link {
    /// Sends values; how many of them were taken.
    pub async fn send(&self, values: Vec<Value>) -> Result<Taken, Away> {
        let total = values.len();
        let taken = match &self.psk {
            None => self.ask(&values).await,
            Some(psk) => self.ask_by_program(psk, &values).await,
        };
        let away = |reason| Away { server: self.to_string(), reason };
        let taken = taken.map_err(away)?;
        if taken.processed + taken.failed != total {
            return Err(away(format!(
                "it was sent {total} values and answers for {}",
                taken.processed + taken.failed
            )));
        }
        Ok(taken)
    }

    async fn ask(&self, values: &[Value]) -> Result<Taken, String> {
        let connect = TcpStream::connect((self.host.as_str(), self.port));
        let connection = timeout(CONNECT, connect).await;
        let connection = connection.map_err(|_| late("no connection", CONNECT))?;
        let mut connection = connection.map_err(|error| error.to_string())?;
        let exchange = async {
            connection
                .write_all(&protocol::request(values))
                .await
                .map_err(|error| broken(&error))?;
            let mut before = [0; BEFORE];
            connection.read_exact(&mut before).await.map_err(|error| broken(&error))?;
            let mut body = vec![0; protocol::length(&before)?];
            connection.read_exact(&mut body).await.map_err(|error| broken(&error))?;
            protocol::answer(&body)
        };
        timeout(ANSWER, exchange).await.map_err(|_| late("no answer", ANSWER))?
    }

    /// Lets `zabbix_sender` send them. Neither values nor the key are among its arguments.
    async fn ask_by_program(&self, psk: &Psk, values: &[Value]) -> Result<Taken, String> {
        let cannot = |error: io::Error| format!("{} cannot be run: {error}", psk.program.display());
        let mut command = Command::new(&psk.program);
        command.args(["-vv", "--zabbix-server", &self.host, "--port", &self.port.to_string()]);
        command.args(["--with-timestamps", "--with-ns", "--input-file", "-"]);
        command.args(["--tls-connect", "psk", "--tls-psk-identity", &psk.identity]);
        command.arg("--tls-psk-file").arg(&psk.file);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let running = Running(command.spawn().map_err(cannot)?);
        timeout(ANSWER, running.exchange(values.iter().map(line).collect()))
            .await
            .map_err(|_| late("no answer", ANSWER))?
    }
}

fn late(what: &str, limit: Duration) -> String {
    format!("{what} within {} s", limit.as_secs())
}

/// A program that runs: it is ended when nobody waits for it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended by itself, or its answer is not wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Hands lines to `zabbix_sender`; what the server answered it.
    async fn exchange(mut self, lines: String) -> Result<Taken, String> {
        let pipes = (self.0.stdin.take(), self.0.stdout.take(), self.0.stderr.take());
        let exchange = move || {
            let (Some(mut stdin), Some(mut stdout), Some(mut stderr)) = pipes else {
                return Err(io::Error::from(io::ErrorKind::BrokenPipe));
            };
            // One that ends early says why, and reads no further.
            let written = stdin.write_all(lines.as_bytes());
            drop(stdin);
            let mut said = String::new();
            stdout.read_to_string(&mut said)?;
            stderr.read_to_string(&mut said)?;
            Ok((written.is_ok(), said))
        };
        let result = tokio::task::spawn_blocking(exchange).await.map_err(|error| error.to_string());
        let (written, said) = result?.map_err(|error| error.to_string())?;
        sum(&said)
            .filter(|_| written)
            .ok_or_else(|| format!("zabbix_sender says {:?}", reason(&said)))
    }
}

fn broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it closed the connection without an answer".to_owned(),
        _ => error.to_string(),
    }
}

/// A value as `zabbix_sender` reads it.
fn line(value: &Value) -> String {
    let quoted = |text: &str| {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
    };
    let Value { host, key, value, clock, ns } = value;
    format!("{} {} {clock} {ns} {}\n", quoted(host), quoted(key), quoted(value))
}

/// Why `zabbix_sender` has failed: what it says of an error, and else the last that it says
/// besides where in itself it is.
fn reason(said: &str) -> &str {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let ranked = lines.map(|line| {
        let own = line.strip_prefix("zabbix_sender [").and_then(|line| line.split_once("]: "));
        match own.and_then(|(_, line)| line.split_once(": ")) {
            None => (1, line),
            Some(("DEBUG", trace)) if trace.starts_with("In ") || trace.starts_with("End of ") => {
                (0, trace)
            }
            Some(("DEBUG", text)) => (2, text),
            Some((_, text)) => (3, text),
        }
    });
    ranked.max_by_key(|(rank, _)| *rank).map_or("", |(_, text)| text)
}

/// What the server has answered `zabbix_sender`, in all; none if it has not.
fn sum(said: &str) -> Option<Taken> {
    let mut sum = None;
    for info in said.lines().filter(|line| line.starts_with("Response from")) {
        let taken = protocol::counts(info.rsplit_once(": \"")?.1.trim_end_matches('"'))?;
        let before: Taken = sum.unwrap_or_default();
        sum = Some(Taken {
            processed: before.processed + taken.processed,
            failed: before.failed + taken.failed,
        });
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_zabbix_sender_is_told_and_says_is_read_as_it_is_meant() {
        let value = Value::new("a b", "k[\"x\"]".to_owned(), "{\"a\":\"\\n\"}\n".to_owned(), 3);
        assert_eq!(line(&value), "\"a b\" \"k[\\\"x\\\"]\" 0 3 \"{\\\"a\\\":\\\"\\\\n\\\"}\\n\"\n");
        let said = "Response from \"h:10051\": \"processed: 249; failed: 1; total: 250; seconds \
                    spent: 0.1\"\nResponse from \"h:10051\": \"processed: 3; failed: 0; total: 3; \
                    seconds spent: 0.1\"\nsent: 253; skipped: 0; total: 253\n";
        assert_eq!(sum(said), Some(Taken { processed: 252, failed: 1 }));
        assert_eq!(sum("zabbix_sender [1]: ERROR: cannot read PSK"), None);
    }

    #[test]
    fn the_reason_is_found_in_what_zabbix_sender_says() {
        let own = |line: &str| format!("zabbix_sender [1]: {line}\n");
        let begins = own("DEBUG: In zbx_tls_init_child()") + &own("DEBUG: GnuTLS initialized");
        let short = begins.clone() + &own("ERROR: PSK in file \"/psk\" is too short.");
        assert_eq!(reason(&short), "PSK in file \"/psk\" is too short.");
        let away = begins
            + &own("DEBUG: End of zbx_tls_init_child()")
            + &own("DEBUG: Unable to connect to [h]:1 [Connection refused]")
            + &own("DEBUG: End of connect_to_server():FAIL")
            + "Sending failed.\n";
        assert_eq!(reason(&away), "Unable to connect to [h]:1 [Connection refused]");
        assert_eq!(reason(" \nUsage: sender\n"), "Usage: sender");
        assert_eq!(reason(""), "");
    }

    #[tokio::test]
    async fn values_are_not_among_the_arguments_of_the_program() {
        let psk =
            Psk { identity: "me".to_owned(), file: "/psk".into(), program: "/bin/echo".into() };
        let link = Link { host: "h".to_owned(), port: 1, psk: Some(psk) };
        let value = Value::new("h", "k".to_owned(), "not for all".to_owned(), 1);
        let said = link.send(vec![value]).await.unwrap_err().to_string();
        assert!(said.contains("--tls-psk-file /psk") && !said.contains("not for all"), "{said}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_or_is_none_is_said() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let link = Link { host: "127.0.0.1".to_owned(), port, psk: None };
        let value = || vec![Value::new("h", "k".to_owned(), "v".to_owned(), 1)];
        let answers = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let (said, ()) = tokio::join!(link.send(value()), answers);
        assert!(said.unwrap_err().to_string().contains("as a Zabbix server does"));
        drop(listener);
        let said = link.send(value()).await.unwrap_err().to_string();
        assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
    }
}
