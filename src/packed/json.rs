//! A packed report's document, written from its rows. To lay each out first, and to have serde find out member by member what is always
//! the same, takes seven times as long: half of what the command line does for a conversation.
//! Knows how rows are written and how documents are laid out; must write what serde writes of a [`Report`](crate::report::Report).

use std::io::{self, Write};

use serde::Serialize;

use super::{PackedReport, read_locator};
use crate::model::{Locator, is_acting};
use crate::report::{Finding, Relay, Rewrite, Verdict, serialize_at};
use crate::rows::{Reader, Row, Rows};

/// Written to the output when it has so many octets.
const PIECE: usize = 1 << 16;

pub(super) fn write(report: &PackedReport, out: &mut impl Write) -> io::Result<()> {
    let head = &report.head;
    let mut to = Document { text: String::new(), depth: 0, is_empty: true };
    to.begin('{');
    to.member("schema", &head.schema)?;
    to.member("generator", &head.generator)?;
    to.member("inputs", &head.inputs)?;
    to.member("capture_points", &head.capture_points)?;
    to.member("entities", &head.entities)?;
    to.member("links", &head.links)?;
    if head.sampling.is_some() {
        to.member("sampling", &head.sampling)?;
    }
    to.key("paths");
    to.rows(out, &report.paths, path)?;
    to.key("findings");
    to.rows(out, &report.findings, |to, from: &mut Reader<'_>| to.value(&Finding::read(from)))?;
    to.key("evidence");
    to.rows(out, &report.evidence, evidence)?;
    if !head.ambiguous.is_none() {
        to.member("ambiguous", &head.ambiguous)?;
    }
    to.end('}');
    to.text.push('\n');
    out.write_all(to.text.as_bytes())
}

/// In [`KINDS`]: stands as its number or behind a backslash.
const ESCAPED: u8 = 1;
/// A part of a character that may have to.
const NOT_ASCII: u8 = 2;

/// What each octet of a text is. (In a constant, an index that is too large does not compile.)
#[allow(clippy::indexing_slicing)]
static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        kinds[octet] = match octet as u8 {
            0..0x20 | b'"' | b'\\' | 0x7f => ESCAPED,
            0x80.. => NOT_ASCII,
            _ => 0,
        };
        octet += 1;
    }
    kinds
};

/// A document in the making.
struct Document {
    text: String,
    depth: usize,
    /// Whether nothing is in the innermost list or object yet.
    is_empty: bool,
}

impl Document {
    fn line(&mut self) {
        const LINE: &str = ",\n                        ";
        let line = LINE.get(usize::from(self.is_empty)..2 + 2 * self.depth);
        self.text.push_str(line.unwrap_or(LINE));
        self.is_empty = false;
    }

    fn begin(&mut self, bracket: char) {
        self.text.push(bracket);
        self.depth += 1;
        self.is_empty = true;
    }

    fn end(&mut self, bracket: char) {
        self.depth -= 1;
        if !self.is_empty {
            self.is_empty = true;
            self.line();
        }
        self.text.push(bracket);
        self.is_empty = false;
    }

