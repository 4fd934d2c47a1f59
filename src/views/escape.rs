//! Text that came from inputs, made harmless: first inert for any reader, then escaped for one language.
//! Knows each output language's metacharacters; must not know what the text means.
//!
//! Names in inventories and captures are chosen by whoever made them, so a pod may be called `--><script>` and a file
//! may carry a terminal's escape sequences. Nothing of that may act, and all of it stays visible.

use std::fmt::Write as _;

use crate::model::{is_acting, shell_word};

/// Control, bidirectional-override, invisible and non-character code points as `\u{…}`; everything else as it is.
///
/// These are what can move a terminal's cursor, reorder a line (CVE-2021-42574), hide in a name, or make XML unreadable
/// (XML 1.0, 2.2 Char).
#[must_use]
pub fn inert(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_acting(c) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// For XML and HTML, text and quoted attributes alike.
#[must_use]
pub fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in inert(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A quoted string of Graphviz's DOT, with its quotes. Backslashes are doubled: in labels `\n`, `\l` and `\N` act.
#[must_use]
pub fn dot(text: &str) -> String {
    format!("\"{}\"", dot_inner(text))
}

/// The same without the quotes.
#[must_use]
pub fn dot_inner(text: &str) -> String {
    inert(text).replace('\\', "\\\\").replace('"', "\\\"")
}

/// The inside of a quoted Mermaid label. Mermaid has no backslash escapes; it has `#code;` entities, and it hands the label
/// to HTML, so everything that means something to either is written as an entity.
#[must_use]
pub fn mermaid(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in inert(text).chars() {
        match c {
            c if c.is_alphanumeric() => out.push(c),
            ' ' | '.' | ':' | '/' | ',' | '_' | '→' | '·' | '+' | 'µ' => out.push(c),
            // A single hyphen is harmless inside quotes, `--` is not always: older grammars saw an arrow.
            '-' if !out.ends_with('-') => out.push('-'),
            c => {
                let _ = write!(out, "#{};", u32::from(c));
            }
        }
    }
    out
}

/// A field of a CSV file (RFC 4180). What a spreadsheet would run as a formula gets a leading apostrophe (OWASP, "CSV injection").
#[must_use]
pub fn csv(text: &str) -> String {
    let mut field = inert(text);
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        field.insert(0, '\'');
    }
    if field.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}

/// One word of a POSIX shell command line: quoted unless it is plainly harmless.
#[must_use]
pub fn shell(text: &str) -> String {
    shell_word(&inert(text))
}

/// A part of a file's name that is offered to whoever saves an export: letters, digits and hyphens of ASCII, 40 at most. A saved report, too,
/// is an input, and its ids may be anything.
#[must_use]
pub fn file_name_part(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\"b'c<d>&]]>--></script>\u{1b}[31m\u{202e}x\u{9b}\n\r\t\u{200b}`$(id)`\\[({;#%";

    #[test]
    fn inert_text_shows_what_would_act() {
        assert_eq!(inert("a\u{1b}[2J\u{202e}b\n"), "a\\u{1b}[2J\\u{202e}b\\u{a}");
        assert_eq!(inert("Größe → 41 µs"), "Größe → 41 µs");
    }

    #[test]
    fn no_language_lets_its_own_metacharacters_through() {
        assert!(!xml(HOSTILE).contains(['<', '>', '"', '\'', '\u{1b}']));
        let inner = dot(HOSTILE);
        let inner = inner.strip_prefix('"').unwrap().strip_suffix('"').unwrap().replace("\\\\", "").replace("\\\"", "");
        assert!(!inner.contains(['"', '\\', '\n']));
        assert!(!mermaid(HOSTILE).contains(['"', '<', '>', '[', ']', '(', '{', '`', '\n', '%']));
        assert!(!mermaid("a-->b---c").contains("--"));
        for c in ["=cmd()", "+1", "-1", "@x"] {
            assert!(csv(c).starts_with('\''), "{c}");
        }
        assert_eq!(csv("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(shell("a'; rm -rf /"), "'a'\\''; rm -rf /'");
        assert_eq!(file_name_part("../../\u{202e}p1\u{1b}.exe\"\n<b>"), "p1exeb");
        assert_eq!(file_name_part(&"p".repeat(300)).len(), 40);
    }
}
