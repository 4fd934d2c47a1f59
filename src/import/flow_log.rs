//! Records of VPC Flow Logs, as S3, CloudWatch Logs, Athena and `aws logs` hand them out. Knows how they are written
//! (Amazon VPC User Guide, "Flow log records", versions 2 to 10), nothing of what a rejected packet means.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Deserialize;

use super::json::Reader;
use super::scan::Step;
use crate::facts::{Fact, FlowLog, FlowLogGap};
use crate::model::{Locator, Note, Protocol, count as counted};

/// A log holds a record for each flow, minute and ENI: so many different flows of one input are kept.
const MOST_FLOWS: usize = 400_000;

/// Of what has no network interface, so many are named.
const NAMED: usize = 4;

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
    /// What a record is of where that is no network interface.
    Resource,
    Other,
}

/// Names as in the header line (`srcaddr`), in Athena's tables (`srcaddr`, `interface_id`; in older ones `sourceaddress`) and in a
/// format string (`${srcaddr}`). `None`: no field of a flow log.
fn field(word: &str) -> Option<Field> {
    let is_of_format = word.starts_with("${") && word.ends_with('}');
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
        | "encryption-status"
        | "resource-type" => Field::Other,
        "resource-id" => Field::Resource,
        other if is_of_format || ["ecs-", TRANSIT_GATEWAY, "packets-lost-"].iter().any(|p| other.starts_with(p)) => Field::Other,
        _ => return None,
    })
}

/// What the names of the fields begin with that only the log of a transit gateway has.
const TRANSIT_GATEWAY: &str = "tgw-";

/// What stands in which column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    fields: Vec<Field>,
    /// Why nothing can be taken from the records, to stand after the header line's number.
    fault: Option<String>,
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

/// A header line: names of fields, at least five, an address among them. Other columns of a table (Athena's partitions) and fields
/// that AWS adds later may stand among them.
pub(crate) fn heading(line: &str) -> Option<Columns> {
    // The cheap test first: every line of every text comes by here.
    if !line.contains("addr") {
        return None;
    }
    let known: Vec<Option<Field>> = words(line).map(field).collect();
    let is_name = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let may_have_others = line.contains(',') || words(line).all(|word| field(word).is_some() || is_name(word));
    let named = known.iter().flatten().count();
    if named < 5 || (named < known.len() && !(may_have_others && named * 2 > known.len())) {
        return None;
    }
    let fields: Vec<Field> = known.into_iter().map(|f| f.unwrap_or(Field::Other)).collect();
    let has = |f: Field| fields.contains(&f);
    if !(has(Field::Src) || has(Field::PacketSrc) || has(Field::Dst) || has(Field::PacketDst)) {
        return None;
    }
    let is_of_gateway = words(line).any(|w| w.trim_start_matches("${").replace('_', "-").starts_with(TRANSIT_GATEWAY));
    let needed = [
        ("interface-id", has(Field::Interface)),
        ("srcaddr", has(Field::Src) || has(Field::PacketSrc)),
        ("dstaddr", has(Field::Dst) || has(Field::PacketDst)),
        ("action", has(Field::Action)),
        ("start", has(Field::Start)),
        ("end", has(Field::End)),
    ];
    let missing: Vec<&str> = needed.iter().filter(|(_, is_there)| !is_there).map(|(name, _)| *name).collect();
    let fault = if missing.is_empty() {
        None
    } else if is_of_gateway {
        Some("begins the flow log of a transit gateway, which says nothing of the VPC's network interfaces: flow logs of VPCs, subnets and network interfaces are read".to_owned())
    } else {
        Some(format!("names the columns of a flow log without `{}`: write the log with it, or add the column", missing.join("`, `")))
    };
    Some(Columns { fields, fault })
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Record(FlowLog),
    /// `SKIPDATA`: records of that time are missing from the log.
    Gap(FlowLogGap),
    /// `NODATA`: nothing crossed the interface.
    Nothing,
    /// A record of something else than a network interface: a regional NAT gateway has none of its own.
    NoInterface(Option<String>),
}

impl Columns {
    /// Why nothing can be taken from the records: to stand after the header line's number.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// A line below the header. `None`: it is no record.
    pub(crate) fn row(&self, line: &str) -> Option<Row> {
        let words: Vec<&str> = words(line).collect();
        if words.len() < self.fields.len() { None } else { row(&self.fields, &words) }
    }
}

/// A line in the default format, after at most four words that `aws logs tail` and Logs Insights put before it (a time, the log
/// stream). Of the fields that a longer format has after the default ones, those are read that no other field can be taken for.
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
    let (record, others) = words.get(at..)?.split_at_checked(DEFAULT.len())?;
    let mut row = row(&DEFAULT, record)?;
    if let Row::Record(record) = &mut row {
        recognise(record, others);
    }
    Some(row)
}

