//! Records of VPC Flow Logs, as S3, CloudWatch Logs, Athena and `aws logs` hand them out. Knows how they are written
//! (Amazon VPC User Guide, "Flow log records", versions 2 to 10), nothing of what a rejected packet means.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use super::json::Reader;
use super::scan::Step;
use crate::facts::{Fact, FlowLog, FlowLogGap};
use crate::model::{Locator, Protocol};

/// A log holds a record for each flow, minute and ENI: so many different flows of one input are kept.
const MOST_FLOWS: usize = 400_000;

/// Records of one flow that follow one another within this are one statement: the longest aggregation interval.
const MERGE_SECONDS: i64 = 600;

/// The fields that are read. All others keep their column and are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Interface,
    Src,
    Dst,
    SrcPort,
    DstPort,
    Protocol,
    Packets,
    Bytes,
    Start,
    End,
    Action,
    Status,
    TcpFlags,
    PacketSrc,
    PacketDst,
    Direction,
    RejectReason,
    Other,
}

/// Names as in the header line (`srcaddr`), in Athena's tables (`srcaddr`, `interface_id`; in older ones `sourceaddress`) and in a
/// format string (`${srcaddr}`). `None`: no field of a flow log.
fn field(word: &str) -> Option<Field> {
    let name = word.trim_start_matches("${").trim_end_matches('}').to_ascii_lowercase().replace('_', "-");
    Some(match name.as_str() {
        "interface-id" | "interfaceid" => Field::Interface,
        "srcaddr" | "sourceaddress" => Field::Src,
        "dstaddr" | "destinationaddress" => Field::Dst,
        "srcport" | "sourceport" => Field::SrcPort,
        "dstport" | "destinationport" => Field::DstPort,
        "protocol" => Field::Protocol,
        "packets" | "numpackets" => Field::Packets,
        "bytes" | "numbytes" => Field::Bytes,
        "start" | "starttime" => Field::Start,
        "end" | "endtime" => Field::End,
        "action" => Field::Action,
        "log-status" | "logstatus" => Field::Status,
        "tcp-flags" => Field::TcpFlags,
        "pkt-srcaddr" => Field::PacketSrc,
        "pkt-dstaddr" => Field::PacketDst,
        "flow-direction" => Field::Direction,
        "reject-reason" => Field::RejectReason,
        "version"
        | "account-id"
        | "account"
        | "vpc-id"
        | "subnet-id"
        | "instance-id"
        | "type"
        | "region"
        | "az-id"
        | "sublocation-type"
        | "sublocation-id"
        | "pkt-src-aws-service"
        | "pkt-dst-aws-service"
        | "traffic-path"
        | "resource-id"
        | "encryption-status" => Field::Other,
        other if other.starts_with("ecs-") => Field::Other,
        _ => return None,
    })
}

/// What stands in which column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    fields: Vec<Field>,
    /// The columns that a record can't be understood without, and that are missing.
    missing: Option<&'static str>,
}

/// The default format, which is all of version 2; CloudWatch Logs writes no header line.
const DEFAULT: [Field; 14] = [
    Field::Other,
    Field::Other,
    Field::Interface,
    Field::Src,
    Field::Dst,
    Field::SrcPort,
    Field::DstPort,
    Field::Protocol,
    Field::Packets,
    Field::Bytes,
    Field::Start,
    Field::End,
    Field::Action,
    Field::Status,
];

/// Words of a line: between spaces, commas or tabs, with or without quotes.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let is_comma = line.contains(',');
    let between = move |c: char| if is_comma { c == ',' } else { c.is_ascii_whitespace() };
    line.split(between).map(|w| w.trim().trim_matches('"')).filter(move |w| is_comma || !w.is_empty())
}

