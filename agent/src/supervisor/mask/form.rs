//! The forms in which a secret may be printed. A form spells a secret unit by unit;
//! a unit has few spellings, none of which begins with another, so that a text is
//! compared from left to right in one pass, whichever mix of spellings it has.

/// A way to print a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// Base64, in either alphabet. The secret may be a part of what was encoded: its
    /// first `skip` bits then share a character with what is before it. They are not
    /// compared, and that character stays.
    Base64 { skip: u8 },
    /// Hexadecimal digits in any case.
    Hex,
    /// Percent-encoded as in URLs and forms: any byte but letters and digits may be.
    Percent,
    /// Escaped by backslashes as in JSON strings, and as shells quote: any character
    /// but letters and digits may be.
    Escaped,
}

/// How a text compares to a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It does not begin with it.
    Differs,
    /// It ends before that is certain.
    Cut,
    /// It begins with it, in so many bytes; or in more, if it goes on.
    Whole { length: usize, open: bool },
}

/// One spelling of a unit.
struct Spelling<'a> {
    bytes: &'a [u8],
    any_case: bool,
}

/// Units before the first line break within a secret. Encoders break long lines
/// anywhere, but a line's end must not be held back because its last character might
/// begin a secret: one that is broken earlier than this is not found.
const UNBROKEN: usize = 4;

/// All forms.
pub(super) const ALL: [Form; 7] = [
    Form::Plain,
    Form::Base64 { skip: 0 },
    Form::Base64 { skip: 4 },
    Form::Base64 { skip: 2 },
    Form::Hex,
    Form::Percent,
    Form::Escaped,
];

impl Form {
    /// Compares a text to a secret. Only what is cut or open may change when the text
    /// goes on.
    pub(super) fn read(self, secret: &[u8], text: &[u8]) -> Reading {
        if self == Self::Plain {
            let shared = secret.len().min(text.len());
            return match shared {
                _ if secret[..shared] != text[..shared] => Reading::Differs,
                _ if shared < secret.len() => Reading::Cut,
                length => Reading::Whole { length, open: false },
            };
        }
        let units = self.units(secret);
        let (mut unit, mut length) = (0, 0);
        loop {
            let same = self.same(&secret[unit.min(secret.len())..], &text[length..]);
            (unit, length) = (unit + same, length + same);
            if unit == units {
                break;
            }
            if unit >= UNBROKEN && matches!(self, Self::Base64 { .. } | Self::Hex) {
                length += match text[length..] {
                    [b'\n', ..] => 1,
                    [b'\r', b'\n', ..] => 2,
                    [b'\r'] => return Reading::Cut,
                    _ => 0,
                };
            }
            let rest = &text[length..];
            let mut reading = Reading::Differs;
            unit = self.spell(secret, unit, |spelling| match spelling.read(rest) {
                Reading::Differs => {}
                found => reading = found,
            });
            match reading {
                Reading::Whole { length: more, .. } => length += more,
                other => return other,
            }
        }
        let (more, open) = match self {
            Self::Base64 { skip } => base64_end(secret, skip, &text[length..]),
            _ => (0, false),
        };
        Reading::Whole { length: length + more, open }
    }

    /// Calls `found` with the first bytes of each text that this form has for a secret.
    pub(super) fn starts<const N: usize>(self, secret: &[u8], mut found: impl FnMut([u8; N])) {
        let units = self.units(secret);
        let mut unfinished = vec![(0, [0; N], 0)];
        let mut longer = Vec::new();
        while let Some((unit, start, length)) = unfinished.pop() {
            let next = self.spell(secret, unit, |spelling| {
                let (mut start, added) = (start, spelling.bytes.len().min(N - length));
                start[length..length + added].copy_from_slice(&spelling.bytes[..added]);
                if length + added == N {
                    found(start);
                } else {
                    longer.push((start, length + added));
                }
            });
            debug_assert!(longer.is_empty() || next < units, "no form is shorter than a start");
            unfinished.extend(longer.drain(..).map(|(start, length)| (next, start, length)));
        }
    }

    /// Units at the beginning of a secret that a text has as they are; 0 if not known.
    /// Most are, and comparing them at once is quick.
    fn same(self, secret: &[u8], text: &[u8]) -> usize {
        let escape = match self {
            Self::Plain | Self::Base64 { .. } | Self::Hex => return 0,
            Self::Percent => b'%',
            Self::Escaped => b'\\',
        };
        let same = |(ours, theirs): &(&u8, &u8)| ours == theirs && **ours != escape;
        secret.iter().zip(text).take_while(same).count()
    }

    /// How many units a secret has.
    fn units(self, secret: &[u8]) -> usize {
        match self {
            Self::Plain | Self::Percent | Self::Escaped => secret.len(),
            Self::Base64 { skip } => (secret.len() * 8 - usize::from(skip)) / 6,
            Self::Hex => secret.len() * 2,
        }
    }

