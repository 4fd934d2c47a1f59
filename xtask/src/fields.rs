//! `cargo xtask fields DIR`: every frame of a collection of captures, field by field, as Hopscope's dissector and as tshark read it.
//! Knows how both are called and in which order tshark opens headers; must not know how a header is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::sh::{cargo, files_below, find_program, root, say, scratch};

/// What tshark is asked for besides the fields that Hopscope has: where it stopped, and whether it thought the packet broken.
const ALSO: [&str; 3] = ["frame.protocols", "_ws.malformed", "ieee8021ad.id"];

/// tshark sees each packet by itself, as Hopscope's dissector does: nothing put together from several, no numbers counted from the first.
const PINNED: [&str; 12] = [
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "sctp.reassembly:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
    "tcp.relative_sequence_numbers:FALSE",
    "tcp.analyze_sequence_numbers:FALSE",
    "tcp.calculate_timestamps:FALSE",
    "tcp.track_bytes_in_flight:FALSE",
    "udp.calculate_timestamps:FALSE",
    "sctp.tsn_analysis:FALSE",
    "ip.check_checksum:FALSE",
    "eth.interpret_as_fw1_monitor:FALSE",
];

/// Of a hundred thousand values, so many must agree.
const MUST_AGREE: u64 = 99_900;

/// tshark reads a header that the capture cuts field by field, Hopscope only what can be told.
const CUT: &str = "cut off within the header";

/// What must have been compared at least: a comparison of nothing has no disagreement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtLeast {
    pub(crate) frames: u64,
    pub(crate) values: u64,
}

/// Compare all captures in `folder`. Whether enough was compared and enough of it agrees.
pub(crate) fn fields(folder: &Path, at_least: AtLeast, examples: usize) -> Result<bool> {
    let tally = compare(folder, examples)?;
    Ok(tally.is_enough(at_least) && tally.mostly_agrees())
}

fn compare(folder: &Path, examples: usize) -> Result<Tally> {
    if !folder.is_dir() {
        bail!("{} is no folder", folder.display());
    }
    let tshark = Tshark::new()?;
    let ours = ours_program()?;
    let names = table(&ours, &[])?.names;
    let mut tally = Tally { examples, ..Tally::default() };
    for file in files_below(folder, &|p| p.file_name().is_some_and(|n| n == ".git"))? {
        let is_link = file.symlink_metadata().map(|m| m.is_symlink()).unwrap_or(true);
        if is_link || file.metadata().map(|m| m.len() == 0).unwrap_or(true) {
            continue;
        }
        let theirs = tshark.read(&file, &names)?;
        let ours = table(&ours, &[&file])?;
        tally.file(&file, &ours, &theirs);
    }
    tally.say();
    Ok(tally)
}

/// The captures kept here, as one step of the tests; why not, where there is no tshark.
pub(crate) fn own() -> Result<Option<String>> {
    if find_program(&["tshark"]).is_none() {
        return Ok(Some("tshark is not installed (apt-get install tshark)".to_owned()));
    }
    let tally = compare(&root().join("tests/formats/captures"), 5)?;
    // Some of these are cut on purpose, within headers; nothing else may differ at all.
    let is_same = tally.differ.keys().all(|(_, cause)| *cause == CUT);
    if is_same && tally.is_enough(AtLeast { frames: 530, values: 11_000 }) { Ok(None) } else { bail!("see above") }
}

/// The example that prints what the dissector says, built: arithmetic that overflows ends it.
fn ours_program() -> Result<PathBuf> {
    if !cargo().args(["build", "--quiet", "--package", "hopscope", "--example", "fields"]).status()?.success() {
        bail!("the example \"fields\" could not be built");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |d| root().join(d));
    Ok(target.join("debug/examples/fields"))
}

