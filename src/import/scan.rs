//! The structure of JSON text: where documents, members and elements begin and end, also in text that is cut or damaged.
//! Knows brackets and strings (RFC 8259), not values: those are serde's work, on the spans found here.

use std::borrow::Cow;

/// Deeper nesting than this is refused, as serde_json refuses it.
pub(crate) const MAX_DEPTH: usize = 127;

/// Why the structure could not be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The text ends where something must follow.
    End,
    /// This byte cannot stand here.
    Unexpected,
    /// More than [`MAX_DEPTH`] brackets are open.
    TooDeep,
}

/// Where and why the structure could not be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Byte offset.
    pub(crate) at: usize,
    pub(crate) why: Why,
}

/// Offset after a value, or why there is none.
pub(crate) type Step = Result<usize, Stop>;

fn stop<T>(text: &[u8], at: usize) -> Result<T, Stop> {
    Err(Stop { at: at.min(text.len()), why: if at >= text.len() { Why::End } else { Why::Unexpected } })
}

/// The first byte at or after `at` that is no white space.
pub(crate) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The offset after the string whose opening quote stands at `at`.
pub(crate) fn skip_string(text: &[u8], at: usize) -> Step {
    if text.get(at) != Some(&b'"') {
        return stop(text, at);
    }
    let mut at = at + 1;
    loop {
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return stop(text, at),
        }
    }
}

/// The offset after the value that begins at `at`. Inside a container only brackets and strings are looked at,
/// so a container that holds rubbish can still be stepped over.
pub(crate) fn skip_value(text: &[u8], at: usize) -> Step {
    match text.get(at) {
        Some(b'"') => skip_string(text, at),
        Some(b'{' | b'[') => skip_container(text, at),
        Some(byte) if is_scalar(*byte) => {
            let length = text.get(at..).unwrap_or_default().iter().take_while(|b| is_scalar(**b)).count();
            // A scalar that touches the end may be the beginning of a longer one.
            if at + length >= text.len() { stop(text, text.len()) } else { Ok(at + length) }
        }
        _ => stop(text, at),
    }
}

fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

fn skip_container(text: &[u8], mut at: usize) -> Step {
    let mut closers: Vec<u8> = Vec::new();
    loop {
        match text.get(at) {
            Some(b'"') => {
                at = skip_string(text, at)?;
                continue;
            }
            Some(open @ (b'{' | b'[')) => {
                if closers.len() >= MAX_DEPTH {
                    return Err(Stop { at, why: Why::TooDeep });
                }
                closers.push(if *open == b'{' { b'}' } else { b']' });
            }
            Some(close @ (b'}' | b']')) => {
                if closers.pop() != Some(*close) {
                    return stop(text, at);
                }
                if closers.is_empty() {
                    return Ok(at + 1);
                }
            }
            Some(_) => {}
            None => return stop(text, at),
        }
        at += 1;
    }
}

/// Calls `visit(name, offset of the value)` for each member of the object at `at`; `visit` returns the offset after the value.
pub(crate) fn members(text: &[u8], at: usize, mut visit: impl FnMut(&str, usize) -> Step) -> Step {
    if text.get(at) != Some(&b'{') {
        return stop(text, at);
    }
    let mut at = skip_space(text, at + 1);
    if text.get(at) == Some(&b'}') {
        return Ok(at + 1);
    }
    loop {
        let end = skip_string(text, at)?;
        let name = unquote(text.get(at..end).unwrap_or_default());
        at = skip_space(text, end);
        if text.get(at) != Some(&b':') {
            return stop(text, at);
        }
        at = skip_space(text, at + 1);
        at = skip_space(text, visit(&name, at)?);
        match text.get(at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(b'}') => return Ok(at + 1),
            _ => return stop(text, at),
        }
    }
}

/// Calls `visit(index, offset of the value)` for each element of the array at `at`; `visit` returns the offset after the value.
pub(crate) fn elements(text: &[u8], at: usize, mut visit: impl FnMut(usize, usize) -> Step) -> Step {
    if text.get(at) != Some(&b'[') {
        return stop(text, at);
    }
    let mut at = skip_space(text, at + 1);
    if text.get(at) == Some(&b']') {
        return Ok(at + 1);
    }
    let mut index = 0;
    loop {
        at = skip_space(text, visit(index, at)?);
        index += 1;
        match text.get(at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(b']') => return Ok(at + 1),
            _ => return stop(text, at),
        }
    }
}

/// The text of a quoted string. One that serde cannot read stands as it is, so that a pointer can still name it.
fn unquote(quoted: &[u8]) -> Cow<'_, str> {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if inner.contains(&b'\\') {
        serde_json::from_slice::<String>(quoted).map_or_else(|_| String::from_utf8_lossy(inner), Cow::Owned)
    } else {
        String::from_utf8_lossy(inner)
    }
}

/// One of the JSON documents of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    /// Offset of its opening bracket.
    pub(crate) start: usize,
    /// Offset after its last byte. For a document without an end: where the next one begins, or the text's length.
    pub(crate) end: usize,
}

/// The documents (objects and arrays) of a text, in order. Several may follow one another, as from `kubectl cluster-info dump`
/// or a shell loop, with lines of other text between them. A document that has no end is taken to stop before the next line
/// that begins like a document.
pub(crate) fn documents(text: &[u8]) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut at = 0;
    loop {
        // Commas and record separators (RFC 7464) between documents are harmless.
        while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | 0x1e)) {
            at += 1;
        }
        let start = match text.get(at) {
            None => return documents,
            Some(_) if begins_document(text, at) => at,
            Some(_) => match next_line_with_document(text, at) {
                Some(start) => start,
                None => return documents,
            },
        };
        let end = skip_value(text, start).unwrap_or_else(|_| next_line_with_document(text, start).unwrap_or(text.len()));
        documents.push(Document { start, end });
        at = end;
    }
}

/// The next line after the one with `at` that begins with a document.
fn next_line_with_document(text: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    loop {
        at += text.get(at..)?.iter().position(|b| *b == b'\n')? + 1;
        if begins_document(text, at) {
            return Some(at);
        }
    }
}

/// Whether a document may begin at `at`: a bracket, and then a name, an element, or a plain value with a comma.
/// A bracket also begins the prompt `[root@host ~]# ip addr`, a log's `[2021-05-03 …` and iptables' counters `[12:3456] -A …`.
pub(crate) fn begins_document(text: &[u8], at: usize) -> bool {
    let first = skip_space(text, at.saturating_add(1));
    let next = text.get(first);
    match text.get(at) {
        Some(b'{') => matches!(next, None | Some(b'"' | b'}')),
        Some(b'[') => {
            let is_listed = || {
                let scalar = text.get(first..).unwrap_or_default().iter().take_while(|b| is_scalar(**b)).count();
                scalar > 0 && text.get(skip_space(text, first + scalar)) == Some(&b',')
            };
            matches!(next, None | Some(b'{' | b'[' | b'"' | b']')) || is_listed()
        }
        _ => false,
    }
}

/// Line (from 1) and column (from 1, in bytes) of an offset.
pub(crate) fn line_and_column(text: &[u8], at: usize) -> (u64, u64) {
    let before = text.get(..at.min(text.len())).unwrap_or_default();
    let line = before.iter().filter(|b| **b == b'\n').count() as u64 + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() as u64 + 1;
    (line, column)
}

/// Appends `/token`, escaped after RFC 6901.
pub(crate) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}