/// A header line: nothing but names of fields, at least five, an address among them. Other columns of a table (Athena's partitions)
/// may stand after them.
pub(crate) fn heading(line: &str) -> Option<Columns> {
    // The cheap test first: every line of every text comes by here.
    if !line.contains("addr") {
        return None;
    }
    let known: Vec<Option<Field>> = words(line).map(field).collect();
    let is_table = line.contains(',');
    let named = known.iter().flatten().count();
    if named < 5 || (named < known.len() && !(is_table && named * 2 > known.len())) {
        return None;
    }
    let fields: Vec<Field> = known.into_iter().map(|f| f.unwrap_or(Field::Other)).collect();
    let has = |f: Field| fields.contains(&f);
    if !(has(Field::Src) || has(Field::PacketSrc) || has(Field::Dst) || has(Field::PacketDst)) {
        return None;
    }
    let missing = if !has(Field::Interface) {
        Some("interface-id")
    } else if !(has(Field::Src) || has(Field::PacketSrc)) {
        Some("srcaddr")
    } else if !(has(Field::Dst) || has(Field::PacketDst)) {
        Some("dstaddr")
    } else if !has(Field::Action) {
        Some("action")
    } else if !has(Field::Start) {
        Some("start")
    } else if !has(Field::End) {
        Some("end")
    } else {
        None
    };
    Some(Columns { fields, missing })
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Record(FlowLog),
    /// `SKIPDATA`: records of that time are missing from the log.
    Gap(FlowLogGap),
    /// `NODATA`: nothing crossed the interface.
    Nothing,
}

impl Columns {
    /// The column without which nothing can be taken from the log.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.missing
    }

    /// A line below the header. `None`: it is no record.
    pub(crate) fn row(&self, line: &str) -> Option<Row> {
        let words: Vec<&str> = words(line).collect();
        if words.len() < self.fields.len() { None } else { row(&self.fields, &words) }
    }
}

/// A line in the default format, after at most four words that `aws logs tail` and Logs Insights put before it (a time, the log
/// stream). Fields that a longer format has after the default ones can't be told apart without a header; they are left out.
pub(crate) fn default_row(line: &str) -> Option<Row> {
    // The cheap test first: most lines of most texts are none.
    if !line.contains(" eni-") {
        return None;
    }
    let line = line.trim().trim_matches('"');
    let words: Vec<&str> = line.split([' ', '\t', ',']).filter(|w| !w.is_empty()).collect();
    let begins = |at: usize| {
        let (version, account) = (words.get(at)?.trim_matches('"'), words.get(at + 1)?);
        let is_version = version.parse::<u8>().is_ok_and(|v| (2..=20).contains(&v));
        let is_account = (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())) || *account == "unknown";
        (is_version && is_account).then_some(at)
    };
    let at = (0..=4).find_map(begins)?;
    let record = words.get(at..at.checked_add(DEFAULT.len())?)?;
    row(&DEFAULT, record)
}

fn row(fields: &[Field], words: &[&str]) -> Option<Row> {
    let get = |wanted: Field| {
        let at = fields.iter().position(|f| *f == wanted)?;
        words.get(at).copied().filter(|w| !w.is_empty() && *w != "-")
    };
    let eni = get(Field::Interface)?.to_owned();
    let seconds = |f: Field| get(f).and_then(|w| w.parse::<i64>().ok()).filter(|s| (0..=1 << 40).contains(s));
    let (start_s, end_s) = (seconds(Field::Start)?, seconds(Field::End)?);
    match get(Field::Status) {
        Some("SKIPDATA") => return Some(Row::Gap(FlowLogGap { eni, start_s, end_s })),
        Some("NODATA") => return Some(Row::Nothing),
        Some("OK") | None => {}
        Some(_) => return None,
    }
    let ip = |f: Field| get(f).and_then(|w| w.parse::<IpAddr>().ok());
    let (packet_src, packet_dst) = (ip(Field::PacketSrc), ip(Field::PacketDst));
    let is_accepted = match get(Field::Action)? {
        "ACCEPT" => true,
        "REJECT" => false,
        _ => return None,
    };
    let port = |f: Field| get(f).and_then(|w| w.parse::<u16>().ok());
    let count = |f: Field| get(f).and_then(|w| w.parse::<u64>().ok()).unwrap_or(0);
    Some(Row::Record(FlowLog {
        eni,
        src: ip(Field::Src).or(packet_src)?,
        dst: ip(Field::Dst).or(packet_dst)?,
        packet_src,
        packet_dst,
        src_port: port(Field::SrcPort),
        dst_port: port(Field::DstPort),
        protocol: Protocol::from_number(get(Field::Protocol).and_then(|w| w.parse().ok()).unwrap_or(0)),
        packets: count(Field::Packets),
        bytes: count(Field::Bytes),
        start_s,
        end_s,
        is_accepted,
        tcp_flags: get(Field::TcpFlags).and_then(|w| w.parse().ok()),
        is_egress: get(Field::Direction).and_then(|w| match w {
            "egress" => Some(true),
            "ingress" => Some(false),
            _ => None,
        }),
        reject_reason: get(Field::RejectReason).map(str::to_owned),
    }))
}