fn table(program: &Path, files: &[&Path]) -> Result<Table> {
    let output = Command::new(program).args(files).stdin(Stdio::null()).output().context("the example \"fields\"")?;
    if !output.status.success() {
        bail!("{} {files:?}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(Table::new(&output.stdout))
}

/// Lines of values, the first of them names.
#[derive(Debug, Default)]
struct Table {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut lines = text.lines().map(|l| l.split('\t').map(str::to_owned).collect());
        Self { names: lines.next().unwrap_or_default(), rows: lines.collect() }
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }
}

/// tshark, with an empty profile. What it said of a file is kept: it takes a third of a second for a file of one packet.
struct Tshark {
    program: PathBuf,
    version: String,
    kept: PathBuf,
}

impl Tshark {
    fn new() -> Result<Self> {
        let program = find_program(&["tshark"]).context("tshark is missing (apt-get install tshark)")?;
        let text = Command::new(&program).arg("--version").stderr(Stdio::null()).output()?.stdout;
        let version = String::from_utf8_lossy(&text).split_whitespace().nth(2).unwrap_or("unknown").to_owned();
        let kept = scratch().join("fields");
        std::fs::create_dir_all(&kept)?;
        Ok(Self { program, version, kept })
    }

    fn read(&self, file: &Path, names: &[String]) -> Result<Table> {
        let mut arguments: Vec<String> = vec!["-n".into(), "-d".into(), "udp.port==8472,vxlan".into()];
        arguments.extend(PINNED.iter().flat_map(|p| ["-o".to_owned(), (*p).to_owned()]));
        arguments.extend(
            ["-T", "fields", "-E", "header=y", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=,"].map(str::to_owned),
        );
        arguments.extend(ALSO.iter().copied().chain(names.iter().map(String::as_str)).flat_map(|n| ["-e".to_owned(), n.to_owned()]));
        let mut key = Sha256::new();
        key.update(&self.version);
        key.update(arguments.join(" "));
        key.update(std::fs::read(file)?);
        let key: String = key.finalize().iter().map(|b| format!("{b:02x}")).collect();
        let kept = self.kept.join(format!("{key}.tsv"));
        if let Ok(text) = std::fs::read(&kept) {
            return Ok(Table::new(&text));
        }
        // Nobody's own preferences and profiles.
        let nowhere = self.kept.join("no-home");
        let output = Command::new(&self.program)
            .arg("-r")
            .arg(file)
            .args(&arguments)
            .env("HOME", &nowhere)
            .env("XDG_CONFIG_HOME", &nowhere)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()?;
        std::fs::write(&kept, &output.stdout)?;
        Ok(Table::new(&output.stdout))
    }
}

/// What came of all of it.
#[derive(Debug, Default)]
struct Tally {
    /// How many disagreements of each kind are shown.
    examples: usize,
    files: u64,
    /// tshark reads them, Hopscope names the format and does not.
    not_read: u64,
    /// Both read frames, but not the same: their frames are compared as long as they are the same.
    other_frames: Vec<String>,
    frames: u64,
    not_compared: u64,
    /// Fields of a frame that has several of them with nothing to tell whose they are.
    left_aside: u64,
    agree: BTreeMap<String, u64>,
    /// By field and cause.
    differ: BTreeMap<(String, &'static str), u64>,
    shown: BTreeMap<(String, &'static str), usize>,
    /// The header that neither is asked about further, by how many frames end there.
    beyond: BTreeMap<String, u64>,
}

impl Tally {
    fn file(&mut self, file: &Path, ours: &Table, theirs: &Table) {
        match (ours.rows.is_empty(), theirs.rows.is_empty()) {
            (_, true) => return,
            (true, false) => {
                self.not_read += 1;
                self.not_compared += theirs.rows.len() as u64;
                return;
            }
            (false, false) => {}
        }
        self.files += 1;
        let Some(plan) = Plan::new(ours, theirs) else {
            self.other_frames.push(format!("{}: tshark printed other columns", file.display()));
            return;
        };
        let mut compared = 0;
        let packets = || theirs.rows.iter().filter(|row| !plan.is_no_packet(row));
        for (ours, theirs) in ours.rows.iter().zip(packets()) {
            // Where a file is damaged, each finds its own way on: what they then read are different frames.
            if !plan.is_same_frame(ours, theirs) {
                break;
            }
            compared += 1;
            self.frame(&plan, file, ours, theirs);
        }
        self.frames += compared;
        let longest = ours.rows.len().max(packets().count()) as u64;
        if compared < longest {
            self.not_compared += longest - compared;
            self.other_frames.push(format!(
                "{}: {} frames, tshark has {}, the first {compared} are the same",
                file.display(),
                ours.rows.len(),
                packets().count()
            ));
        }
    }

    fn frame(&mut self, plan: &Plan<'_>, file: &Path, ours: &[String], theirs: &[String]) {
        let frame = Frame::new(plan, ours, theirs);
        if let Some(beyond) = frame.beyond {
            *self.beyond.entry(beyond.to_owned()).or_default() += 1;
        }
        // tshark numbers blocks that hold no packet too, so that numbers are compared only as long as there are none.
        for column in plan.columns.iter().filter(|c| c.name != "frame.number") {
            let Some((our_values, their_values)) = frame.values(column) else {
                self.left_aside += 1;
                continue;
            };
            let longest = our_values.len().max(their_values.len());
            for at in 0..longest {
                let (a, b) = (our_values.get(at).copied(), their_values.get(at).copied());
                if a == Some("?") {
                    continue;
                }
                if same(column.name, a, b) {
                    *self.agree.entry(column.name.to_owned()).or_default() += 1;
                    continue;
                }
                let cause = frame.cause(column.name, a, b);
                let key = (column.name.to_owned(), cause);
                *self.differ.entry(key.clone()).or_default() += 1;
                let shown = self.shown.entry(key).or_default();
                *shown += 1;
                if *shown <= self.examples {
                    let number = ours.first().map(String::as_str).unwrap_or_default();
                    say(&format!(
                        "{}: {cause}: {} frame {number}: {} here, {} there ({})",
                        column.name,
                        file.display(),
                        a.unwrap_or("nothing"),
                        b.unwrap_or("nothing"),
                        frame.protocols
                    ));
                }
            }
        }
    }

    fn values(&self) -> (u64, u64) {
        (self.agree.values().sum(), self.differ.values().sum())
    }

    fn say(&self) {
        for other in &self.other_frames {
            say(&format!("not the same frames: {other}"));
        }
        let mut causes: BTreeMap<&str, u64> = BTreeMap::new();
        say(&format!("\n{:32} {:>10} {:>8}", "field", "agree", "differ"));
        for (name, agree) in &self.agree {
            let differ: u64 = self.differ.iter().filter(|((n, _), _)| n == name).map(|(_, n)| n).sum();
            say(&format!("{name:32} {agree:>10} {differ:>8}"));
        }
        for ((name, _), n) in self.differ.iter().filter(|((n, _), _)| !self.agree.contains_key(n)) {
            say(&format!("{name:32} {:>10} {n:>8}", 0));
        }
        self.differ.iter().for_each(|((_, cause), n)| *causes.entry(cause).or_default() += n);
        say("\nvalues that differ, by cause");
        causes.iter().for_each(|(cause, n)| say(&format!("{n:>8} {cause}")));
        let mut beyond: Vec<_> = self.beyond.iter().collect();
        beyond.sort_by_key(|(name, n)| (std::cmp::Reverse(**n), *name));
        say("\nframes in which headers follow that Hopscope does not open, by the first of them");
        beyond.iter().take(20).for_each(|(name, n)| say(&format!("{n:>8} {name}")));
        let (agree, differ) = self.values();
        say(&format!(
            "\n{} files, {} frames, {} values compared: {agree} agree, {differ} differ ({:.4} % agree). Not compared: {} files in formats that are not read, {} frames in them or behind damage; {} fields that a frame has several of",
            self.files,
            self.frames,
            agree + differ,
            100.0 * agree as f64 / (agree + differ).max(1) as f64,
            self.not_read,
            self.not_compared,
            self.left_aside
        ));
    }

    fn is_enough(&self, at_least: AtLeast) -> bool {
        let (agree, differ) = self.values();
        let is_enough = agree > 0 && self.frames >= at_least.frames && agree + differ >= at_least.values;
        if !is_enough {
            say(&format!("Too little was compared: {} frames and {} values were to be expected.", at_least.frames, at_least.values));
        }
        is_enough
    }

    fn mostly_agrees(&self) -> bool {
        let (agree, differ) = self.values();
        agree * 100_000 >= (agree + differ) * MUST_AGREE
    }
}

/// One field in both tables.
#[derive(Debug)]
struct Column<'a> {
    name: &'a str,
    ours: usize,
    theirs: usize,
}

#[derive(Debug)]
struct Plan<'a> {
    columns: Vec<Column<'a>>,
    same: Vec<(usize, usize)>,
    protocols: usize,
    malformed: usize,
    service_tag: usize,
    time: usize,
}

impl<'a> Plan<'a> {
    fn new(ours: &'a Table, theirs: &Table) -> Option<Self> {
        let columns: Vec<Column<'a>> =
            ours.names.iter().enumerate().filter_map(|(at, name)| Some(Column { name, ours: at, theirs: theirs.column(name)? })).collect();
        let both = |name: &str| columns.iter().find(|c| c.name == name).map(|c| (c.ours, c.theirs));
        Some(Self {
            same: ["frame.cap_len", "frame.len"].iter().filter_map(|n| both(n)).collect(),
            protocols: theirs.column("frame.protocols")?,
            malformed: theirs.column("_ws.malformed")?,
            service_tag: theirs.column("ieee8021ad.id")?,
            time: theirs.column("frame.time_epoch")?,
            columns,
        })
    }

    /// Blocks of pcapng that hold something else than a packet (a log's entry, a block of some program's own), which tshark counts too.
    fn is_no_packet(&self, theirs: &[String]) -> bool {
        let is = |at: usize, value: &str| theirs.get(at).is_some_and(|v| v == value);
        is(self.protocols, "data") && is(self.time, "")
    }

    fn is_same_frame(&self, ours: &[String], theirs: &[String]) -> bool {
        self.same.iter().all(|(a, b)| ours.get(*a) == theirs.get(*b))
    }
}

/// Headers that both open, as tshark calls them.
const OPENED: [&str; 28] = [
    "eth",
    "ethertype",
    "vlan",
    "ieee8021ad",
    "sll",
    "null",
    "raw",
    "loop",
    "mpls",
    "pppoes",
    "arp",
    "ip",
    "ipv6",
    "ipv6.hopopts",
    "ipv6.dstopts",
    "ipv6.routing",
    "ipv6.fraghdr",
    "ah",
    "tcp",
    "udp",
    "icmp",
    "icmpv6",
    "sctp",
    "vxlan",
    "geneve",
    "gre",
    "llc",
    "ppp",
];

/// Headers that Hopscope opens only around these.
const AROUND: [(&str, &[&str]); 5] = [
    ("gre", &["ip", "ipv6", "arp", "eth"]),
    ("geneve", &["ip", "ipv6", "arp", "eth"]),
    ("llc", &["ip", "ipv6", "arp"]),
    ("ppp", &["ip", "ipv6"]),
    ("mpls", &["mpls", "ip", "ipv6"]),
];

/// Headers that Hopscope opens only behind these: what else they may follow (AH in IPv4, Ethernet in IPv6, MPLS in UDP, PPP as a link layer) it does not.
const BEHIND: [(&str, &[&str]); 5] = [
    ("ah", &["ipv6", "ipv6.hopopts", "ipv6.dstopts", "ipv6.routing", "ipv6.fraghdr"]),
    ("eth", &["", "vxlan", "geneve", "gre"]),
    ("gre", &["ip", "ipv6", "ipv6.hopopts", "ipv6.dstopts", "ipv6.routing", "ipv6.fraghdr"]),
    ("mpls", &["ethertype", "mpls"]),
    ("ppp", &["pppoes"]),
];

/// One frame as both read it.
#[derive(Debug)]
struct Frame<'a> {
    plan: &'a Plan<'a>,
    ours: &'a [String],
    theirs: &'a [String],
    service_tags: &'a str,
    protocols: &'a str,
    is_malformed: bool,
    is_cut: bool,
    /// The headers that both open, outermost first, and the one behind them.
    opened: Vec<&'a str>,
    beyond: Option<&'a str>,
}

impl<'a> Frame<'a> {
    fn new(plan: &'a Plan<'a>, ours: &'a [String], theirs: &'a [String]) -> Self {
        let text = |at: usize| theirs.get(at).map_or("", String::as_str);
        let protocols = text(plan.protocols);
        let length = |at: usize| plan.same.get(at).and_then(|(a, _)| ours.get(*a)?.parse::<u64>().ok());
        let (opened, beyond) = opened(protocols);
        Self {
            plan,
            ours,
            theirs,
            service_tags: text(plan.service_tag),
            protocols,
            is_malformed: !text(plan.malformed).is_empty(),
            is_cut: length(0) < length(1),
            opened,
            beyond,
        }
    }

    /// The values of the headers that both open; `None` where tshark does not say whose they are.
    fn values(&self, column: &Column<'_>) -> Option<(Vec<&'a str>, Vec<&'a str>)> {
        let split = |text: &'a str| text.split(',').filter(|v| !v.is_empty()).collect::<Vec<_>>();
        let of = |row: &'a [String], at: usize| row.get(at).map_or(Vec::new(), |text| split(text));
        let (ours, mut theirs) = (of(self.ours, column.ours), of(self.theirs, column.theirs));
        let header = match column.name.split('.').collect::<Vec<_>>().as_slice() {
            ["ipv6", "fraghdr", ..] => "ipv6.fraghdr",
            [header, ..] => header,
            [] => "",
        };
        let count = |header: &str, among: &mut dyn Iterator<Item = &str>| among.filter(|h| *h == header).count();
        let (here, all) = (count(header, &mut self.opened.iter().copied()), count(header, &mut self.protocols.split(':')));
        match header {
            "frame" => {}
            "vlan" => {
                theirs = split(self.service_tags).into_iter().chain(theirs).collect();
                let network = self.opened.iter().position(|h| matches!(*h, "ip" | "ipv6")).unwrap_or(self.opened.len());
                theirs.truncate(self.opened.iter().take(network).filter(|h| matches!(**h, "vlan" | "ieee8021ad")).count());
            }
            "tcp" if column.name.contains("options") && all > 1 => return None,
            // RFC 8200 has one fragment header in a packet, and of several Hopscope keeps the last.
            "ipv6.fraghdr" if all > count("ipv6", &mut self.protocols.split(':')) => return None,
            _ if here < all => theirs.truncate(here),
            _ => {}
        }
        Some((ours, theirs))
    }

    /// The largest of our values of a field.
    fn most(&self, name: &str) -> u64 {
        let column = self.plan.columns.iter().find(|c| c.name == name);
        let text = column.and_then(|c| self.ours.get(c.ours)).map_or("", String::as_str);
        text.split(',').filter_map(|v| v.parse().ok()).max().unwrap_or(0)
    }

    /// Whether the packet's IP header claims more octets than the frame has, as it was on the wire.
    fn claims_more_than_is_there(&self) -> bool {
        let link = match self.opened.first() {
            Some(&"eth") => 14,
            Some(&"sll") => 16,
            _ => 0,
        };
        let claimed = self.most("ip.len").max(self.most("ipv6.plen"));
        claimed + link > self.most("frame.len")
    }

    /// Why the two differ, as far as it shows.
    fn cause(&self, name: &str, ours: Option<&str>, theirs: Option<&str>) -> &'static str {
        let has = |header: &str| self.opened.contains(&header);
        // As 32 bits with a sign, a time's fraction is this much less.
        let is_wrapped = || {
            let micros = |t: Option<&str>| {
                t?.split_once('.').and_then(|(s, f)| Some(s.parse::<i64>().ok()? * 1_000_000 + f.get(..6)?.parse::<i64>().ok()?))
            };
            micros(ours).zip(micros(theirs)).is_some_and(|(a, b)| a - b == 1 << 31)
        };
        let is_fragment = || self.most("ip.flags.mf") > 0 || has("ipv6.fraghdr");
        let ends_in_ip = || matches!(self.protocols.rsplit(':').next(), Some("ip"));
        let long_fraction =
            || theirs.and_then(|t| t.split_once('.')).is_some_and(|(seconds, f)| f.len() > 9 || f.starts_with('-') || seconds.len() > 10);
        if self.is_malformed {
            "tshark calls the packet malformed"
        } else if self.is_cut && ours.is_none() {
            CUT
        } else if name == "frame.time_epoch" && (long_fraction() || is_wrapped()) {
            "the file's time has a fraction beyond a second, or is beyond the year 2262"
        } else if name.starts_with("arp.") && ours.is_none() {
            "ARP for other addresses than IPv4 over Ethernet, or RARP"
        } else if matches!(name, "icmp.ident" | "icmp.seq" | "icmpv6.echo.identifier" | "icmpv6.echo.sequence_number") && ours.is_none() {
            "ICMP messages other than echo that have an identifier (RFC 8335), or echo in a packet that is not opened"
        } else if name == "ipv6.plen" && theirs == Some("0") {
            "a jumbogram: Hopscope gives the length of its option, tshark the header's 0"
        } else if name == "tcp.len" && ours.is_some() && theirs.is_none() && is_fragment() {
            "a fragment with a TCP header: tshark tells no length of what it carries of the segment"
        } else if name == "tcp.len" && ours.is_some() && theirs.is_some() && self.claims_more_than_is_there() {
            "IP's length reaches beyond the frame: Hopscope counts the segment as its headers say, tshark as far as the frame goes"
        } else if name.starts_with("tcp.") && ours.is_none() && theirs.is_some() && self.protocols.contains(":tcp") && !has("gre") {
            "a TCP header that says that it is shorter than 20 octets, or that a fragment cuts: tshark shows its first fields"
        } else if name == "ip.dst" && ours.is_some() && theirs.is_some() && !ends_in_ip() {
            "a source route: tshark gives its last address for the destination, Hopscope the header's"
        } else if name.starts_with("ip.") && ends_in_ip() || (ends_in_ip() && theirs.is_none() && !name.starts_with("eth.")) {
            "an IPv4 header whose lengths contradict one another or its packet: tshark stops within it, Hopscope reads on or not at all"
        } else if name.starts_with("eth.") && self.protocols.contains(":cfp:") {
            "Cisco FabricPath, which tshark opens"
        } else if name.starts_with("eth.") && ours.is_some_and(|mac| mac.starts_with("01:00:0c:00:00")) {
            "Cisco ISL, which tshark opens"
        } else if ours.is_none() && self.protocols.starts_with("null:ip") {
            "an address family that no system has, whose second half tshark takes for an EtherType"
        } else if name == "vxlan.vni" && self.protocols.contains(":nsh") {
            "VXLAN-GPE around a network service header, which tshark opens"
        } else if ours.is_none() && self.protocols.contains("gre:ip:tcp") && has("gre") {
            "GRE around a packet that WCCP redirects, which tshark opens"
        } else if (has("icmp") || has("icmpv6")) && self.opened.iter().filter(|h| matches!(**h, "ip" | "ipv6")).count() > 1 {
            "in a packet that an ICMP message quotes"
        } else {
            "no reason known"
        }
    }
}