    fn key(&mut self, name: &'static str) {
        self.line();
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\": ");
    }

    fn value(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut bytes = Vec::new();
        serialize_at(value, &mut bytes, self.depth)?;
        self.text.push_str(std::str::from_utf8(&bytes).unwrap_or_default());
        Ok(())
    }

    fn member(&mut self, name: &'static str, value: &impl Serialize) -> io::Result<()> {
        self.key(name);
        self.value(value)
    }

    fn rows<T: Row>(
        &mut self,
        out: &mut impl Write,
        rows: &Rows<T>,
        mut write: impl FnMut(&mut Self, &mut Reader<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.begin('[');
        rows.read_each(|from| {
            self.line();
            write(self, from)?;
            if self.text.len() > PIECE {
                out.write_all(self.text.as_bytes())?;
                self.text.clear();
            }
            Ok::<_, io::Error>(())
        })?;
        self.end(']');
        Ok(())
    }

    /// A list of which the row says how many it has.
    fn list(&mut self, from: &mut Reader<'_>, one: impl FnMut(&mut Self, &mut Reader<'_>) -> io::Result<()>) -> io::Result<()> {
        let count = from.number();
        self.items(from, count, one)
    }

    fn items(
        &mut self,
        from: &mut Reader<'_>,
        count: u64,
        mut one: impl FnMut(&mut Self, &mut Reader<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.begin('[');
        for _ in 0..count {
            self.line();
            one(self, from)?;
        }
        self.end(']');
        Ok(())
    }

    fn option(&mut self, from: &mut Reader<'_>, one: impl FnOnce(&mut Self, &mut Reader<'_>) -> io::Result<()>) -> io::Result<()> {
        if from.flag() {
            return one(self, from);
        }
        self.text.push_str("null");
        Ok(())
    }

    /// A text, of which what was written since `begin` is the inner part.
    fn close(&mut self, begin: usize) -> io::Result<()> {
        let text = self.text.get(begin + 1..).unwrap_or_default();
        // (All octets at once: to stop at the first takes longer.)
        let found = text.bytes().fold(0, |found, octet| found | KINDS.get(usize::from(octet)).copied().unwrap_or_default());
        if found & ESCAPED != 0 || found & NOT_ASCII != 0 && text.chars().any(|c| !c.is_ascii() && is_acting(c)) {
            let text = text.to_owned();
            self.text.truncate(begin);
            return self.value(&text);
        }
        self.text.push('"');
        Ok(())
    }

    fn string(&mut self, text: &str) -> io::Result<()> {
        let begin = self.text.len();
        self.text.push('"');
        self.text.push_str(text);
        self.close(begin)
    }

    fn word(&mut self, from: &mut Reader<'_>) -> io::Result<()> {
        self.string(from.word_ref())
    }

    fn text(&mut self, from: &mut Reader<'_>) -> io::Result<()> {
        let begin = self.text.len();
        self.text.push('"');
        from.text_onto(&mut self.text);
        self.close(begin)
    }

    fn name(&mut self, letters: &str, from: &mut Reader<'_>) -> io::Result<()> {
        let begin = self.text.len();
        self.text.push('"');
        from.name_onto(letters, &mut self.text);
        self.close(begin)
    }

    fn number(&mut self, number: impl itoa::Integer) {
        self.text.push_str(itoa::Buffer::new().format(number));
    }

    fn flag(&mut self, flag: bool) {
        self.text.push_str(if flag { "true" } else { "false" });
    }

    /// A probability: mostly of three digits.
    fn share(&mut self, from: &mut Reader<'_>) -> io::Result<()> {
        let share = from.share();
        let thousandths = (share * 1000.0).round();
        if !(0.0..=1000.0).contains(&thousandths) || (thousandths / 1000.0).to_bits() != share.to_bits() {
            return self.value(&share);
        }
        let thousandths = thousandths as u32;
        self.number(thousandths / 1000);
        self.text.push('.');
        let (mut rest, mut digit) = (thousandths % 1000, 100);
        loop {
            self.number(rest / digit);
            rest %= digit;
            if rest == 0 {
                return Ok(());
            }
            digit /= 10;
        }
    }
}

/// As [`Path`](crate::report::Path) is read.
fn path(to: &mut Document, from: &mut Reader<'_>) -> io::Result<()> {
    to.begin('{');
    to.key("id");
    to.name("p", from)?;
    to.key("flow");
    to.begin('{');
    to.key("protocol");
    to.word(from)?;
    to.key("client");
    end(to, from)?;
    to.key("server");
    end(to, from)?;
    to.key("via");
    to.option(from, end)?;
    to.end('}');
    to.key("packets");
    to.number(from.number());
    to.key("bytes");
    to.number(from.number());
    to.key("directions");
    let directions = from.list(|from| (Verdict::numbered(from.number()), from.number()));
    to.begin('[');
    for (verdict, count) in directions {
        to.line();
        let (is_reply, lost_after) = (from.flag(), from.option(Reader::number));
        to.begin('{');
        to.key("direction");
        to.string(if is_reply { "reply" } else { "request" })?;
        to.key("hops");
        to.items(from, count, hop)?;
        to.key("verdict");
        to.string(match verdict {
            Verdict::Delivered => "delivered",
            Verdict::Lost => "lost",
            Verdict::Rejected => "rejected",
            Verdict::Unknown => "unknown",
        })?;
        to.key("lost_after");
        match lost_after {
            Some(n) => to.number(n),
            None => to.text.push_str("null"),
        }
        let beyond = from.number();
        if beyond > 0 {
            to.key("beyond");
            to.items(from, beyond, hop)?;
        }
        to.end('}');
    }
    to.end(']');
    let relays: Vec<Relay> = from.list(Relay::read);
    if !relays.is_empty() {
        to.member("relays", &relays)?;
    }
    to.end('}');
    Ok(())
}

