//! Inventory documents → [`Located`] facts. One importer per command family; they do not know each other,
//! nor anything of inference. Import never fails as a whole: what was readable comes back, with notes.
//!
//! Places: a fact of a JSON input has the JSON pointer (RFC 6901) of its element in the document as dropped. Where an input holds
//! several documents one after another, the pointer's first token is the document's number from 0, as if they were the elements
//! of one array: what `jq -s .` makes of them. A fact of a text has its line, of an interface its first one.

mod arp;
mod aws;
mod conntrack;
mod fdb;
mod flow_log;
mod ip;
mod ipamd;
mod iptables;
mod ipvs;
mod json;
mod kubectl;
mod kubectl_text;
pub mod locate;
mod nft;
mod scan;
pub mod session;
mod shape;
mod sockets;
pub mod tcpdump;
mod text;

use std::borrow::Cow;

use crate::facts::Located;
use crate::model::Note;
use crate::sniff::Format;

/// So many statements of one input are kept: the largest real tables (connections tracked, rules of a large cluster) have a few
/// hundred thousand, and each takes some hundred bytes.
const MOST_FACTS: usize = 1_000_000;

/// What is said where there are more.
fn too_many(left_out: u64) -> String {
    format!(
        "only its first {MOST_FACTS} statements are kept, of {}: split it into several inputs",
        left_out.saturating_add(MOST_FACTS as u64)
    )
}

/// What an importer found in one document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// Statements, in the order of the document.
    pub facts: Vec<Located>,
    /// What could not be read, with the JSON pointer or the line.
    pub notes: Vec<Note>,
}

impl Import {
    /// What else stands in the same input. If nothing of it is known, then nothing is missing either.
    fn add(&mut self, other: Self) {
        if !other.facts.is_empty() {
            let room = MOST_FACTS.saturating_sub(self.facts.len());
            self.facts.extend(other.facts.into_iter().take(room));
            self.notes.extend(other.notes);
        }
    }
}

/// The text without its JSON documents, each line where it was: bundles put `ip -j addr` above `ip rule` (Retina does). The logs that
/// `kubectl cluster-info dump` prints between documents are nobody's tables either.
fn around_documents(text: &str) -> String {
    let mut around = String::with_capacity(text.len().min(1 << 20));
    let mut at = 0;
    let mut keep = |from: usize, to: usize, is_kept: bool| match text.get(from..to) {
        Some(part) if is_kept => around.push_str(part),
        Some(part) => around.extend(part.bytes().filter(|b| *b == b'\n').map(char::from)),
        None => {}
    };
    for document in scan::documents(text.as_bytes()) {
        keep(at, document.start, true);
        keep(document.start, document.end, false);
        at = document.end;
    }
    keep(at, text.len(), true);
    without_logs(around)
}

/// The heading of a container's log in `kubectl cluster-info dump`.
pub(crate) const LOG_BEGINS: &str = "==== START logs for container";

/// The same without containers' logs, each line where it was.
fn without_logs(around: String) -> String {
    if !around.contains(LOG_BEGINS) {
        return around;
    }
    let mut is_log = false;
    let mut out = String::with_capacity(around.len());
    for line in around.split_inclusive('\n') {
        is_log |= line.starts_with(LOG_BEGINS);
        out.push_str(if is_log { "\n" } else { line });
        is_log &= !line.starts_with("==== END logs for container");
    }
    out
}

/// A text without the packets that tcpdump printed in it, each line where it was; `None`: there are no packets, or nothing else.
#[must_use]
pub fn beside_packets(text: &str) -> Option<String> {
    let indent = indent(text);
    // Most texts have none, and need no copy.
    let is_packet_line = |l: &str| l.len() <= text::LONGEST_LINE && tcpdump::is_packet_line(l);
    text.lines().find(|l| is_packet_line(l.get(indent..).unwrap_or_default()))?;
    let mut out = String::with_capacity(text.len().min(1 << 20));
    let (mut is_packet, mut packets, mut others) = (false, false, false);
    for line in text.lines() {
        let bare = line.get(indent..).unwrap_or_default();
        // What is indented below a packet is the rest of it.
        is_packet = is_packet_line(bare) || is_packet && bare.starts_with([' ', '\t']);
        packets |= is_packet;
        others |= !is_packet && !bare.trim().is_empty();
        out.push_str(if is_packet { "" } else { line });
        out.push('\n');
    }
    (packets && others).then_some(out)
}

