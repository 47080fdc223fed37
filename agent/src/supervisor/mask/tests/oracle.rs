//! Masks as the masker must, slowly: it decodes the text at each position.

/// The output for a text.
pub(super) fn mask(secrets: &[Vec<u8>], text: &[u8]) -> Vec<u8> {
    let secrets = with_lines(secrets);
    let mut out = Vec::new();
    let mut masked = 0;
    for at in 0..text.len() {
        let length = secrets.iter().filter_map(|secret| length(secret, &text[at..])).max();
        if let Some(length) = length {
            if at >= masked {
                out.extend_from_slice(b"***");
            }
            masked = masked.max(at + length);
        }
        if at >= masked {
            out.push(text[at]);
        }
    }
    out
}

fn with_lines(secrets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for secret in secrets {
        all.extend(Some(secret.trim_ascii().to_vec()).filter(|secret| secret.len() >= 4));
        let mut text: String = secret.trim_ascii().iter().copied().map(char::from).collect();
        for end in ["\\n", "\\r", "\r"] {
            text = text.replace(end, "\n");
        }
        for line in text.split('\n') {
            let line: Vec<u8> = line.chars().map(|byte| byte as u8).collect();
            let line = line.trim_ascii();
            if line.len() >= 8 && !(line.starts_with(b"-----") && line.ends_with(b"-----")) {
                all.push(line.to_vec());
            }
        }
    }
    all
}

/// Bytes at the beginning of a text that are a secret.
fn length(secret: &[u8], text: &[u8]) -> Option<usize> {
    let plain = text.starts_with(secret).then_some(secret.len());
    let decoded = [hex_byte, percent_byte].into_iter().filter_map(|decode| {
        let mut at = 0;
        for (number, &byte) in secret.iter().enumerate() {
            at += decode(byte, number, &text[at..])?;
        }
        Some(at)
    });
    let base64 = [0, 2, 4].into_iter().filter_map(|skip| base64(secret, skip, text));
    plain.into_iter().chain(decoded).chain(escaped(secret, text)).chain(base64).max()
}

fn break_at(text: &[u8]) -> usize {
    if text.starts_with(b"\r\n") { 2 } else { usize::from(text.starts_with(b"\n")) }
}

fn number(digits: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok()?;
    let all = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| all)
}

fn hex_byte(byte: u8, number_of_byte: usize, text: &[u8]) -> Option<usize> {
    let breaks = number_of_byte >= 2;
    let high = if breaks { break_at(text) } else { 0 };
    let low = high + 1 + if breaks { break_at(text.get(high + 1..)?) } else { 0 };
    let digits = [*text.get(high)?, *text.get(low)?];
    (number(&digits)? == u32::from(byte)).then_some(low + 1)
}

fn percent_byte(byte: u8, _: usize, text: &[u8]) -> Option<usize> {
    match *text.first()? {
        b'%' if !byte.is_ascii_alphanumeric() => {
            (number(text.get(1..3)?)? == u32::from(byte)).then_some(3)
        }
        b'%' => None,
        b'+' => (byte == b'+' || byte == b' ').then_some(1),
        other => (other == byte).then_some(1),
    }
}

/// Decodes as many characters as the secret has.
fn escaped(secret: &[u8], text: &[u8]) -> Option<usize> {
    let mut decoded = Vec::new();
    let mut at = 0;
    while decoded.len() < secret.len() {
        let rest = &text[at..];
        let (character, length) = match *rest.first()? {
            b'\\' => match *rest.get(1)? {
                b'u' | b'U' => {
                    let mut units = vec![number(rest.get(2..6)?)? as u16];
                    if (0xd800..0xdc00).contains(&units[0]) {
                        rest.get(6..8)?.eq_ignore_ascii_case(b"\\u").then_some(())?;
                        units.push(number(rest.get(8..12)?)? as u16);
                    }
                    (String::from_utf16(&units).ok()?, units.len() * 6)
                }
                b'b' => ("\u{8}".into(), 2),
                b'f' => ("\u{c}".into(), 2),
                b'n' => ("\n".into(), 2),
                b'r' => ("\r".into(), 2),
                b't' => ("\t".into(), 2),
                byte @ b' '..=b'~' => (char::from(byte).to_string(), 2),
                _ => return None,
            },
            byte => {
                decoded.push(byte);
                at += 1;
                continue;
            }
        };
        if character.chars().all(|character| character.is_ascii_alphanumeric()) {
            return None;
        }
        decoded.extend_from_slice(character.as_bytes());
        at += length;
    }
    (decoded == secret).then_some(at)
}

fn sextet(byte: u8) -> Option<String> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(format!("{value:06b}"))
}

fn base64(secret: &[u8], skip: usize, text: &[u8]) -> Option<usize> {
    let bits: String = secret.iter().map(|byte| format!("{byte:08b}")).collect();
    let mut bits = &bits[skip..];
    let (mut at, mut count) = (0, 0);
    while bits.len() >= 6 {
        if count >= 4 {
            at += break_at(&text[at..]);
        }
        bits = bits.strip_prefix(sextet(*text.get(at)?)?.as_str())?;
        (at, count) = (at + 1, count + 1);
    }
    let Some(last) = text.get(at).and_then(|byte| sextet(*byte)) else { return Some(at) };
    let Some(rest) = last.strip_prefix(bits).filter(|_| !bits.is_empty()) else {
        return Some(at);
    };
    let padding = if rest.contains('1') { 0 } else { rest.len() / 2 };
    let padded = text[at + 1..].iter().take(padding).take_while(|byte| **byte == b'=').count();
    Some(at + 1 + padded)
}
