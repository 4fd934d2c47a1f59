//! JSON text → the importers: walks documents, keeps the JSON pointer, hands each element to serde, and turns what fails into notes.
//! Knows no inventory; the importers know no offsets.

use serde::de::DeserializeOwned;

use super::scan::{self, Step, Stop, Why};
use super::{Import, MOST_FACTS, aws, fdb, flow_log, ip, ipamd, kubectl, nft, session, shape};
use crate::facts::{Fact, Located};
use crate::model::{Locator, Note, quotable};

/// Past this many notes of one input, only their number is told.
const MAX_NOTES: usize = 50;

/// Where the import stands in its text.
pub(crate) struct Reader<'a> {
    /// From its first byte to the end of the present document.
    text: &'a [u8],
    pointer: String,
    import: Import,
    log: flow_log::Log,
    notes_left_out: usize,
    facts_left_out: u64,
}

/// Reads every document of a JSON text, whichever commands they come from.
pub(crate) fn import(text: &[u8]) -> Import {
    let documents = scan::documents(text);
    let mut reader = Reader {
        text,
        pointer: String::new(),
        import: Import::default(),
        log: flow_log::Log::default(),
        notes_left_out: 0,
        facts_left_out: 0,
    };
    let mut unknown: Option<String> = None;
    for (index, document) in documents.iter().enumerate() {
        reader.text = text.get(..document.end).unwrap_or_default();
        reader.pointer.clear();
        if documents.len() > 1 {
            scan::push_token(&mut reader.pointer, &index.to_string());
        }
        let outcome = any(&mut reader, document.start, 0);
        if let Err(stop) = outcome {
            reader.stopped(stop);
        }
        if unknown.is_none() && shape::of(reader.text, document.start).is_none() {
            unknown = Some(names(reader.text, document.start));
        }
    }
    let has_log = reader.log.has_rows();
    let (flows, notes) = std::mem::take(&mut reader.log).finish();
    reader.import.facts.extend(flows.into_iter().map(|(at, fact)| Located { at, fact }));
    notes.into_iter().for_each(|note| reader.note(note));
    if documents.is_empty() {
        reader.note(Note::loss("there is no JSON document in it"));
    }
    if let Some(names) = unknown.filter(|_| !has_log && reader.import.facts.is_empty() && reader.import.notes.is_empty()) {
        reader.note(Note::loss(format!("this JSON is from none of the commands that are read{names}; `hopscope collect` prints them")));
    }
    if reader.facts_left_out > 0 {
        let message = super::too_many(reader.facts_left_out);
        reader.import.notes.push(Note::loss(message));
    }
    if reader.notes_left_out > 0 {
        reader.import.notes.push(Note::loss(format!("and {} more like these", reader.notes_left_out)));
    }
    reader.import
}

/// Says which members an unknown document has, for a person.
fn names(text: &[u8], at: usize) -> String {
    let mut names: Vec<String> = Vec::new();
    let _ = scan::members(text, at, |name, at| {
        names.push(format!("`{}`", quotable(name)));
        scan::skip_value(text, at)
    });
    if names.is_empty() {
        return String::new();
    }
    let more = if names.len() > 5 { ", …" } else { "" };
    names.truncate(5);
    format!(": its members are {}{more}", names.join(", "))
}

/// Reads the value at `at`: an object that an importer knows, or an array that holds such objects
/// (`jq -s`, `--query 'Reservations[].Instances[]'`).
fn any(reader: &mut Reader<'_>, at: usize, depth: usize) -> Step {
    match reader.text.get(at) {
        Some(b'[') if depth < 4 => reader.elements(at, |reader, _, at| any(reader, at, depth + 1)),
        Some(b'{') => match shape::of_object(reader.text, at) {
            Some(shape::Shape::Kubectl) => kubectl::document(reader, at),
            Some(shape::Shape::Aws) => aws::document(reader, at),
            Some(shape::Shape::AwsElement(kind)) => aws::element(reader, at, kind, None),
            Some(shape::Shape::Link) => ip::json_link(reader, at),
            Some(shape::Shape::Neighbour) => ip::json_neighbour(reader, at),
            Some(shape::Shape::Route) => ip::json_route(reader, at),
            Some(shape::Shape::Rule) => ip::json_rule(reader, at),
            Some(shape::Shape::Nft) => nft::document(reader, at),
            Some(shape::Shape::Fdb) => fdb::json(reader, at),
            Some(shape::Shape::LogEvents) => log_events(reader, at),
            Some(shape::Shape::Ipamd) => ipamd::document(reader, at),
            Some(shape::Shape::Session) => session::document(reader, at),
            None => reader.skip(at),
        },
        _ => reader.skip(at),
    }
}

/// The answer itself, or one of its events.
fn log_events(reader: &mut Reader<'_>, at: usize) -> Step {
    let mut is_event = true;
    let before = reader.log.has_rows();
    let end = reader.members(at, |reader, name, at| match name {
        "events" => {
            is_event = false;
            reader.elements(at, |reader, _, at| flow_log::event(reader, at))
        }
        _ => reader.skip(at),
    })?;
    if is_event {
        flow_log::event(reader, at)?;
    }
    if !before && !reader.log.has_rows() {
        reader.loss(
            "",
            "these log events are no records of a VPC Flow Log; `aws logs filter-log-events --log-group-name GROUP` prints those of the flow log's own group",
        );
    }
    Ok(end)
}

