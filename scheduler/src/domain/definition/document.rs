//! The JSON of a definition: read with the order of its keys, bounded in size both
//! as it comes and as it is exported, and with a word about keys that are there
//! twice, of which JSON readers silently take the last.

use std::{fmt, io};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::report::{Invalid, Report, element_path, key_path};

/// Largest document, in bytes.
pub const MAX_DOCUMENT: usize = 4 * 1024 * 1024;

/// Reads JSON.
pub(in crate::domain) fn parse(text: &str, report: &mut Report) -> Result<Value, Invalid> {
    if text.len() > MAX_DOCUMENT {
        return Err(report.unreadable(format!(
            "the document has {} bytes: it may have up to {MAX_DOCUMENT}",
            text.len()
        )));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    Node { place: &Place::Document, report }
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value))
        // The message ends with line and column.
        .map_err(|error| report.unreadable(format!("the document is no JSON: {error}")))
}

/// Says so if what would be exported could not be imported again.
pub(in crate::domain) fn check_size(document: &Value, report: &mut Report) {
    if serde_json::to_writer_pretty(Room(MAX_DOCUMENT), document).is_err() {
        report.fault(
            "",
            format!("the document has more than {MAX_DOCUMENT} bytes when each value has its line"),
        );
    }
}

/// Counts down what is written and keeps nothing.
struct Room(usize);

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::WriteZero)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a value is. It becomes a path only when there is something to say.
enum Place<'p> {
    Document,
    Key(&'p Place<'p>, &'p str),
    Element(&'p Place<'p>, usize),
}

impl Place<'_> {
    fn path(&self) -> String {
        match self {
            Self::Document => String::new(),
            Self::Key(place, key) => key_path(&place.path(), key),
            Self::Element(place, index) => element_path(&place.path(), *index),
        }
    }
}

/// One value to be read.
struct Node<'n> {
    place: &'n Place<'n>,
    report: &'n mut Report,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let place = &Place::Element(self.place, list.len());
            let node = Node { place, report: self.report };
            let Some(element) = elements.next_element_seed(node)? else {
                return Ok(Value::Array(list));
            };
            list.push(element);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let place = &Place::Key(self.place, &key);
            if map.contains_key(&key) {
                let text = "is there more than once: the last one is taken and kept";
                self.report.note(&place.path(), text);
            }
            let value = entries.next_value_seed(Node { place, report: self.report })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Value, Vec<String>), String> {
        let mut report = Report::of("test");
        let value = parse(text, &mut report).map_err(|invalid| invalid.faults[0].to_string())?;
        let notes = report.finish().map_err(|invalid| invalid.to_string())?;
        Ok((value, notes.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn the_order_of_keys_survives() {
        let text = r#"{"z":1,"a":{"y":[1.5,-2,18446744073709551615,null,true],"b":"ž"}}"#;
        let (value, notes) = read(text).unwrap();
        assert_eq!(value.to_string(), text);
        assert_eq!(notes, [""; 0]);
    }

    #[test]
    fn errors_name_line_and_column() {
        let error = read("{\n  \"a\": 1,\n}").unwrap_err();
        assert!(error.starts_with("$: the document is no JSON: "), "{error}");
        assert!(error.ends_with("at line 3 column 1"), "{error}");
        for text in ["", "{} x", "{\"a\": 1e999}", "\u{feff}{}"] {
            assert!(read(text).unwrap_err().contains("line 1 column"), "{text:?}");
        }
        assert!(read(&"[".repeat(100_000)).unwrap_err().contains("recursion limit"));
    }

    #[test]
    fn a_key_that_is_there_twice_is_said() {
        let (value, notes) = read(r#"{"e": {"A": 1, "A": 2}}"#).unwrap();
        assert_eq!(value.to_string(), r#"{"e":{"A":2}}"#);
        assert_eq!(notes, ["e.A: is there more than once: the last one is taken and kept"]);
    }

    #[test]
    fn large_documents_are_refused_as_they_come_and_as_they_leave() {
        let large = format!("\"{}\"", "x".repeat(MAX_DOCUMENT));
        assert!(read(&large).unwrap_err().contains("it may have up to 4194304"));
        let wide = format!("[{}0]", "0,".repeat(1_500_000));
        let mut report = Report::of("test");
        let value = parse(&wide, &mut report).unwrap();
        check_size(&value, &mut report);
        assert!(report.finish().unwrap_err().to_string().contains("each value has its line"));
    }
}
