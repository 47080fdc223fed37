//! The MIME type of a file: by its content where that is telling, by its extension
//! for text, whose formats look alike.

/// How much of a file's beginning is looked at, in bytes.
pub(super) const HEAD: usize = 8 * 1024;

const BINARY: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";

/// Formats that are a container of another kind, which only the extension tells:
/// a `.docx` is a ZIP archive.
const CONTAINERS: [&str; 4] =
    ["application/zip", "application/gzip", "application/x-ole-storage", "application/x-bzip2"];

/// The type of a file of this name that begins with `head`.
pub(super) fn content_type(filename: &str, head: &[u8]) -> String {
    let by_name = mime_guess::from_path(filename).first_raw();
    let by_content = infer::get(head).map(|kind| kind.mime_type());
    match (by_content, by_name) {
        (Some(container), Some(name)) if CONTAINERS.contains(&container) => name.to_owned(),
        (Some(content), _) if !content.starts_with("text/") => content.to_owned(),
        (_, Some(name)) if head.is_empty() || is_textual(name) == is_text(head) => name.to_owned(),
        (Some(content), _) => content.to_owned(),
        _ if is_text(head) && !head.is_empty() => TEXT.to_owned(),
        _ => BINARY.to_owned(),
    }
}

/// Whether a type's files are text.
fn is_textual(mime: &str) -> bool {
    mime.starts_with("text/")
        || mime.ends_with("+xml")
        || mime.ends_with("+json")
        || ["application/json", "application/xml", "application/javascript", "application/sql"]
            .contains(&mime)
        || mime.contains("yaml")
        || mime.contains("toml")
}

/// Whether bytes are text: UTF-8 (that may be cut at the end) without zero bytes.
fn is_text(head: &[u8]) -> bool {
    let whole = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    whole && !head.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_files_get_the_right_type() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        let cases: [(&str, &[u8], &str); 15] = [
            ("invoices.csv", b"id,amount\n1,2\n", "text/csv"),
            ("result.json", b"{\"a\": 1}\n", "application/json"),
            ("feed.xml", b"<?xml version=\"1.0\"?><a/>", "text/xml"),
            ("page.html", b"<!DOCTYPE html><html></html>", "text/html"),
            ("report.pdf", b"%PDF-1.7\n", "application/pdf"),
            ("all.zip", b"PK\x03\x04\x14\0\0\0", "application/zip"),
            (
                "letter.docx",
                b"PK\x03\x04\x14\0\0\0",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            ),
            ("chart.png", png, "image/png"),
            ("chart.csv", png, "image/png"),
            ("notes", b"just words\n", TEXT),
            ("notes.txt", "na\u{ef}ve".as_bytes(), "text/plain"),
            ("data", b"\0\x01\x02\xff", BINARY),
            ("data.csv", b"\0\x01\x02\xff", BINARY),
            ("empty.csv", b"", "text/csv"),
            ("empty", b"", BINARY),
        ];
        for (filename, head, expected) in cases {
            assert_eq!(content_type(filename, head), expected, "{filename}");
        }
    }

    #[test]
    fn a_character_that_is_cut_is_still_text() {
        assert!(is_text(&"na\u{ef}ve".as_bytes()[..3]));
    }
}
