//! Reads what PHP's `serialize()` writes, as data: an object is its class and its
//! properties, and nothing of it runs. Total: any bytes are read or refused.

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 64;

/// Most values of one text: what a text of that size can mean is no environment.
const MAX_VALUES: usize = 200_000;

/// A PHP value.
#[derive(Clone, Debug, PartialEq)]
pub enum Php {
    /// `null`, and a reference to another value.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A string: bytes.
    String(Vec<u8>),
    /// An array, or an object with its properties: keys and values in their order.
    Map(Vec<(Vec<u8>, Php)>),
}

/// Bytes that `serialize()` has not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {0} is not what PHP writes there")]
pub struct NotPhp(pub usize);

/// Reads one value, which must be all there is.
pub fn unserialize(bytes: &[u8]) -> Result<Php, NotPhp> {
    let mut reader = Reader { bytes, at: 0, values: 0 };
    let value = reader.value(0)?;
    if reader.at == bytes.len() { Ok(value) } else { Err(NotPhp(reader.at)) }
}

impl Php {
    /// The entries of an array or an object.
    pub fn entries(&self) -> &[(Vec<u8>, Self)] {
        match self {
            Self::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value under a key; of a private property PHP writes the class before the name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let is = |key: &[u8]| key.rsplit(|byte| *byte == 0).next() == Some(name.as_bytes());
        self.entries().iter().find(|(key, _)| is(key)).map(|(_, value)| value)
    }

    /// What PHP would print; none for what it would not print as a value.
    pub fn text(&self) -> Option<Vec<u8>> {
        match self {
            Self::Null => Some(Vec::new()),
            Self::Bool(flag) => Some(if *flag { b"1".to_vec() } else { Vec::new() }),
            Self::Int(number) => Some(number.to_string().into_bytes()),
            Self::Float(number) => Some(number.to_string().into_bytes()),
            Self::String(bytes) => Some(bytes.clone()),
            Self::Map(_) => None,
        }
    }

    /// Whether PHP takes it for true.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(flag) => *flag,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::String(bytes) => !matches!(bytes.as_slice(), b"" | b"0"),
            Self::Map(entries) => !entries.is_empty(),
        }
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    values: usize,
}