impl<'a> Reader<'a> {
    /// The text, up to the end of the present document.
    pub(crate) fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Steps over a value.
    pub(crate) fn skip(&self, at: usize) -> Step {
        scan::skip_value(self.text, at)
    }

    /// Visits the members of the object at `at`, keeping the pointer. Anything else than an object is noted and stepped over;
    /// `null` is what Go prints for nothing.
    pub(crate) fn members(&mut self, at: usize, mut visit: impl FnMut(&mut Self, &str, usize) -> Step) -> Step {
        if self.text.get(at) != Some(&b'{') {
            return self.wrong_container(at, "an object");
        }
        let text = self.text;
        scan::members(text, at, |name, at| self.inside(name, |reader| visit(reader, name, at)))
    }

    /// Visits the elements of the array at `at`, keeping the pointer.
    pub(crate) fn elements(&mut self, at: usize, mut visit: impl FnMut(&mut Self, usize, usize) -> Step) -> Step {
        if self.text.get(at) != Some(&b'[') {
            return self.wrong_container(at, "an array");
        }
        let text = self.text;
        scan::elements(text, at, |index, at| self.inside(&index.to_string(), |reader| visit(reader, index, at)))
    }

    /// On failure the pointer stays, so that the note can say where it was.
    fn inside(&mut self, token: &str, visit: impl FnOnce(&mut Self) -> Step) -> Step {
        let length = self.pointer.len();
        scan::push_token(&mut self.pointer, token);
        let step = visit(self)?;
        self.pointer.truncate(length);
        Ok(step)
    }

    fn wrong_container(&mut self, at: usize, wanted: &str) -> Step {
        let end = self.skip(at)?;
        if self.text.get(at..end) != Some(b"null".as_slice()) {
            self.loss("", &format!("this is not {wanted}"));
        }
        Ok(end)
    }

    /// The value at `at` as a `T`; where it is none, a note says what is wrong with which member.
    pub(crate) fn parse<T: DeserializeOwned>(&mut self, at: usize) -> Result<(usize, Option<T>), Stop> {
        let end = self.skip(at)?;
        let span = self.text.get(at..end).unwrap_or_default();
        match serde_json::from_slice(span) {
            Ok(value) => Ok((end, Some(value))),
            Err(error) => {
                let message = without_place(&error.to_string());
                self.loss(&innermost(span, place(span, &error, &message)), &message);
                Ok((end, None))
            }
        }
    }

    /// The value at `at`, if it could be read, is handed to `take`.
    pub(crate) fn read<T: DeserializeOwned>(&mut self, at: usize, take: impl FnOnce(&mut Self, T)) -> Step {
        let (end, value) = self.parse(at)?;
        if let Some(value) = value {
            take(self, value);
        }
        Ok(end)
    }

    /// Adds a fact that stands at the present pointer.
    pub(crate) fn push(&mut self, fact: Fact) {
        self.push_below("", fact);
    }

    /// Adds a row of a flow log that stands at the present pointer.
    pub(crate) fn flow_log(&mut self, row: flow_log::Row) {
        self.log.take(Locator::Pointer(self.pointer.clone()), row);
    }

    /// Counts a record of a flow log whose columns nothing names.
    pub(crate) fn unnamed_flow_log(&mut self) {
        self.log.unnamed(Locator::Pointer(self.pointer.clone()));
    }

    /// Adds a fact that stands at a member below the present pointer.
    pub(crate) fn push_below(&mut self, below: &str, fact: Fact) {
        if self.import.facts.len() >= MOST_FACTS {
            self.facts_left_out = self.facts_left_out.saturating_add(1);
            return;
        }
        self.import.facts.push(Located { at: Locator::Pointer(format!("{}{below}", self.pointer)), fact });
    }

    /// Notes that the value at `below` (a pointer from here) could not be read.
    pub(crate) fn loss(&mut self, below: &str, message: &str) {
        let pointer = format!("{}{below}", self.pointer);
        let place = if pointer.is_empty() { "the document".to_owned() } else { pointer };
        self.note(Note::loss(format!("{place}: {message}")));
    }

    fn note(&mut self, note: Note) {
        if self.import.notes.len() < MAX_NOTES {
            self.import.notes.push(note);
        } else {
            self.notes_left_out += 1;
        }
    }

    /// Notes that the document could not be followed to its end.
    fn stopped(&mut self, stop: Stop) {
        let (line, column) = scan::line_and_column(self.text, stop.at);
        let place = if self.pointer.is_empty() { String::new() } else { format!(" of {}", self.pointer) };
        self.note(Note::loss(match stop.why {
            Why::End => format!("the document ends in the middle{place} at line {line}, column {column}"),
            Why::Unexpected => {
                let found = self.text.get(stop.at).map_or_else(String::new, |b| format!("`{}` ", char::from(*b).escape_default()));
                format!("the document is damaged: {found}cannot stand at line {line}, column {column}, in the middle{place}; what follows is not read")
            }
            Why::TooDeep => format!("more than {} brackets are open at line {line}, column {column}; what follows is not read", scan::MAX_DEPTH),
        }));
    }