fn end(to: &mut Document, from: &mut Reader<'_>) -> io::Result<()> {
    to.begin('{');
    to.key("entity");
    to.option(from, Document::text)?;
    to.key("ip");
    to.text(from)?;
    to.key("port");
    number(to, from)?;
    to.end('}');
    Ok(())
}

/// A number that may not be there.
fn number(to: &mut Document, from: &mut Reader<'_>) -> io::Result<()> {
    to.option(from, |to, from| {
        to.number(from.number());
        Ok(())
    })
}

/// As [`Hop`](crate::report::Hop) is read.
fn hop(to: &mut Document, from: &mut Reader<'_>) -> io::Result<()> {
    to.begin('{');
    to.key("owner");
    to.word(from)?;
    to.key("interface");
    to.option(from, Document::word)?;
    to.key("observed");
    to.flag(from.flag());
    to.key("capture_points");
    to.list(from, |to, from| to.name("cp", from))?;
    for key in ["src_mac", "dst_mac"] {
        to.key(key);
        to.option(from, Document::word)?;
    }
    for (ip, port) in [("src_ip", "src_port"), ("dst_ip", "dst_port")] {
        to.key(ip);
        to.option(from, Document::text)?;
        to.key(port);
        number(to, from)?;
    }
    to.key("ttl");
    number(to, from)?;
    to.key("rewrites");
    to.list(from, |to, from| {
        to.string(match super::rewrite(from) {
            Rewrite::Mac => "mac",
            Rewrite::Ttl => "ttl",
            Rewrite::Snat => "snat",
            Rewrite::Dnat => "dnat",
            Rewrite::Encap => "encap",
            Rewrite::Decap => "decap",
        })
    })?;
    to.key("encapsulation");
    to.list(from, |to, from| {
        to.begin('{');
        to.key("kind");
        to.word(from)?;
        to.key("vni");
        number(to, from)?;
        for key in ["outer_src", "outer_dst"] {
            to.key(key);
            to.option(from, Document::text)?;
        }
        to.end('}');
        Ok(())
    })?;
    to.key("delay_ns");
    to.option(from, |to, from| {
        to.number(from.signed());
        Ok(())
    })?;
    if let Some(range) = from.option(|from| [from.signed(), from.signed()]) {
        to.member("delay_range_ns", &range)?;
    }
    for key in ["seen", "missing"] {
        to.key(key);
        to.number(from.number());
    }
    if let Some(range) = from.option(|from| [from.number(), from.number()]) {
        to.member("missing_range", &range)?;
    }
    to.key("confidence");
    to.share(from)?;
    to.key("evidence");
    to.list(from, |to, from| to.name("e", from))?;
    to.end('}');
    Ok(())
}

/// As [`Evidence`](crate::report::Evidence) is read.
fn evidence(to: &mut Document, from: &mut Reader<'_>) -> io::Result<()> {
    to.begin('{');
    to.key("id");
    to.name("e", from)?;
    to.key("kind");
    to.word(from)?;
    to.key("statement");
    to.text(from)?;
    to.key("sources");
    to.list(from, source)?;
    to.end('}');
    Ok(())
}