impl<'b> Reader<'b> {
    fn value(&mut self, depth: usize) -> Result<Php, NotPhp> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Err(NotPhp(self.at));
        }
        let kind = self.next()?;
        if kind == b'N' {
            self.expect(b';')?;
            return Ok(Php::Null);
        }
        self.expect(b':')?;
        match kind {
            b'b' => Ok(Php::Bool(self.number(b';')? != 0)),
            b'i' => Ok(Php::Int(self.number(b';')?)),
            b'd' => self.float(),
            // A reference to a value that was read before: what it is, nobody needs.
            b'r' | b'R' => self.number(b';').map(|_| Php::Null),
            b's' => {
                let text = self.string()?;
                self.expect(b';')?;
                Ok(Php::String(text.to_vec()))
            }
            // An enumeration's case: `Class:Case`.
            b'E' => {
                let text = self.string()?;
                self.expect(b';')?;
                let case = text.rsplit(|byte| *byte == b':').next().unwrap_or_default();
                Ok(Php::String(case.to_vec()))
            }
            b'a' => self.map(depth),
            b'O' => {
                self.string()?;
                self.expect(b':')?;
                self.map(depth)
            }
            // An object that writes itself in its own way: only its size is known.
            b'C' => {
                self.string()?;
                self.expect(b':')?;
                let size = self.size()?;
                self.expect(b'{')?;
                self.take(size)?;
                self.expect(b'}')?;
                Ok(Php::Null)
            }
            _ => Err(NotPhp(self.at)),
        }
    }

    /// `3:{key value …}`.
    fn map(&mut self, depth: usize) -> Result<Php, NotPhp> {
        let count = self.size()?;
        self.expect(b'{')?;
        // No more is reserved than can be there.
        let mut entries = Vec::with_capacity(count.min(self.bytes.len() / 8));
        for _ in 0..count {
            let at = self.at;
            let key = match self.value(depth + 1)? {
                Php::Int(number) => number.to_string().into_bytes(),
                Php::String(bytes) => bytes,
                _ => return Err(NotPhp(at)),
            };
            entries.push((key, self.value(depth + 1)?));
        }
        self.expect(b'}')?;
        Ok(Php::Map(entries))
    }

    /// `5:"bytes"`.
    fn string(&mut self) -> Result<&'b [u8], NotPhp> {
        let size = self.size()?;
        self.expect(b'"')?;
        let text = self.take(size)?;
        self.expect(b'"')?;
        Ok(text)
    }

    /// A size, and the colon after it.
    fn size(&mut self) -> Result<usize, NotPhp> {
        let at = self.at;
        usize::try_from(self.number(b':')?).map_err(|_| NotPhp(at))
    }

    fn number(&mut self, end: u8) -> Result<i64, NotPhp> {
        let at = self.at;
        let text = std::str::from_utf8(self.until(end)?).map_err(|_| NotPhp(at))?;
        text.parse().map_err(|_| NotPhp(at))
    }

    fn float(&mut self) -> Result<Php, NotPhp> {
        let at = self.at;
        let text = std::str::from_utf8(self.until(b';')?).map_err(|_| NotPhp(at))?;
        text.parse().map(Php::Float).map_err(|_| NotPhp(at))
    }

    fn until(&mut self, end: u8) -> Result<&'b [u8], NotPhp> {
        let rest = &self.bytes[self.at..];
        // A number is short: garbage is not searched to its end.
        let length = rest.iter().take(64).position(|byte| *byte == end).ok_or(NotPhp(self.at))?;
        self.at += length + 1;
        Ok(&rest[..length])
    }

    fn take(&mut self, size: usize) -> Result<&'b [u8], NotPhp> {
        let end = self.at.checked_add(size).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(NotPhp(self.at))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn next(&mut self) -> Result<u8, NotPhp> {
        self.take(1).map(|byte| byte[0])
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotPhp> {
        let at = self.at;
        if self.next()? == byte { Ok(()) } else { Err(NotPhp(at)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As PHP writes it.
    fn serialize(value: &Php, into: &mut Vec<u8>) {
        let string = |bytes: &[u8], into: &mut Vec<u8>| {
            into.extend(format!("s:{}:\"", bytes.len()).bytes());
            into.extend(bytes);
            into.extend(b"\";");
        };
        match value {
            Php::Null => into.extend(b"N;"),
            Php::Bool(flag) => into.extend(format!("b:{};", i32::from(*flag)).bytes()),
            Php::Int(number) => into.extend(format!("i:{number};").bytes()),
            Php::Float(number) => into.extend(format!("d:{number};").bytes()),
            Php::String(bytes) => string(bytes, into),
            Php::Map(entries) => {
                into.extend(format!("a:{}:{{", entries.len()).bytes());
                for (key, value) in entries {
                    string(key, into);
                    serialize(value, into);
                }
                into.push(b'}');
            }
        }
    }

    fn any_php() -> impl Strategy<Value = Php> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
        let leaf = prop_oneof![
            Just(Php::Null),
            any::<bool>().prop_map(Php::Bool),
            any::<i64>().prop_map(Php::Int),
            (-1.0e9..1.0e9).prop_map(Php::Float),
            bytes().prop_map(Php::String),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            proptest::collection::vec((bytes(), inner), 0..6).prop_map(Php::Map)
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(value in any_php()) {
            let mut bytes = Vec::new();
            serialize(&value, &mut bytes);
            prop_assert_eq!(unserialize(&bytes), Ok(value));
            bytes.push(b';');
            prop_assert!(unserialize(&bytes).is_err(), "nothing may follow");
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = unserialize(&bytes);
        }

        #[test]
        fn what_was_cut_or_changed_is_read_or_refused(
            value in any_php(), cut in any::<prop::sample::Index>(), byte in any::<u8>()
        ) {
            let mut bytes = Vec::new();
            serialize(&value, &mut bytes);
            let at = cut.index(bytes.len());
            prop_assert!(unserialize(&bytes[..at]).is_err(), "it was cut");
            bytes[at] = byte;
            let _ = unserialize(&bytes);
        }
    }

    #[test]
    fn objects_are_their_properties_whatever_their_class() {
        let text = b"O:4:\"Some\":2:{s:11:\"\0Some\0value\";s:1:\"x\";s:1:\"n\";E:6:\"Mode:A\";}";
        let value = unserialize(text).unwrap();
        assert_eq!(value.get("value"), Some(&Php::String(b"x".to_vec())));
        assert_eq!(value.get("n"), Some(&Php::String(b"A".to_vec())));
        assert_eq!(value.get("Some"), None);
        let own = b"a:2:{i:0;C:1:\"X\":3:{};}}i:1;R:2;}";
        assert_eq!(
            unserialize(own),
            Ok(Php::Map(vec![(b"0".to_vec(), Php::Null), (b"1".to_vec(), Php::Null)]))
        );
    }

    #[test]
    fn what_would_take_all_memory_is_refused() {
        assert!(unserialize(b"a:99999999999:{").is_err());
        assert!(unserialize(b"s:18446744073709551615:\"").is_err());
        assert!(unserialize(b"a:-1:{}").is_err());
        let deep = "a:1:{i:0;".repeat(10_000);
        assert!(unserialize(deep.as_bytes()).is_err());
    }
}
