//! Examples of each promise; then random secrets and texts against an oracle that
//! decodes the text at each position, where the masker spells the secrets.

mod oracle;

use std::sync::Arc;

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

fn mask<S: AsRef<[u8]>>(secrets: &[S], text: impl AsRef<[u8]>) -> String {
    let masked = mask_in_pieces(secrets, &[text.as_ref()]);
    String::from_utf8_lossy(&masked).into_owned()
}

fn mask_in_pieces<S: AsRef<[u8]>>(secrets: &[S], pieces: &[&[u8]]) -> Vec<u8> {
    let mut masker = Masker::new(&Arc::new(Secrets::new(secrets)));
    let mut out = Vec::new();
    for piece in pieces {
        masker.push(piece, &mut out);
    }
    masker.finish(&mut out);
    assert_eq!(masker.pending(), 0);
    out
}

/// What is written and how many bytes are held back after a text that may go on.
fn so_far<S: AsRef<[u8]>>(secrets: &[S], text: &str) -> (String, usize) {
    let mut masker = Masker::new(&Arc::new(Secrets::new(secrets)));
    let mut out = Vec::new();
    masker.push(text.as_bytes(), &mut out);
    (String::from_utf8_lossy(&out).into_owned(), masker.pending())
}

fn assert_masked(secret: &str, printed: &[&str]) {
    for printed in printed {
        assert_eq!(mask(&[secret], format!("<{printed}>")), "<***>", "{secret} as {printed}");
    }
}

#[test]
fn a_secret_is_masked_as_it_is() {
    assert_eq!(
        mask(&["hunter22"], "password hunter22, again: hunter22"),
        "password ***, again: ***"
    );
    assert_eq!(mask(&["hunter22"], "hunter2 hunter2"), "hunter2 hunter2");
    assert_eq!(mask(&["hunter22"], "hunterhunter22"), "hunter***");
}

#[test]
fn base64_is_masked_in_both_alphabets_with_and_without_padding() {
    assert_masked("hunter2", &["aHVudGVyMg==", "aHVudGVyMg=", "aHVudGVyMg"]);
    assert_masked("hunter22", &["aHVudGVyMjI=", "aHVudGVyMjI"]);
    assert_masked("~~~???~~~", &["fn5+Pz8/fn5+", "fn5-Pz8_fn5-"]);
}

#[test]
fn base64_is_masked_within_a_longer_text() {
    // "user:hunter22:x", and with one and two letters before it.
    assert_eq!(mask(&["hunter22"], "dXNlcjpodW50ZXIyMjp4"), "dXNlcjp***p4");
    assert_eq!(mask(&["hunter22"], "YXVzZXI6aHVudGVyMjI6eA=="), "YXVzZXI6***6eA==");
    assert_eq!(mask(&["hunter22"], "YWF1c2VyOmh1bnRlcjIyOng="), "YWF1c2VyOm***Ong=");
}

#[test]
fn lines_may_break_within_base64_and_hexadecimal() {
    assert_masked("hunter22", &["aHVudG\nVyMjI=", "aHVudGVy\r\nMjI=", "68756e74\n65723232"]);
}

#[test]
fn hexadecimal_is_masked_in_any_case() {
    assert_masked("jk[]lm~o", &["6a6b5b5d6c6d7e6f", "6A6B5B5D6C6D7E6F", "6a6B5b5D6c6D7e6F"]);
}

#[test]
fn percent_encoding_is_masked() {
    let printed = ["a b/c%25d%3Ae", "a%20b%2Fc%25d%3ae", "a+b/c%25d:e", "a+b%2fc%25d:e"];
    assert_masked("a b/c%d:e", &printed);
    assert_masked("pässwörd", &["p%C3%A4ssw%C3%B6rd", "p%c3%a4ssw%c3%b6rd", "pässw%c3%B6rd"]);
}