/// Reads a whole inventory input. `format` is [`crate::sniff::sniff`]'s answer; one input may hold the output of several commands,
/// and then all of it is read. Formats that are no inventory give a note.
#[must_use]
pub fn import(format: Format, bytes: &[u8]) -> Import {
    match format {
        Format::Kubectl
        | Format::Ec2
        | Format::Elb
        | Format::IpAddr
        | Format::IpNeigh
        | Format::IpRoute
        | Format::IpRule
        | Format::Iptables
        | Format::Conntrack
        | Format::Ipvs
        | Format::Sockets
        | Format::BridgeFdb
        | Format::FlowLog
        | Format::Ipamd
        | Format::Session
        | Format::UnknownJson
        | Format::UnknownText => {
            let text = text(bytes);
            if is_json(&text) {
                let mut import = json::import(text.as_bytes());
                let around = around_documents(&text);
                if !around.trim().is_empty() {
                    import.add(text::import(&around));
                }
                import
            } else if text.lines().any(|l| l.starts_with('{') || l.starts_with("[{")) {
                let mut import = text::import(&around_documents(&text));
                import.add(json::import(text.as_bytes()));
                import
            } else if text.contains(LOG_BEGINS) {
                text::import(&without_logs(text.into_owned()))
            } else {
                text::import(&text)
            }
        }
        Format::Empty => Import { facts: Vec::new(), notes: vec![Note::loss("it is empty")] },
        Format::TcpdumpText => Import { facts: Vec::new(), notes: vec![Note::info("it holds packets: see `tcpdump::frames`")] },
        Format::Pcap
        | Format::Pcapng
        | Format::Digest
        | Format::Gzip
        | Format::Zstd
        | Format::Tar
        | Format::Zip
        | Format::Unsupported(_)
        | Format::Unknown => Import { facts: Vec::new(), notes: vec![Note::loss("it is not an inventory")] },
    }
}

/// The format of a whole JSON input: for one whose first bytes do not tell ([`Format::UnknownJson`]), because a long member
/// stands first. Of several documents, the first that tells counts.
#[must_use]
pub fn classify_json(bytes: &[u8]) -> Format {
    let text = text(bytes);
    let text = text.as_bytes();
    let documents = scan::documents(text);
    documents.iter().find_map(|d| shape::of(text.get(..d.end).unwrap_or_default(), d.start)).unwrap_or(Format::UnknownJson)
}

/// The format of one line of text, where one line tells it.
pub(crate) fn format_of_line(line: &str) -> Option<Format> {
    text::format_of_line(line)
}

/// Whether a line names the columns of a VPC Flow Log: what stands below it is told by nothing else.
pub(crate) fn is_flow_log_heading(line: &str) -> bool {
    flow_log::heading(line).is_some()
}

/// Whether a text is the answer of a command that had nothing to list: no line but those by which some commands say so, of which the
/// first tells whose it is.
pub(crate) fn lists_nothing(text: &str) -> Option<Option<Format>> {
    let said = |line: &str| {
        if line.starts_with("conntrack v") && line.ends_with(": 0 flow entries have been shown.") {
            Some(Format::Conntrack)
        } else if line == "No resources found" || line.starts_with("No resources found in ") {
            Some(Format::Kubectl)
        } else {
            (line == "arp: in 0 entries no match found." || line.ends_with("Skipped: 0\tFound: 0")).then_some(Format::IpNeigh)
        }
    };
    let mut first = None;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        first = first.or(Some(said(line)?));
    }
    Some(first)
}

/// The command whose answer a file without any text may be, by its name: those that print nothing where there is nothing to list.
pub(crate) fn named_as(name: &str) -> Option<Format> {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name).to_ascii_lowercase();
    let (stem, ending) = file.rsplit_once('.').unwrap_or((&file, ""));
    if !matches!(ending, "" | "txt" | "out" | "log" | "text") {
        return None;
    }
    stem.split(|c: char| !c.is_ascii_alphanumeric()).find_map(|word| match word {
        "neigh" | "ipneigh" | "neighbor" | "neighbors" | "neighbour" | "neighbours" | "arp" => Some(Format::IpNeigh),
        "conntrack" | "conntrack6" => Some(Format::Conntrack),
        "route" | "routes" | "iproute" | "ip6route" => Some(Format::IpRoute),
        "rule" | "rules" | "iprule" | "ip6rule" => Some(Format::IpRule),
        "fdb" => Some(Format::BridgeFdb),
        "ipvs" | "ipvsadm" => Some(Format::Ipvs),
        "nft" | "nftables" | "iptables" | "ip6tables" => Some(Format::Iptables),
        "ss" | "netstat" => Some(Format::Sockets),
        _ => None,
    })
}

/// The white space that every line of a text begins with.
pub(crate) fn indent(text: &str) -> usize {
    text::indent(text)
}

/// Whether the input is JSON: a document begins before any line that a host's command prints. Prompts and warnings may stand first.
pub(crate) fn is_json(text: &str) -> bool {
    let mut start = 0;
    let indent = indent(text);
    for line in text.split_inclusive('\n').take(200) {
        if scan::begins_document(text.as_bytes(), scan::skip_space(text.as_bytes(), start)) {
            return true;
        }
        if format_of_line(line.get(indent..).unwrap_or_default()).is_some() {
            return false;
        }
        start += line.len();
    }
    false
}

/// An inventory's text: without a byte order mark, UTF-16 (as PowerShell redirects it) as UTF-8. What is not valid becomes U+FFFD.
#[must_use]
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok()).map(unit);
        Cow::Owned(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        // Without a mark: ASCII's high bytes are zero.
        [b, 0, c, 0, ..] if *b != 0 && *c != 0 => utf16(bytes, u16::from_le_bytes),
        [0, b, 0, c, ..] if *b != 0 && *c != 0 => utf16(bytes, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes),
    }
}

/// Days from 1970-01-01 to `2021-05-06`, by counting in years that begin in March (proleptic Gregorian).
fn date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || month.len() != 2 || day.len() != 2 || parts.next().is_some() {
        return None;
    }
    let (year, month, day): (i64, i64, i64) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    // Nanoseconds since 1970 end in 2262.
    if !(1970..=2261).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468)
}
