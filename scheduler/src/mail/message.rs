//! The text of a mail (RFC 5322, RFC 2047): plain ASCII in short lines, whatever it says.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lettre::Address;

/// Most bytes of an encoded word, before it is encoded: with its frame it fits into 75.
const WORD: usize = 45;

/// Most characters of a subject.
const SUBJECT: usize = 250;

/// Characters of a line of base64.
const LINE: usize = 76;

/// Somebody who gets mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// What people call it; empty for nothing.
    pub name: String,
    /// Its address.
    pub address: Address,
}

/// Reads addresses, with a comma between each; the error is a sentence.
pub fn addresses(text: &str) -> Result<Vec<Mailbox>, String> {
    let (mut parts, mut quoted) = (vec![String::new()], false);
    for c in text.chars() {
        match c {
            ',' if !quoted => parts.push(String::new()),
            c => {
                quoted ^= c == '"';
                parts.last_mut().map(|part| part.push(c)).unwrap_or_default();
            }
        }
    }
    parts.iter().map(|part| mailbox(part.trim())).collect()
}

/// Reads `me@example.org` or `Me <me@example.org>`; the error is a sentence.
pub fn mailbox(text: &str) -> Result<Mailbox, String> {
    let (name, address) = match text.strip_suffix('>').and_then(|text| text.split_once('<')) {
        Some((name, address)) => (name.trim().trim_matches('"'), address),
        None => ("", text),
    };
    let wrong = |why: &dyn std::fmt::Display| {
        let text: String = text.chars().take(80).collect();
        format!(
            "it takes addresses such as me@example.org, with a comma between each, and {text:?} is \
             none ({why})"
        )
    };
    if name.contains(['"', '<', '>']) || name.chars().any(char::is_control) {
        return Err(wrong(&"its name cannot be written"));
    }
    let address = address.trim().parse().map_err(|error| wrong(&error))?;
    Ok(Mailbox { name: name.to_owned(), address })
}

impl Mailbox {
    fn header(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~ ".contains(c);
        match self.name.as_str() {
            "" => self.address.to_string(),
            name if name.len() <= WORD && name.chars().all(plain) => {
                format!("{name} <{}>", self.address)
            }
            name => format!("{} <{}>", words(name), self.address),
        }
    }
}

/// A text as encoded words.
fn words(text: &str) -> String {
    let mut words = vec![String::new()];
    for c in text.chars() {
        match words.last_mut() {
            Some(last) if last.len() + c.len_utf8() <= WORD => last.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let encoded = words.iter().map(|word| format!("=?utf-8?b?{}?=", STANDARD.encode(word)));
    encoded.collect::<Vec<_>>().join("\r\n ")
}

/// The header of a text that people wrote.
fn text(text: &str) -> String {
    let text: String = text.chars().take(SUBJECT).collect();
    let plain = text.chars().all(|c| c.is_ascii_graphic() || c == ' ') && !text.contains("=?");
    if plain && text.len() <= 60 { text } else { words(&text) }
}

/// What a message says of itself.
pub(super) struct Parts<'m> {
    pub(super) from: &'m Mailbox,
    pub(super) to: &'m [Mailbox],
    pub(super) cc: &'m [Mailbox],
    pub(super) subject: &'m str,
    pub(super) id: &'m str,
    pub(super) date: &'m str,
    pub(super) body: &'m str,
}

/// The whole message.
pub(super) fn message(parts: &Parts<'_>) -> String {
    let list =
        |boxes: &[Mailbox]| boxes.iter().map(Mailbox::header).collect::<Vec<_>>().join(",\r\n ");
    let mut headers = vec![
        format!("From: {}", parts.from.header()),
        format!("To: {}", list(parts.to)),
        format!("Subject: {}", text(parts.subject)),
        format!("Date: {}", parts.date),
        format!("Message-ID: <{}@multiflexi>", parts.id),
        format!("X-MultiFlexi-Event: {}", parts.id),
        "Auto-Submitted: auto-generated".to_owned(),
        "MIME-Version: 1.0".to_owned(),
        "Content-Type: text/plain; charset=utf-8".to_owned(),
        "Content-Transfer-Encoding: base64".to_owned(),
    ];
    if !parts.cc.is_empty() {
        headers.insert(2, format!("Cc: {}", list(parts.cc)));
    }
    let body = parts.body.replace("\r\n", "\n").replace('\n', "\r\n");
    let encoded = STANDARD.encode(body);
    let lines = encoded.as_bytes().chunks(LINE).map(String::from_utf8_lossy);
    let body = lines.collect::<Vec<_>>().join("\r\n");
    format!("{}\r\n\r\n{body}\r\n", headers.join("\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(from: &str, subject: &str, body: &str) -> String {
        message(&Parts {
            from: &mailbox(from).unwrap(),
            to: &addresses("a@example.org, \"B, C\" <b@example.org>").unwrap(),
            cc: &[],
            subject,
            id: "1",
            date: "Thu, 26 Nov 2026 12:00:00 +0000",
            body,
        })
    }

    #[test]
    fn addresses_are_read_and_what_is_none_is_said() {
        let read =
            addresses("a@example.org, Bob <b@example.org>,\"C, D\" <c@example.org>").unwrap();
        let names: Vec<&str> = read.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["", "Bob", "C, D"]);
        for wrong in ["", "nobody", "a@example.org,", "A <a@example.org", "A\nB <a@example.org>"] {
            assert!(addresses(wrong).unwrap_err().contains("me@example.org"), "{wrong:?}");
        }
    }

    #[test]
    fn a_message_has_its_headers_and_its_text() {
        let said = said("Jobs <jobs@example.org>", "It failed", "one\ntwo");
        assert!(
            said.starts_with("From: Jobs <jobs@example.org>\r\nTo: a@example.org,\r\n =?utf-8?b?")
        );
        assert!(said.contains("\r\nSubject: It failed\r\nDate: Thu, 26 Nov"), "{said}");
        assert!(
            said.ends_with(&format!("\r\n\r\n{}\r\n", STANDARD.encode("one\r\ntwo"))),
            "{said}"
        );
    }

    proptest! {
        /// Whatever is said, no line is long, nothing is beyond ASCII, and the subject begins
        /// no other header.
        #[test]
        fn every_line_is_short_and_plain(subject in any::<String>(), body in any::<String>()) {
            let said = said("Žluťoučký kůň a jeho dlouhé jméno <k@example.org>", &subject, &body);
            prop_assert!(said.is_ascii());
            let (headers, _) = said.split_once("\r\n\r\n").unwrap();
            let begins = |line: &&str| !line.starts_with(' ');
            prop_assert_eq!(headers.split("\r\n").filter(begins).count(), 10);
            for line in said.split("\r\n") {
                prop_assert!(line.len() <= 120 && !line.contains(['\r', '\n']), "{:?}", line);
            }
        }
    }
}