/// All that makes two records the same flow, going the same way, decided the same.
type Key = (String, IpAddr, Option<u16>, IpAddr, Option<u16>, Protocol, bool, Option<bool>, Option<IpAddr>, Option<IpAddr>);

/// The records of one input, those of one flow that follow one another taken together.
#[derive(Debug, Default)]
pub(crate) struct Log {
    at: BTreeMap<Key, usize>,
    facts: Vec<(Locator, Fact)>,
    left_out: u64,
    rows: u64,
}

impl Log {
    /// Takes a row in.
    pub(crate) fn take(&mut self, at: Locator, row: Row) {
        self.rows = self.rows.saturating_add(1);
        match row {
            Row::Nothing => {}
            Row::Gap(gap) => self.keep(at, Fact::FlowLogGap(gap)),
            Row::Record(r) => self.record(at, r),
        }
    }

    fn keep(&mut self, at: Locator, fact: Fact) {
        if self.facts.len() < MOST_FLOWS {
            self.facts.push((at, fact));
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    fn record(&mut self, at: Locator, r: FlowLog) {
        let key = (r.eni.clone(), r.src, r.src_port, r.dst, r.dst_port, r.protocol, r.is_accepted, r.is_egress, r.packet_src, r.packet_dst);
        if let Some((_, Fact::FlowLog(known))) = self.at.get(&key).and_then(|n| self.facts.get_mut(*n))
            && r.start_s <= known.end_s.saturating_add(MERGE_SECONDS)
            && known.start_s <= r.end_s.saturating_add(MERGE_SECONDS)
        {
            known.packets = known.packets.saturating_add(r.packets);
            known.bytes = known.bytes.saturating_add(r.bytes);
            known.start_s = known.start_s.min(r.start_s);
            known.end_s = known.end_s.max(r.end_s);
            known.tcp_flags = match (known.tcp_flags, r.tcp_flags) {
                (Some(a), Some(b)) => Some(a | b),
                (a, b) => a.or(b),
            };
            return;
        }
        self.at.insert(key, self.facts.len());
        self.keep(at, Fact::FlowLog(r));
    }

    /// Whether any row was one of a flow log's, with or without traffic in it.
    pub(crate) fn has_rows(&self) -> bool {
        self.rows > 0
    }

    /// Flows and gaps, in the order of their first records, and what could not be kept.
    pub(crate) fn finish(self) -> (Vec<(Locator, Fact)>, Option<String>) {
        let left_out =
            (self.left_out > 0).then(|| format!("{} records beyond the first {MOST_FLOWS} flows of the log are left out", self.left_out));
        (self.facts, left_out)
    }
}

#[derive(Deserialize)]
struct Event {
    message: Option<String>,
}

/// An event of `aws logs get-log-events` or `filter-log-events`: its message is a record. `false`: it is another log's.
pub(crate) fn event(reader: &mut Reader<'_>, at: usize) -> Step {
    let (end, event) = reader.parse::<Event>(at)?;
    if let Some(row) = event.and_then(|e| e.message).as_deref().and_then(default_row) {
        reader.flow_log(row);
    }
    Ok(end)
}