#[test]
fn json_escapes_are_masked() {
    assert_masked("a\"b\\c/d", &[r#"a\"b\\c/d"#, r#"a\"b\\c\/d"#, r"a\u0022b\u005Cc\u002fd"]);
    assert_masked("a\tb\u{1}c\u{8}d", &[r"a\tb\u0001c\bd", r"a\u0009b\u0001c\u0008d"]);
    assert_masked(
        "né🔑y",
        &["né🔑y", r"n\u00e9\ud83d\udd11y", r"n\u00E9\uD83D\uDD11y", r"né\uD83d\udD11y"],
    );
    assert_masked("a$b c", &[r"a\$b\ c"]);
}

#[test]
fn secrets_that_overlap_become_one_mark() {
    assert_eq!(mask(&["abcdef", "efghij"], "abcdefghij"), "***");
    assert_eq!(mask(&["abcdef", "ghijkl"], "abcdefghijkl"), "******");
    assert_eq!(mask(&["aaaa"], "aaaaaaaaaaa"), "***");
    assert_eq!(mask(&["abcd", "abcdefgh", "cdef"], "abcdefg abcdefgh"), "***g ***");
}

#[test]
fn a_secret_that_begins_in_a_false_start_is_found() {
    assert_eq!(mask(&["abcdabcdX", "bcdabcdY"], "abcdabcdY"), "a***");
    assert_eq!(mask(&["abababac"], "abababababac"), "abab***");
}

#[test]
fn secrets_that_are_too_short_are_told_and_empty_ones_ignored() {
    let secrets = Secrets::new(["", "abc", "  ab\n", "long enough", "ünï"]);
    assert_eq!(secrets.too_short(), [1, 2]);
    assert!(!secrets.is_empty());
    assert!(Secrets::new(["", "abc"]).is_empty());
}

#[test]
fn white_space_around_a_secret_is_not_needed() {
    assert_eq!(mask(&["hunter22\n"], "hunter22;hunter22\n"), "***;***\n");
}

const KEY: &str =
    "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA\n  dGhpcyBpcyBubyBr\nZXk=\n-----END KEY-----\n";

#[test]
fn each_line_of_a_key_is_masked() {
    assert_eq!(mask(&[KEY], format!("key: {KEY}.")), "key: ***\n.");
    assert_eq!(mask(&[KEY], "MIIEpAIBAAKCAQEA, dGhpcyBpcyBubyBr"), "***, ***");
    assert_eq!(mask(&[KEY], "-----BEGIN KEY----- ZXk="), "-----BEGIN KEY----- ZXk=");
    let in_one_line = KEY.replace('\n', "\\n");
    assert_eq!(mask(&[&in_one_line], &in_one_line), "***");
    assert_eq!(mask(&[&in_one_line], "MIIEpAIBAAKCAQEA\ndGhpcyBpcyBubyBr\n"), "***\n***\n");
}

#[test]
fn only_the_beginning_of_a_secret_is_held_back() {
    let secrets = ["hunter22"];
    assert_eq!(so_far(&secrets, "the hun"), ("the ".into(), 3));
    assert_eq!(so_far(&secrets, "the Hun"), ("the Hun".into(), 0));
    assert_eq!(so_far(&secrets, "the hunter"), ("the ".into(), 6));
    assert_eq!(so_far(&secrets, "hunhunh"), ("hunhun".into(), 1));
    assert_eq!(so_far(&secrets, "hunter22"), ("***".into(), 0));
    for ordinary in ["50%", "C:\\", "ah\n", "password: ", "...\r", "aHVu\n68\n6", ""] {
        let (written, held) = so_far(&secrets, ordinary);
        let held_back = if ordinary.ends_with('6') { 1 } else { 0 };
        assert_eq!((written.len(), held), (ordinary.len() - held_back, held_back), "{ordinary:?}");
    }
}

#[test]
fn a_mark_is_written_before_it_is_known_how_long_the_secret_is() {
    assert_eq!(so_far(&["abcd", "abcdefgh"], "abcde"), ("***".into(), 1));
    assert_eq!(so_far(&["abcd"], "aaabcd"), ("aa***".into(), 0));
    assert_eq!(so_far(&["hunter22"], "x=aHVudGVyMjI"), ("x=***".into(), 0));
    assert_eq!(mask_in_pieces(&["hunter22"], &[b"x=aHVudGVyMjI", b"=", b"="]), b"x=***=");
}

#[test]
fn what_was_held_back_is_written_at_the_end() {
    assert_eq!(mask(&["hunter22"], "the hunter2"), "the hunter2");
    assert_eq!(mask(&["xabcdefgh", "abcd"], "xabcdefg"), "x***efg");
}

#[test]
fn a_text_that_was_cut_within_a_secret_tells_nothing_of_it() {
    let secrets = Arc::new(Secrets::new(["Tok-en_12345x"]));
    assert_eq!(secrets.masked_cut("run-Tok-en_1234"), "run-***");
    assert_eq!(secrets.masked_cut("run-Tok-en_12345x"), "run-***");
    assert_eq!(secrets.masked_cut("a-long-name-ToT"), "a-long-name-ToT");
    assert_eq!(secrets.masked("run-Tok-en_1234"), "run-Tok-en_1234");
    assert_eq!(secrets.masked("no /Tok-en_12345x here"), "no /*** here");
}

#[test]
fn without_secrets_all_passes() {
    let none: [&str; 0] = [];
    assert_eq!(so_far(&none, "any text"), ("any text".into(), 0));
}

/// How a test prints a secret; `dice` decides wherever there is a choice.
fn print(secret: &[u8], form: u8, dice: u64) -> Vec<u8> {
    let mut dice = dice;
    let mut choose = |among: u64| {
        dice = dice.rotate_right(3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (dice >> 33) % among
    };
    let mut out = String::new();
    match form {
        0 => return secret.to_vec(),
        1 => {
            let around = [choose(3) as usize, choose(3) as usize];
            let bytes = [&b"xy"[..around[0]], secret, &b"zt"[..around[1]]].concat();
            let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
            let mut characters: Vec<u8> = Vec::new();
            for sextet in bits.as_bytes().chunks(6) {
                let sextet = format!("{:0<6}", String::from_utf8_lossy(sextet));
                let value = usize::from_str_radix(&sextet, 2).unwrap();
                characters.push(form::BASE64[value]);
            }
            if choose(2) == 0 {
                characters.resize(characters.len().next_multiple_of(4), b'=');
            }
            if choose(2) == 0 {
                let url_safe = |byte| if byte == b'+' { b'-' } else { byte };
                characters = characters.into_iter().map(url_safe).collect();
            }
            // The first line has enough of the secret, whatever is before that.
            let width = 8 + choose(20) as usize;
            return characters.chunks(width).collect::<Vec<_>>().join(&b'\n');
        }
        2 => {
            for byte in secret {
                let upper = choose(2) == 0;
                out += &if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
            }
        }
        3 => {
            let mut bytes = Vec::new();
            for &byte in secret {
                match choose(3) {
                    _ if byte.is_ascii_alphanumeric() => bytes.push(byte),
                    0 if byte == b' ' => bytes.push(b'+'),
                    0 if byte != b'%' => bytes.push(byte),
                    1 => bytes.extend_from_slice(format!("%{byte:02x}").as_bytes()),
                    _ => bytes.extend_from_slice(format!("%{byte:02X}").as_bytes()),
                }
            }
            return bytes;
        }
        _ => {
            let Ok(text) = std::str::from_utf8(secret) else { return secret.to_vec() };
            for character in text.chars() {
                match choose(3) {
                    0 if !character.is_ascii_alphanumeric() => {
                        for unit in character.encode_utf16(&mut [0; 2]) {
                            out += &format!("\\u{unit:04x}");
                        }
                    }
                    1 if character == '/' => out += "\\/",
                    _ => {
                        let quoted = serde_json::to_string(&character).unwrap();
                        out += &quoted[1..quoted.len() - 1];
                    }
                }
            }
        }
    }
    out.into_bytes()
}

/// Few different characters, so that secrets overlap and resemble each other; and all
/// that the forms treat in a way of their own.
fn any_secret() -> impl Strategy<Value = Vec<u8>> {
    let characters =
        ["a", "b", "0", "~", "?", " ", "/", "+", "%", "\"", "\\", "n", "\n", "é", "🔑"];
    let text = vec(prop::sample::select(characters.to_vec()), 1..9).prop_map(|text| text.concat());
    let alike = vec(prop::sample::select(vec!["a", "b"]), 4..9).prop_map(|text| text.concat());
    prop_oneof![
        4 => text.prop_map(String::into_bytes),
        2 => alike.prop_map(String::into_bytes),
        1 => vec(any::<u8>().prop_filter("the mark", |byte| *byte != b'*'), 4..30),
    ]
}

/// Secrets, and a text of them in all forms, of parts of these, and of other bytes.
fn secrets_and_text() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<u8>)> {
    let printed = (any::<Index>(), 0_u8..5, any::<u64>(), any::<[Index; 2]>(), any::<bool>());
    let other = vec(prop::sample::select(b"ab0~ /+%\\\nYWI=2-_".to_vec()), 0..6);
    let piece = prop_oneof![3 => printed.prop_map(Ok), 1 => other.prop_map(Err)];
    (vec(any_secret(), 1..4), vec(piece, 0..8)).prop_map(|(secrets, pieces)| {
        let mut text = Vec::new();
        for piece in pieces {
            match piece {
                Ok((secret, form, dice, [from, length], part)) => {
                    let secret: &Vec<u8> = secret.get(&secrets);
                    let printed = print(secret, form, dice);
                    let from = if part { from.index(printed.len() + 1) } else { 0 };
                    let most = printed.len() - from;
                    let length = if part { length.index(most + 1) } else { most };
                    text.extend_from_slice(&printed[from..from + length]);
                }
                Err(other) => text.extend_from_slice(&other),
            }
        }
        (secrets, text)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn all_forms_are_masked_wherever_the_stream_is_cut(
        (secrets, text) in secrets_and_text(),
        cuts in vec(any::<Index>(), 0..5),
    ) {
        let expected = oracle::mask(&secrets, &text);
        prop_assert_eq!(&oracle::mask(&secrets, &expected), &expected, "a secret is left");
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([text.len()]);
        let pieces: Vec<&[u8]> =
            [0].into_iter().chain(cuts.iter().copied()).zip(ends).map(|(a, b)| &text[a..b]).collect();
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        for pieces in [vec![&text[..]], pieces, bytes] {
            let masked = mask_in_pieces(&secrets, &pieces);
            prop_assert_eq!(
                String::from_utf8_lossy(&masked), String::from_utf8_lossy(&expected),
                "{:?} in {:?}", secrets, pieces
            );
        }
    }

    #[test]
    fn a_secret_in_any_form_is_not_in_the_output(
        secret in any_secret().prop_filter("short", |secret| secret.trim_ascii().len() >= 4),
        form in 0_u8..5,
        dice in any::<u64>(),
    ) {
        let secret = secret.trim_ascii();
        let printed = print(secret, form, dice);
        let masked = mask_in_pieces(&[secret], &[b"| ", &printed, b" |"]);
        let masked = String::from_utf8_lossy(&masked).into_owned();
        if form == 1 {
            // The characters of base64 that what is around the secret has a part in stay.
            let (before, after) = masked.split_once("***").unwrap_or_default();
            prop_assert!((2..=5).contains(&before.len()) && after.len() <= 9, "{}", masked);
        } else {
            prop_assert_eq!(masked, "| *** |");
        }
    }

    #[test]
    fn other_text_is_not_changed_nor_held_back(
        secrets in vec("[m-p]{4,20}", 1..20),
        pieces in vec("[\\x00-\\x20AC-Jq-sxyz!-/éü]{0,40}", 0..8),
    ) {
        // The letters that base64 of such secrets may begin with are not in the text.
        let mut masker = Masker::new(&Arc::new(Secrets::new(&secrets)));
        let mut out = Vec::new();
        for piece in &pieces {
            masker.push(piece.as_bytes(), &mut out);
            prop_assert_eq!(masker.pending(), 0);
        }
        masker.finish(&mut out);
        prop_assert_eq!(out, pieces.concat().into_bytes());
    }
}
