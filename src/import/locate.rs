//! A JSON pointer or a line → the bytes it means, so that a person can be shown the very lines a claim stands on.
//! Knows structure only; it follows the same documents that the importers read, cut and damaged ones too.

use super::scan::{self, Document};
use crate::model::Locator;

/// A part of a text: that of [`super::text`], which is the input itself unless it is UTF-16 or begins with a byte order mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// From 1.
    pub first_line: u64,
    /// From 1, inclusive.
    pub last_line: u64,
    /// Byte offset of the first byte.
    pub start: usize,
    /// Byte offset after the last byte.
    pub end: usize,
}

/// Where `locator` points in an input. A frame is a packet that tcpdump printed. `None`: nowhere in it.
#[must_use]
pub fn span_of(bytes: &[u8], locator: &Locator) -> Option<Span> {
    let text = super::text(bytes);
    let text = text.as_bytes();
    match locator {
        Locator::Frame(number) => {
            let (first, last) = super::tcpdump::lines_of(std::str::from_utf8(text).unwrap_or_default(), *number)?;
            let (first, last) = (line_span(text, first)?, line_span(text, last)?);
            Some(Span { last_line: last.last_line, end: last.end, ..first })
        }
        Locator::Line(line) => line_span(text, *line),
        Locator::Pointer(pointer) => {
            let (start, end) = pointer_span(text, pointer)?;
            let (first_line, _) = scan::line_and_column(text, start);
            let (last_line, _) = scan::line_and_column(text, end.saturating_sub(1).max(start));
            Some(Span { first_line, last_line, start, end })
        }
    }
}

fn line_span(text: &[u8], line: u64) -> Option<Span> {
    let mut start = 0;
    for _ in 1..line {
        start += text.get(start..)?.iter().position(|b| *b == b'\n')? + 1;
    }
    let rest = text.get(start..).filter(|r| line > 0 && !r.is_empty())?;
    let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
    let is_crlf = length > 0 && rest.get(length - 1) == Some(&b'\r');
    Some(Span { first_line: line, last_line: line, start, end: start + length - usize::from(is_crlf) })
}

/// Start and end of the value. A value that is cut ends where its document does.
fn pointer_span(text: &[u8], pointer: &str) -> Option<(usize, usize)> {
    let mut tokens: Vec<String> = Vec::new();
    if !pointer.is_empty() {
        // `~1` first: `~01` means `~1`, not `/` (RFC 6901, section 4).
        tokens = pointer.strip_prefix('/')?.split('/').map(|t| t.replace("~1", "/").replace("~0", "~")).collect();
    }
    let documents = scan::documents(text);
    let mut tokens = tokens.into_iter();
    let document: Document = match documents.as_slice() {
        [only] => *only,
        several => match tokens.next() {
            Some(index) => *several.get(parse_index(&index)?)?,
            None => return Some((0, text.len())).filter(|_| !several.is_empty()),
        },
    };
    let text = text.get(..document.end)?;
    let mut at = document.start;
    for token in tokens {
        at = child(text, at, &token)?;
    }
    Some((at, scan::skip_value(text, at).unwrap_or(text.len())))
}

/// An array index as RFC 6901 has it: no sign, no leading zero.
fn parse_index(token: &str) -> Option<usize> {
    let is_plain = token.bytes().all(|b| b.is_ascii_digit()) && (token.len() == 1 || !token.starts_with('0'));
    if is_plain { token.parse().ok() } else { None }
}

/// The offset of a member's or element's value. Of members with the same name the last counts, as serde_json takes it.
fn child(text: &[u8], at: usize, token: &str) -> Option<usize> {
    let mut found = None;
    match text.get(at)? {
        b'{' => {
            let _ = scan::members(text, at, |name, at| {
                if name == token {
                    found = Some(at);
                }
                scan::skip_value(text, at)
            });
        }
        b'[' => {
            let wanted = parse_index(token)?;
            let _ = scan::elements(text, at, |index, at| {
                if index == wanted {
                    found = Some(at);
                }
                scan::skip_value(text, at)
            });
        }
        _ => {}
    }
    found
}