    /// A text as an IP address, an interface's prefix, a MAC …; where it is none, a note. Empty text is nothing.
    pub(crate) fn value<T: std::str::FromStr>(&mut self, below: &str, text: Option<&str>, what: &str) -> Option<T> {
        let text = text.map(str::trim).filter(|t| !t.is_empty())?;
        let value = text.parse().ok();
        if value.is_none() {
            let shown = quotable(text);
            self.loss(below, &format!("`{shown}` is not {what}"));
        }
        value
    }
}

/// A list as programs print it: `null`, `[]` and nothing at all are the same.
pub(crate) type Maybe<T> = Option<Vec<T>>;

/// Its elements, each with its index.
pub(crate) fn each<T>(list: Maybe<T>) -> impl Iterator<Item = (usize, T)> {
    list.unwrap_or_default().into_iter().enumerate()
}

/// The offset in `text` of the value that serde_json refused. It tells the last byte that it took: of a string or number that is its
/// own last byte; for a list or object it is what stands before, and for a missing member what stands before the object's end.
fn place(text: &[u8], error: &serde_json::Error, message: &str) -> usize {
    let lines = text.split_inclusive(|b| *b == b'\n').take(error.line().saturating_sub(1));
    let start = lines.map(<[u8]>::len).sum::<usize>();
    let last = start.saturating_add(error.column()).saturating_sub(1);
    let is_before = match text.get(last) {
        Some(b'}') => false,
        Some(b':' | b',' | b'[' | b' ' | b'\t' | b'\n' | b'\r') => true,
        _ => message.starts_with("missing field"),
    };
    if is_before { scan::skip_space(text, last.saturating_add(1)) } else { last }
}

/// Deeper than this serde_json reads nothing, so no error of its lies deeper.
const DEEPEST: usize = 128;

/// The pointer of the innermost value that has the octet `wanted`.
fn innermost(text: &[u8], wanted: usize) -> String {
    let (mut pointer, mut at) = (String::new(), scan::skip_space(text, 0));
    for _ in 0..DEEPEST {
        let mut next = None;
        let mut look = |token: &str, at: usize| {
            let end = scan::skip_value(text, at)?;
            if (at..end).contains(&wanted) {
                next = Some((token.to_owned(), at));
            }
            Ok(end)
        };
        // What is broken further on is another's to tell.
        let _ = match text.get(at) {
            Some(b'{') => scan::members(text, at, look),
            Some(b'[') => scan::elements(text, at, |index, at| look(&index.to_string(), at)),
            _ => break,
        };
        let Some((token, inside)) = next else { break };
        scan::push_token(&mut pointer, &token);
        at = inside;
    }
    pointer
}

/// serde_json's message without its own line and column, which count from the element's beginning.
fn without_place(message: &str) -> String {
    message.rfind(" at line ").and_then(|at| message.get(..at)).unwrap_or(message).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{innermost, place, without_place};

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only the errors are looked at")]
    struct Port {
        name: Option<String>,
        port: u16,
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only the errors are looked at")]
    struct Host {
        ip: String,
        ports: Vec<Port>,
    }

    fn refused(text: &str) -> (String, String) {
        let error = serde_json::from_str::<Host>(text).unwrap_err();
        let message = without_place(&error.to_string());
        (innermost(text.as_bytes(), place(text.as_bytes(), &error, &message)), message)
    }

    #[test]
    fn what_cannot_be_read_is_pointed_at() {
        let places = [
            (r#"{"ip": 5, "ports": []}"#, "/ip"),
            (r#"{"ports": [], "ip": ["x", {}]}"#, "/ip"),
            ("{\n \"ip\": \"a\",\n \"ports\": [\n  {\"port\": 1},\n  {\"port\": \"eighty\"}\n ]\n}", "/ports/1/port"),
            (r#"{"ip": "a", "ports": [{"port": 70000, "name": null}]}"#, "/ports/0/port"),
            (r#"{"ip": "a", "ports": [{"port": 7, "name": {"a": 1}}]}"#, "/ports/0/name"),
            (r#"{"ip": "a", "ports": {"port": 7}}"#, "/ports"),
            (r#"{"ip": "a", "ports": [[5, 1]]}"#, "/ports/0/0"),
            // What is missing has no place of its own: the object is pointed at.
            (r#"{"ip": "a", "ports": [{"port": 1}, {"name": "b"}]}"#, "/ports/1"),
            ("{\"ip\": \"a\", \"ports\": [{\"name\": \"b\"\n }]}", "/ports/0"),
            (r#"{"ports": []}"#, ""),
            ("{}", ""),
        ];
        for (text, pointer) in places {
            let (found, message) = refused(text);
            assert_eq!(found, pointer, "{text}: {message}");
        }
    }
}