fn opened(protocols: &str) -> (Vec<&str>, Option<&str>) {
    let all: Vec<&str> = protocols.split(':').filter(|p| !p.is_empty()).collect();
    let mut quotes = false;
    for (at, header) in all.iter().enumerate() {
        let next = all.get(at + 1).copied();
        let previous = at.checked_sub(1).and_then(|p| all.get(p)).copied().unwrap_or_default();
        let is_opened = OPENED.contains(header)
            && BEHIND.iter().all(|(h, before)| h != header || before.contains(&previous))
            && AROUND.iter().all(|(h, within)| h != header || next.is_some_and(|n| within.contains(&n)))
            // Of a packet that an ICMP error quotes, its own headers: no tunnel, and no further quotation.
            && !(quotes && matches!(*header, "ip" | "ipv6" | "eth") && !matches!(previous, "icmp" | "icmpv6"));
        if !is_opened {
            return (all.get(..at).unwrap_or_default().to_vec(), Some(header));
        }
        if matches!(*header, "icmp" | "icmpv6") {
            if quotes {
                return (all.get(..=at).unwrap_or_default().to_vec(), next);
            }
            quotes = true;
        }
    }
    (all, None)
}

/// Whether two values are one: of TCP's flags, Hopscope keeps the eight that are in use.
fn same(name: &str, ours: Option<&str>, theirs: Option<&str>) -> bool {
    let flags = |text: Option<&str>| u32::from_str_radix(text?.trim_start_matches("0x"), 16).ok().map(|f| f & 0xff);
    ours == theirs || name == "tcp.flags" && ours.is_some() && flags(ours) == flags(theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(ours: &str, theirs: &str) -> Tally {
        let mut tally = Tally::default();
        let head = "frame.protocols\t_ws.malformed\tieee8021ad.id\t";
        let names = "frame.number\tframe.time_epoch\tframe.cap_len\tframe.len\tip.src\ttcp.flags\n";
        let ours = Table::new(format!("{names}{ours}\n").as_bytes());
        tally.file(Path::new("x"), &ours, &Table::new(format!("{head}{names}{theirs}\n").as_bytes()));
        tally
    }

    #[test]
    fn values_are_compared_as_far_as_both_open_headers() {
        let ours = "1\t0.000000000\t60\t60\t10.0.0.1\t0x0002";
        let same = tables(ours, "eth:ethertype:ip:tcp\t\t\t1\t0.000000000\t60\t60\t10.0.0.1\t0x0102");
        assert_eq!((same.frames, same.values()), (1, (5, 0)));
        assert!(same.mostly_agrees() && same.is_enough(AtLeast { frames: 1, values: 5 }));
        assert!(!same.is_enough(AtLeast { frames: 1, values: 6 }) && !same.is_enough(AtLeast { frames: 2, values: 5 }));
        // What tshark finds in GTP is none of ours; another address in the same header is.
        let beyond = tables(ours, "eth:ethertype:ip:udp:gtp:ip:tcp\t\t\t1\t0.000000000\t60\t60\t10.0.0.1,10.9.9.9\t");
        assert_eq!(beyond.values(), (4, 1), "the flags are of a header that tshark finds in GTP alone");
        assert_eq!(beyond.beyond.keys().collect::<Vec<_>>(), ["gtp"]);
        let other = tables(ours, "eth:ethertype:ip:tcp\t\t\t1\t0.000000000\t60\t60\t10.0.0.2\t0x0002");
        assert!(other.values() == (4, 1) && !other.mostly_agrees());
        // Other frames are not compared at all, and counted.
        let lost = tables(ours, "eth:ethertype:ip:tcp\t\t\t1\t0.000000000\t90\t90\t10.0.0.1\t0x0002");
        assert_eq!((lost.frames, lost.not_compared), (0, 1));
        assert!(!lost.is_enough(AtLeast { frames: 0, values: 0 }));
    }

    #[test]
    fn headers_are_opened_where_hopscope_opens_them() {
        assert_eq!(opened("eth:ethertype:ip:gre:ip:tcp:http").1, Some("http"));
        assert_eq!(opened("eth:ethertype:ip:gre:ppp:ip").1, Some("gre"));
        assert_eq!(opened("ppp:ip:tcp").1, Some("ppp"));
        assert_eq!(opened("eth:ethertype:ip:icmp:ip:udp").1, None);
        assert_eq!(opened("eth:ethertype:ip:icmp:ip:gre:ip:udp").0.len(), 6);
        assert_eq!(opened("eth:ethertype:ip:ah:icmp").1, Some("ah"));
    }
}