fn source(to: &mut Document, from: &mut Reader<'_>) -> io::Result<()> {
    to.begin('{');
    to.key("input");
    match from.number() {
        index if index & 1 == 0 => {
            to.text.push_str("\"in");
            to.number((index >> 1) + 1);
            to.text.push('"');
        }
        _ => to.word(from)?,
    }
    let (frame, pointer, line) = match read_locator(from) {
        Some(Locator::Frame(n)) => (Some(n), None, None),
        Some(Locator::Pointer(pointer)) => (None, Some(pointer), None),
        Some(Locator::Line(n)) => (None, None, Some(n)),
        None => (from.option(Reader::number), from.option(Reader::text), from.option(Reader::number)),
    };
    if let Some(n) = frame {
        to.key("frame");
        to.number(n);
    }
    if let Some(pointer) = pointer {
        to.key("pointer");
        to.string(&pointer)?;
    }
    if let Some(n) = line {
        to.key("line");
        to.number(n);
    }
    to.end('}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{DirectionPath, Encapsulation, Evidence, Flow, FlowEnd, Hop, Path, Report, Side, Source, Way};

    fn text() -> impl Strategy<Value = String> {
        let odd = ["", "10.0.0.1", "e7", "p2", "cp1", "in3", "a → b", "\"\\", "\u{1}\u{7f}\n", "\u{202e}é", "02:00:00:00:00:0a", "7 of 12"];
        prop::sample::select(odd.to_vec()).prop_map(str::to_owned)
    }

    fn hop() -> impl Strategy<Value = Hop> {
        let ends = (prop::option::of(text()), any::<Option<u16>>(), prop::option::of(text()), any::<Option<u16>>());
        let counts = (any::<Option<i64>>(), any::<Option<[i64; 2]>>(), any::<u64>(), any::<u64>(), any::<Option<[u64; 2]>>());
        let names = (text(), prop::option::of(text()), any::<bool>(), prop::collection::vec(text(), 0..3), prop::option::of(text()));
        let share = prop_oneof![Just(0.0), Just(1.0), Just(0.05), Just(0.123), Just(0.1234), Just(-1.0), Just(1e9), 0.0..1.0_f64];
        let rewrites = prop::sample::subsequence(
            [Rewrite::Mac, Rewrite::Ttl, Rewrite::Snat, Rewrite::Dnat, Rewrite::Encap, Rewrite::Decap].to_vec(),
            0..=6,
        );
        (names, ends, counts, share, rewrites, any::<Option<u8>>(), prop::option::of((text(), any::<Option<u32>>()))).prop_map(
            |(
                (owner, interface, observed, capture_points, mac),
                (src_ip, src_port, dst_ip, dst_port),
                counts,
                confidence,
                rewrites,
                ttl,
                inner,
            )| {
                let (delay_ns, delay_range_ns, seen, missing, missing_range) = counts;
                let inner =
                    inner.map(|(kind, vni)| Encapsulation { kind: kind.clone(), vni, outer_src: mac.clone(), outer_dst: Some(kind) });
                Hop {
                    evidence: capture_points.clone(),
                    owner,
                    interface,
                    observed,
                    capture_points,
                    src_mac: mac,
                    dst_mac: None,
                    src_ip,
                    src_port,
                    dst_ip,
                    dst_port,
                    ttl,
                    rewrites,
                    encapsulation: inner.into_iter().collect(),
                    delay_ns,
                    delay_range_ns,
                    seen,
                    missing,
                    missing_range,
                    confidence,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_serde_writes(hops in prop::collection::vec(hop(), 0..3), id in text(), via in any::<bool>(), lost in any::<Option<u32>>()) {
            let end = |ip: &str| FlowEnd { entity: Some(id.clone()).filter(|_| via), ip: ip.to_owned(), port: Some(443).filter(|_| via) };
            let flow = Flow { protocol: "tcp".to_owned(), client: end("10.0.0.1"), server: end("::1"), via: Some(end("x")).filter(|_| via) };
            let direction = |(direction, verdict)| DirectionPath { direction, hops: hops.clone(), verdict, lost_after: lost, beyond: hops.clone() };
            let directions = [(Way::Request, Verdict::Lost), (Way::Reply, Verdict::Rejected), (Way::Reply, Verdict::Delivered), (Way::Request, Verdict::Unknown)];
            let relay = Relay { path: id.clone(), side: Side::Front, through: id.clone(), confidence: 0.5, evidence: vec![id.clone()] };
            let path = Path {
                id: id.clone(), flow, packets: 7, bytes: 1 << 40, directions: directions.map(direction).to_vec(), relays: vec![relay; usize::from(via)],
            };
            let source = |frame, pointer, line| Source { input: id.clone(), frame, pointer, line };
            let sources = vec![source(Some(1), None, None), source(None, Some(id.clone()), None), source(None, None, lost.map(u64::from)), source(None, None, None)];
            let evidence = Evidence { id: id.clone(), kind: "seen".to_owned(), statement: id.clone(), sources };
            let finding = Finding { summary: id.clone(), paths: vec![id.clone()], ..Finding::default() };
            let report = Report { paths: vec![path; 2], findings: vec![finding; usize::from(via)], evidence: vec![evidence], ..Report::default() };
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            report.write_json(&mut theirs).unwrap();
            PackedReport::from(report).write_json(&mut ours).unwrap();
            prop_assert_eq!(String::from_utf8(ours).unwrap(), String::from_utf8(theirs).unwrap());
        }
    }
}
