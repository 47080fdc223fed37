//! The protocol of Zabbix's trapper: a header, and JSON behind it. A connection takes one
//! request and answers with how many of its values were taken, not with which.

use serde::Serialize;
use serde_json::{Value as Json, json};

/// What every message begins with: name and flags.
const HEADER: &[u8; 5] = b"ZBXD\x01";

/// Bytes before the JSON: the header, its length, and that of a compressed one's content.
pub const BEFORE: usize = 13;

/// Longest answer that is read, in bytes: it is a sentence.
const MAX_ANSWER: u64 = 64 * 1024;

/// A value for an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Value {
    /// The host that has the item.
    pub host: String,
    /// The item's key.
    pub key: String,
    /// The value.
    pub value: String,
    /// When it came to be so, in seconds since the Unix epoch.
    pub clock: i64,
    /// Nanoseconds behind that.
    pub ns: i64,
}

impl Value {
    /// A value of a time in nanoseconds since the Unix epoch.
    pub fn new(host: &str, key: String, value: String, stamp: i64) -> Self {
        let (clock, ns) = (stamp.div_euclid(1_000_000_000), stamp.rem_euclid(1_000_000_000));
        Self { host: host.to_owned(), key, value, clock, ns }
    }
}

/// How many values the server has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Those that have an item.
    pub processed: usize,
    /// Those that have none, or a host that is disabled.
    pub failed: usize,
}

/// A request with these values.
pub fn request(values: &[Value]) -> Vec<u8> {
    let body = json!({ "request": "sender data", "data": values }).to_string();
    let mut message = Vec::with_capacity(BEFORE + body.len());
    message.extend_from_slice(HEADER);
    message.extend_from_slice(&(body.len() as u64).to_le_bytes());
    message.extend_from_slice(body.as_bytes());
    message
}

/// How long the JSON is that follows what an answer begins with.
pub fn length(before: &[u8; BEFORE]) -> Result<usize, String> {
    let (header, length) = before.split_at(HEADER.len());
    if header != HEADER {
        return Err("it does not answer as a Zabbix server does".to_owned());
    }
    let length = length.try_into().map(u64::from_le_bytes).unwrap_or(u64::MAX);
    match usize::try_from(length) {
        Ok(fits) if length <= MAX_ANSWER => Ok(fits),
        _ => Err(format!("its answer claims to be {length} bytes long")),
    }
}

/// Reads an answer.
pub fn answer(body: &[u8]) -> Result<Taken, String> {
    let unreadable = || format!("its answer cannot be read: {:?}", lossy(body));
    let answer: Json = serde_json::from_slice(body).map_err(|_| unreadable())?;
    let info = answer["info"].as_str().unwrap_or_default();
    if answer["response"] != "success" {
        return Err(format!(
            "it refuses: {}",
            if info.is_empty() { lossy(body) } else { info.into() }
        ));
    }
    counts(info).ok_or_else(unreadable)
}

/// Reads `processed: 1; failed: 0; total: 1; seconds spent: 0.000052`.
pub fn counts(info: &str) -> Option<Taken> {
    let count = |name: &str| {
        let part = info.split(';').find_map(|part| part.trim().strip_prefix(name))?;
        part.trim().parse().ok()
    };
    Some(Taken { processed: count("processed:")?, failed: count("failed:")? })
}

fn lossy(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_header_a_length_and_json() {
        let value = Value::new("host", "key[a]".to_owned(), "é\n".to_owned(), 5_000_000_007);
        let message = request(&[value]);
        let before = message[..BEFORE].try_into().unwrap();
        assert_eq!(length(&before), Ok(message.len() - BEFORE));
        let body: Json = serde_json::from_slice(&message[BEFORE..]).unwrap();
        let data =
            json!([{ "host": "host", "key": "key[a]", "value": "é\n", "clock": 5, "ns": 7 }]);
        assert_eq!(body, json!({ "request": "sender data", "data": data }));
    }

    #[test]
    fn an_answer_says_how_many_were_taken() {
        let info = "processed: 248; failed: 2; total: 250; seconds spent: 0.003";
        let said = json!({ "response": "success", "info": info }).to_string();
        assert_eq!(answer(said.as_bytes()), Ok(Taken { processed: 248, failed: 2 }));
    }

    #[test]
    fn what_is_no_answer_of_a_zabbix_server_is_said() {
        assert!(length(b"HTTP/1.1 400 ").unwrap_err().contains("Zabbix"));
        let mut long = *b"ZBXD\x01........";
        long[5..].fill(0xff);
        assert!(length(&long).is_err());
        let refused = answer(br#"{"response":"failed","info":"connection refused by PSK"}"#);
        assert!(refused.unwrap_err().contains("by PSK"));
        assert!(answer(br#"{"response":"success","info":"?"}"#).is_err());
        assert!(answer(b"\xff").is_err());
    }
}