    /// Calls `found` with each spelling of a unit; returns which unit is the next.
    fn spell(self, secret: &[u8], unit: usize, mut found: impl FnMut(Spelling<'_>)) -> usize {
        let mut exactly = |bytes: &[u8]| found(Spelling { bytes, any_case: false });
        match self {
            Self::Plain => exactly(&secret[unit..=unit]),
            Self::Base64 { skip } => {
                let character = BASE64[sextet(secret, usize::from(skip) + unit * 6)];
                exactly(&[character]);
                match character {
                    b'+' => exactly(b"-"),
                    b'/' => exactly(b"_"),
                    _ => {}
                }
            }
            Self::Hex => {
                let byte = secret[unit / 2];
                let digit = if unit.is_multiple_of(2) { byte >> 4 } else { byte & 15 };
                found(Spelling { bytes: &[hex(digit.into())], any_case: true });
            }
            Self::Percent => {
                let byte = secret[unit];
                if byte != b'%' {
                    exactly(&[byte]);
                }
                if byte == b' ' {
                    exactly(b"+");
                }
                if !byte.is_ascii_alphanumeric() {
                    let bytes = &[b'%', hex((byte >> 4).into()), hex(byte.into())];
                    found(Spelling { bytes, any_case: true });
                }
            }
            Self::Escaped => return spell_escaped(secret, unit, found),
        }
        unit + 1
    }
}

impl Spelling<'_> {
    fn read(&self, text: &[u8]) -> Reading {
        let shared = self.bytes.len().min(text.len());
        let (ours, theirs) = (&self.bytes[..shared], &text[..shared]);
        match shared {
            _ if ours != theirs && !(self.any_case && ours.eq_ignore_ascii_case(theirs)) => {
                Reading::Differs
            }
            _ if shared < self.bytes.len() => Reading::Cut,
            length => Reading::Whole { length, open: false },
        }
    }
}

/// The unit is a character, or a byte that belongs to none.
fn spell_escaped(secret: &[u8], unit: usize, mut found: impl FnMut(Spelling<'_>)) -> usize {
    let byte = secret[unit];
    let near = &secret[unit..secret.len().min(unit + 4)];
    let valid = near.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    let length = valid.map_or(1, char::len_utf8);
    if byte != b'\\' {
        found(Spelling { bytes: &near[..length], any_case: false });
    }
    let Some(character) = valid.filter(|character| !character.is_ascii_alphanumeric()) else {
        return unit + length;
    };
    let mut escapes = [0; 12];
    let mut utf16 = [0; 2];
    let utf16 = character.encode_utf16(&mut utf16);
    for (escape, &code) in escapes.chunks_exact_mut(6).zip(utf16.iter()) {
        let digits = [hex(code >> 12), hex(code >> 8), hex(code >> 4), hex(code)];
        escape[..2].copy_from_slice(b"\\u");
        escape[2..].copy_from_slice(&digits);
    }
    found(Spelling { bytes: &escapes[..6 * utf16.len()], any_case: true });
    let short = match byte {
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        b' '..=b'~' => byte,
        _ => return unit + length,
    };
    found(Spelling { bytes: &[b'\\', short], any_case: false });
    unit + length
}

/// The character that the last bits of a secret share with what follows it, and the
/// padding if nothing does: how many bytes of them a text has, and whether it may
/// have more if it goes on.
fn base64_end(secret: &[u8], skip: u8, text: &[u8]) -> (usize, bool) {
    let shared = (secret.len() * 8 - usize::from(skip)) % 6;
    if shared == 0 {
        return (0, false);
    }
    let Some(&character) = text.first() else { return (0, true) };
    let last = sextet(secret, secret.len() * 8 - shared);
    let value = BASE64.iter().position(|&other| {
        other == character || matches!((other, character), (b'+', b'-') | (b'/', b'_'))
    });
    match value {
        Some(value) if value == last => {
            let padding = if shared == 2 { 2 } else { 1 };
            let more = &text[1..text.len().min(1 + padding)];
            let padded = more.iter().take_while(|&&byte| byte == b'=').count();
            (1 + padded, padded == more.len() && padded < padding)
        }
        Some(value) if (value ^ last) >> (6 - shared) == 0 => (1, false),
        _ => (0, false),
    }
}

/// The standard alphabet. The other one has `-` for `+` and `_` for `/`.
pub(super) const BASE64: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The six bits of a secret from a bit on; those beyond its end are zero.
fn sextet(secret: &[u8], bit: usize) -> usize {
    let byte = |at| secret.get(at).copied().map_or(0, usize::from);
    let two = byte(bit / 8) << 8 | byte(bit / 8 + 1);
    two >> (10 - bit % 8) & 63
}

/// The hexadecimal digit of the low four bits.
fn hex(bits: u16) -> u8 {
    b"0123456789abcdef"[usize::from(bits & 15)]
}