/// Fields known by their values alone: the direction by its words; two addresses as the packets' where one of them is the record's own at
/// the same end, and neither at the other.
fn recognise(record: &mut FlowLog, words: &[&str]) {
    let directions: Vec<&&str> = words.iter().filter(|w| matches!(**w, "ingress" | "egress")).collect();
    if let [direction] = directions.as_slice() {
        record.is_egress = Some(**direction == "egress");
    }
    let addresses: Vec<IpAddr> = words.iter().filter_map(|w| w.parse().ok()).collect();
    if let [a, b] = *addresses.as_slice() {
        let is = |src: IpAddr, dst: IpAddr| src == record.src || dst == record.dst;
        let (src, dst) = match (is(a, b), is(b, a)) {
            (true, false) => (a, b),
            (false, true) => (b, a),
            _ => return,
        };
        (record.packet_src, record.packet_dst) = (Some(src), Some(dst));
    }
}

/// A record in an order that is neither the default one nor named by a header line: it has an ENI, what was decided, its times and
/// addresses, but which of two addresses is the source no value tells.
pub(crate) fn is_unnamed(line: &str) -> bool {
    // The cheap test first, as above.
    if !line.contains("eni-") || default_row(line).is_some() {
        return false;
    }
    let words: Vec<&str> = words(line).collect();
    let count = |is: &dyn Fn(&str) -> bool| words.iter().filter(|w| is(w)).count();
    let is_eni = |w: &str| w.strip_prefix("eni-").is_some_and(|id| id.len() >= 8 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    let is_time = |w: &str| w.len() == 10 && w.parse::<u64>().is_ok();
    let is_decided = count(&|w| matches!(w, "ACCEPT" | "REJECT")) == 1 && count(&|w| w.parse::<IpAddr>().is_ok()) >= 2;
    words.len() >= 6 && count(&is_eni) == 1 && count(&is_time) >= 2 && (is_decided || count(&|w| matches!(w, "NODATA" | "SKIPDATA")) == 1)
}

fn row(fields: &[Field], words: &[&str]) -> Option<Row> {
    let get = |wanted: Field| {
        let at = fields.iter().position(|f| *f == wanted)?;
        words.get(at).copied().filter(|w| !w.is_empty() && *w != "-")
    };
    let Some(eni) = get(Field::Interface).map(str::to_owned) else {
        let is_record = fields.iter().zip(words).any(|(f, w)| *f == Field::Interface && *w == "-");
        return is_record.then(|| Row::NoInterface(get(Field::Resource).map(str::to_owned)));
    };
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
    /// Records of no network interface, and what they are of.
    without_interface: (u64, BTreeSet<String>),
    /// Records whose columns nothing names, and the first of them.
    unnamed: Option<(Locator, u64)>,
}

impl Log {
    /// Takes a row in.
    pub(crate) fn take(&mut self, at: Locator, row: Row) {
        self.rows = self.rows.saturating_add(1);
        match row {
            Row::Nothing => {}
            Row::NoInterface(resource) => {
                self.without_interface.0 = self.without_interface.0.saturating_add(1);
                if self.without_interface.1.len() < NAMED {
                    self.without_interface.1.extend(resource);
                }
            }
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
        self.rows > 0 || self.unnamed.is_some()
    }

    /// Counts a record whose columns nothing names.
    pub(crate) fn unnamed(&mut self, at: Locator) {
        let (_, count) = self.unnamed.get_or_insert((at, 0));
        *count = count.saturating_add(1);
    }

    /// Flows and gaps, in the order of their first records, and what of the log could not be used.
    pub(crate) fn finish(self) -> (Vec<(Locator, Fact)>, Vec<Note>) {
        let mut notes = Vec::new();
        if let Some((at, count)) = self.unnamed {
            let at = match at {
                Locator::Line(line) => format!("line {line}"),
                Locator::Pointer(pointer) => pointer,
                Locator::Frame(frame) => format!("frame {frame}"),
            };
            notes.push(Note::loss(format!(
                "{at}: {} of a VPC Flow Log whose columns nothing names. Put the log's format above them as a line of its own: \
                 `aws ec2 describe-flow-logs --query 'FlowLogs[].LogFormat' --output text` prints it",
                counted(count, "record")
            )));
        }
        if self.left_out > 0 {
            let message = format!(
                "{} records beyond the first {MOST_FLOWS} flows of the log are left out: cut the log to the time in question",
                self.left_out
            );
            notes.push(Note::loss(message));
        }
        let (count, resources) = self.without_interface;
        if count > 0 {
            let of: Vec<&str> = resources.iter().map(String::as_str).collect();
            let of = if of.is_empty() { String::new() } else { format!(" (of {})", of.join(", ")) };
            notes.push(Note::info(format!(
                "{} without a network interface{of}: a regional NAT gateway has none, and what its records count is shown at no hop",
                counted(count, "record")
            )));
        }
        (self.facts, notes)
    }
}

#[derive(Deserialize)]
struct Event {
    message: Option<String>,
}

/// An event of `aws logs get-log-events` or `filter-log-events`: its message is a record. `false`: it is another log's.
pub(crate) fn event(reader: &mut Reader<'_>, at: usize) -> Step {
    let (end, event) = reader.parse::<Event>(at)?;
    let message = event.and_then(|e| e.message).unwrap_or_default();
    match default_row(&message) {
        Some(row) => reader.flow_log(row),
        None if is_unnamed(&message) => reader.unnamed_flow_log(),
        None => {}
    }
    Ok(end)
}
