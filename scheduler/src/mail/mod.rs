//! Mail that goes out, through the one server that the scheduler was told: by SMTP, with TLS
//! where its URL says so. What the server answers is quoted; its password never.

mod message;

use std::time::Duration;

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    address::Envelope,
    transport::smtp::{Error, extension::ClientId},
};
use url::Url;

pub use message::{Mailbox, addresses};

/// Sends mail.
#[derive(Clone)]
pub struct Mailer {
    url: Url,
    from: Mailbox,
}

impl std::fmt::Debug for Mailer {
    /// There may be a password in the URL.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mailer({})", self.server())
    }
}

/// A mail.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Its id, the same however often it is sent.
    pub id: String,
    /// Whom it is for.
    pub to: Vec<Mailbox>,
    /// Who gets it too.
    pub cc: Vec<Mailbox>,
    /// Its subject.
    pub subject: String,
    /// What it says.
    pub body: String,
}

/// Why a mail was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct MailError {
    /// Why, as a sentence.
    pub reason: String,
    /// It may go well later.
    pub again: bool,
}

/// The name of this host.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl Mailer {
    /// Sends through the server at `url`, from this address; the error is a sentence.
    pub fn new(url: &str, from: Option<&str>) -> Result<Self, String> {
        // Whatever is wrong with it, a password may be in it: it is not said again.
        let wrong = "the URL of the mail server cannot be used: take one such as \
                     smtp://user:password@mail.example.org:587?tls=required, or smtps://… for TLS \
                     from the first byte";
        let url = Url::parse(url).ok().filter(Url::has_host).ok_or(wrong)?;
        let read = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str());
        if read.is_err() || !matches!(url.scheme(), "smtp" | "smtps") {
            return Err(wrong.to_owned());
        }
        let from = match from {
            Some(from) => message::mailbox(from)
                .map_err(|error| format!("the address that mail is from is {from:?}: {error}"))?,
            None => {
                let host = host();
                let own = Address::new("multiflexi", &host);
                let own = own.or_else(|_| Address::new("multiflexi", "localhost"));
                let own = own.map_err(|error| error.to_string())?;
                Mailbox { name: "MultiFlexi".to_owned(), address: own }
            }
        };
        Ok(Self { url, from })
    }

    /// The server, for people.
    pub fn server(&self) -> String {
        let port = self.url.port().map_or(String::new(), |port| format!(":{port}"));
        format!("{}{port}", self.url.host_str().unwrap_or_default())
    }

    /// Sends a mail.
    pub async fn send(&self, mail: Mail, timeout: Duration) -> Result<(), MailError> {
        let never = |reason: String| MailError { reason, again: false };
        let server = self.server();
        let readers = mail.to.iter().chain(&mail.cc).map(|reader| reader.address.clone());
        let envelope = Envelope::new(Some(self.from.address.clone()), readers.collect());
        let envelope =
            envelope.map_err(|error| never(format!("the mail cannot be sent: {error}")))?;
        let message = message::message(&message::Parts {
            from: &self.from,
            to: &mail.to,
            cc: &mail.cc,
            subject: &mail.subject,
            id: &mail.id,
            date: &chrono::Utc::now().to_rfc2822(),
            body: &mail.body,
        });
        // Whoever was first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(self.url.as_str())
            .map_err(|_| never("the URL of the mail server cannot be used".to_owned()))?
            .hello_name(ClientId::Domain(host()))
            .timeout(Some(timeout))
            .build();
        let sent =
            tokio::time::timeout(timeout, transport.send_raw(&envelope, message.as_bytes())).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(explain(&server, &error)),
            Err(_) => Err(MailError {
                reason: format!(
                    "{server} has not taken the mail within {}",
                    humantime::format_duration(timeout)
                ),
                again: true,
            }),
        }
    }
}

/// What a server that says no means, or one that says nothing.
fn explain(server: &str, error: &Error) -> MailError {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |it| (*it).source());
    let cause = causes.last().map(ToString::to_string).unwrap_or_default();
    let (what, again) = match error.status() {
        Some(code) if error.is_permanent() => (format!("answered {code}"), false),
        Some(code) => (format!("answered {code}"), true),
        None if error.is_client() => ("cannot be given the mail".to_owned(), false),
        None if error.is_tls() => ("cannot be talked to with TLS".to_owned(), true),
        None => ("cannot be reached".to_owned(), true),
    };
    MailError { reason: format!("{server} {what}: {cause}"), again }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_and_its_password_is_not_said() {
        let mailer = |url| Mailer::new(url, Some("Jobs <jobs@example.org>"));
        for url in [
            "smtp://localhost:2525",
            "smtp://me:hunter2@mail.example.org:587?tls=required",
            "smtps://me:hunter2@mail.example.org",
        ] {
            let mailer = mailer(url).unwrap();
            assert!(!format!("{mailer:?}").contains("hunter2"));
        }
        for wrong in ["mail.example.org", "http://hunter2@mail.example.org", "smtp://:hunter2@", ""]
        {
            let error = mailer(wrong).unwrap_err();
            assert!(error.contains("smtp://user") && !error.contains("hunter2"), "{error}");
        }
        assert!(Mailer::new("smtp://localhost", Some("nobody")).unwrap_err().contains("nobody"));
        assert!(Mailer::new("smtp://localhost", None).is_ok());
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_asked_again() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mailer = Mailer::new(&format!("smtp://me:hunter2@{address}"), None).unwrap();
        let mail = Mail {
            id: "1".to_owned(),
            to: addresses("a@example.org, B <b@example.org>").unwrap(),
            cc: Vec::new(),
            subject: "s".to_owned(),
            body: "b".to_owned(),
        };
        let error = mailer.send(mail, Duration::from_secs(20)).await.unwrap_err();
        assert!(error.again && error.reason.contains("cannot be reached"), "{error}");
        assert!(addresses("a@example.org, b").is_err());
    }
}
