//! First bytes and name → what an input is. Content decides; the name only breaks ties.
//! Knows how formats begin, not how they go on; how inventories look is known to [`crate::import`], which is asked.

use crate::import;

/// At most this many bytes are needed to decide.
pub const PREFIX: usize = 4096;

/// What an input is; `as_str` is the report's `inputs[].kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Classic pcap.
    Pcap,
    /// pcapng.
    Pcapng,
    /// gzip around something else (RFC 1952).
    Gzip,
    /// zstd around something else (RFC 8878).
    Zstd,
    /// tar archive (ustar, GNU).
    Tar,
    /// zip archive.
    Zip,
    /// `kubectl get … -o json`.
    Kubectl,
    /// `aws ec2 describe-…`.
    Ec2,
    /// `aws elbv2 describe-…` and `aws elb describe-load-balancers`.
    Elb,
    /// `ip addr`, `ip link`, text or `-j`; `ifconfig`.
    IpAddr,
    /// `ip neigh`, `arp`.
    IpNeigh,
    /// `ip route`.
    IpRoute,
    /// `ip rule`.
    IpRule,
    /// `iptables-save`, `iptables -L`, `nft list ruleset`.
    Iptables,
    /// `conntrack -L`.
    Conntrack,
    /// `ipvsadm -Ln`, `-Sn`.
    Ipvs,
    /// `ss`, `netstat`.
    Sockets,
    /// `bridge fdb`, text or `-j`.
    BridgeFdb,
    /// A capture's digest (Parquet), as `hopscope digest` writes it.
    Digest,
    /// VPC Flow Logs: records as text, with or without a header line, or as `aws logs` wraps them.
    FlowLog,
    /// The VPC CNI's books on a node: `/v1/enis`, `/v1/pods`, `ipam.json`.
    Ipamd,
    /// What tcpdump prints, in place of a capture.
    TcpdumpText,
    /// Hopscope's own session file: a person's corrections.
    Session,
    /// JSON that no importer claims.
    UnknownJson,
    /// Text that no importer claims.
    UnknownText,
    /// Known, and not read; the message says how to convert it.
    Unsupported(&'static str),
    /// Nothing known.
    Unknown,
    /// No bytes at all.
    Empty,
}

impl Format {
    /// Whether it is text of a host's commands, which a paste may mix with others.
    #[must_use]
    pub fn is_lines(self) -> bool {
        matches!(
            self,
            Self::IpAddr
                | Self::IpNeigh
                | Self::IpRoute
                | Self::IpRule
                | Self::Iptables
                | Self::Conntrack
                | Self::Ipvs
                | Self::Sockets
                | Self::BridgeFdb
                | Self::Kubectl
                | Self::UnknownText
        )
    }

    /// The report's `inputs[].kind`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pcap | Self::Pcapng => "capture",
            Self::Gzip | Self::Zstd | Self::Tar | Self::Zip => "archive",
            Self::Kubectl => "kubectl",
            Self::Ec2 => "ec2",
            Self::Elb => "elbv2",
            Self::IpAddr => "ip_addr",
            Self::IpNeigh => "ip_neigh",
            Self::IpRoute => "ip_route",
            Self::IpRule => "ip_rule",
            Self::Iptables => "iptables",
            Self::Conntrack => "conntrack",
            Self::Ipvs => "ipvs",
            Self::Sockets => "sockets",
            Self::BridgeFdb => "bridge_fdb",
            Self::Digest => "digest",
            Self::FlowLog => "flow_log",
            Self::Ipamd => "ipamd",
            Self::TcpdumpText => "tcpdump_text",
            Self::Session => "session",
            Self::UnknownJson | Self::UnknownText | Self::Unsupported(_) | Self::Unknown | Self::Empty => "unknown",
        }
    }
}

/// What an input is. `prefix` holds its first [`PREFIX`] bytes (fewer where it is shorter); `name` only breaks ties.
#[must_use]
pub fn sniff(prefix: &[u8], name: &str) -> Format {
    // Commands that have nothing to list print a line's end at most.
    if prefix.len() < PREFIX && prefix.iter().all(u8::is_ascii_whitespace) {
        return Format::Empty;
    }
    if let Some(format) = by_magic(prefix) {
        return format;
    }
    let text = import::text(prefix);
    if is_binary(&text) {
        return Format::Unknown;
    }
    if import::is_json(&text) {
        return import::classify_json(prefix);
    }
    // A container's log, as `kubectl cluster-info dump` writes one for each: what it prints is nobody's table.
    if text.trim_start().starts_with(import::LOG_BEGINS) {
        return Format::Unknown;
    }
    by_lines(&text).or_else(|| foreign_text(&text)).unwrap_or_else(|| by_name(name))
}

/// The format of a text's own lines, wherever the first of them stands.
#[must_use]
pub fn of_text(text: &str) -> Format {
    by_lines(text).unwrap_or(Format::UnknownText)
}

/// A text whose first lines tell nothing, such as those under a long banner: its name is all there is.
fn by_name(name: &str) -> Format {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name).to_ascii_lowercase();
    let has = |word: &str| file.contains(word);
    if has("iptables-save") || has("ip6tables-save") {
        Format::Iptables
    } else if has("conntrack") {
        Format::Conntrack
    } else {
        Format::UnknownText
    }
}

/// The family with the most lines; of equals, the one that is first.
fn by_lines(text: &str) -> Option<Format> {
    let mut counts: Vec<(Format, u32)> = Vec::new();
    let indent = import::indent(text);
    let first = text.lines().map(str::trim).find(|l| !l.is_empty());
    if first.is_some_and(import::is_flow_log_heading) {
        return Some(Format::FlowLog);
    }
    for format in text.lines().filter_map(|l| import::format_of_line(l.get(indent..).unwrap_or_default())) {
        match counts.iter_mut().find(|(f, _)| *f == format) {
            Some((_, count)) => *count += 1,
            None => counts.push((format, 1)),
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max()?;
    counts.into_iter().find(|(_, count)| *count == most).map(|(format, _)| format)
}

/// Formats that begin with fixed bytes and are not read, and what to do about them.
const FOREIGN: &[(&[u8], &str)] = &[
    (b"\xfd7zXZ\0", "it is compressed with xz; unpack it with `unxz`"),
    (b"\x04\x22\x4d\x18", "it is compressed with lz4; unpack it with `unlz4`"),
    (b"7z\xbc\xaf\x27\x1c", "it is a 7-Zip archive; unpack it with `7z x`"),
    (b"Rar!\x1a\x07", "it is a RAR archive; unpack it with `unrar x`"),
    (b"snoop\0\0\0", "it is a snoop capture; convert it with `editcap -F pcap IN OUT.pcap`"),
    (b"btsnoop\0", "it is a Bluetooth capture, which has no network packets"),
    (b"GMBU", "it is a Network Monitor capture; convert it with `editcap -F pcap IN OUT.pcap`"),
    (b"RTSS", "it is a Network Monitor capture; convert it with `editcap -F pcap IN OUT.pcap`"),
    (b"XCP\0", "it is a NetXRay capture; convert it with `editcap -F pcap IN OUT.pcap`"),
    (b"TRSNIFF data    \x1a", "it is a Sniffer capture; convert it with `editcap -F pcap IN OUT.pcap`"),
    (b"\x7fver", "it is an EtherPeek capture; convert it with `editcap -F pcap IN OUT.pcap`"),
    (b"\xaa\xaa\xaa\xaa\x20\0\0\0", "it is a 5Views capture; convert it with `editcap -F pcap IN OUT.pcap`"),
    (b"TR\0d\0", "it is an HP-UX nettl capture; convert it with `editcap -F pcap IN OUT.pcap`"),
    (b"iptrace ", "it is an AIX iptrace capture; convert it with `editcap -F pcap IN OUT.pcap`"),
    (b"\0\0\x02\0\x12\x05\0\x10", "it is a K12 capture; convert it with `editcap -F pcap IN OUT.pcap`"),
    (
        b"PAR1",
        "it is a Parquet file; if it is a VPC Flow Log, turn it into text with `duckdb -c \"COPY 'IN.parquet' TO 'OUT.csv'\"`, or have the log written as text",
    ),
    (b"ARROW1\0\0", "it is an Arrow file"),
];

fn by_magic(prefix: &[u8]) -> Option<Format> {
    match prefix {
        // Microseconds, nanoseconds, and the variant with longer packet headers, each in both byte orders.
        [0xa1, 0xb2, 0xc3, 0xd4, ..]
        | [0xd4, 0xc3, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0x3c, 0x4d, ..]
        | [0x4d, 0x3c, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0xcd, 0x34, ..]
        | [0x34, 0xcd, 0xb2, 0xa1, ..] => return Some(Format::Pcap),
        // A section header block. Its type is not told by its line breaks alone: the byte-order magic stands eight bytes on.
        [0x0a, 0x0d, 0x0d, 0x0a, _, _, _, _, 0x1a, 0x2b, 0x3c, 0x4d, ..]
        | [0x0a, 0x0d, 0x0d, 0x0a, _, _, _, _, 0x4d, 0x3c, 0x2b, 0x1a, ..] => return Some(Format::Pcapng),
        [0x0a, 0x0d, 0x0d, 0x0a, rest @ ..] if rest.len() < 8 => return Some(Format::Pcapng),
        [b'P', b'A', b'R', b'1', ..] => return Some(Format::Digest),
        [0x1f, 0x8b, 0x08, ..] => return Some(Format::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Some(Format::Zstd),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, ..] => return Some(Format::Zip),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => {
            return Some(Format::Unsupported("it is compressed with bzip2; unpack it with `bunzip2`"));
        }
        _ => {}
    }
    if let Some((_, message)) = FOREIGN.iter().find(|(magic, _)| prefix.starts_with(magic)) {
        return Some(Format::Unsupported(message));
    }
    if is_tar(prefix) {
        return Some(Format::Tar);
    }
    is_erf(prefix).then_some(Format::Unsupported("it is an ERF capture; convert it with `editcap -F pcap IN OUT.pcap`"))
}

/// A tar header proves itself by its checksum, with or without the word `ustar`.
fn is_tar(prefix: &[u8]) -> bool {
    let Some(header) = prefix.get(..512) else {
        return prefix.get(257..262) == Some(b"ustar".as_slice());
    };
    let Some(field) = header.get(148..156) else { return false };
    let digits: String = field.iter().map(|b| char::from(*b)).filter(char::is_ascii_digit).collect();
    let Ok(wanted) = u32::from_str_radix(&digits, 8) else { return false };
    // The checksum is counted as if its own field held spaces.
    let sum: u32 = header.iter().enumerate().map(|(at, b)| if (148..156).contains(&at) { 0x20 } else { u32::from(*b) }).sum();
    sum == wanted && header.first() != Some(&0)
}

/// ERF has no magic: two records in a row that have the same type, lengths that fit and times that follow.
fn is_erf(prefix: &[u8]) -> bool {
    let record = |at: usize| -> Option<(u32, u8, usize)> {
        let header: &[u8; 16] = prefix.get(at..)?.first_chunk()?;
        let [_, _, _, _, s0, s1, s2, s3, kind, _, l0, l1, _, _, w0, w1] = *header;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let wire = usize::from(u16::from_be_bytes([w0, w1]));
        let seconds = u32::from_le_bytes([s0, s1, s2, s3]);
        // From the nineties on, and a record at least as long as its header.
        let is_plausible = seconds > 0x2a00_0000 && (1..=48).contains(&(kind & 0x7f)) && length > 16 && wire > 0;
        is_plausible.then_some((seconds, kind, length))
    };
    let Some((first, kind, length)) = record(0) else { return false };
    record(length).is_some_and(|(second, other, _)| kind == other && second >= first && second - first < 86_400)
}

/// More than a stray control character: no text, in whichever encoding.
fn is_binary(text: &str) -> bool {
    let (mut all, mut odd) = (0_usize, 0_usize);
    for c in text.chars() {
        all += 1;
        let is_odd = (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\x1b')) || c == char::REPLACEMENT_CHARACTER;
        odd += usize::from(is_odd);
    }
    // The prefix may cut its last character in two.
    odd > 1 + all / 50
}

/// Text that is no inventory and is known all the same.
fn foreign_text(text: &str) -> Option<Format> {
    let lines = || text.lines().map(str::trim).filter(|l| !l.is_empty()).take(50);
    if lines().any(|l| l.starts_with("+---------+---------------+----------+")) {
        return Some(Format::Unsupported("it is a K12 text capture; convert it with `editcap -F pcap IN OUT.pcap`"));
    }
    let is_dump = |line: &str| {
        let mut words = line.split_whitespace();
        let offset = words.next().unwrap_or_default().trim_end_matches(':');
        let is_hex = |w: &str, length: usize| w.len() == length && w.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex(offset.trim_start_matches("0x"), 4) && words.clone().take(8).filter(|w| is_hex(w, 2)).count() == 8
    };
    if lines().any(is_dump) {
        return Some(Format::Unsupported("it is a hex dump; make a capture of it with `text2pcap IN OUT.pcap`"));
    }
    if lines().any(|l| l.starts_with("An error occurred (") || l.starts_with("Error from server (") || l.starts_with("error: ")) {
        return Some(Format::Unsupported("it is a command's error message, not its answer"));
    }
    if lines().next().is_some_and(|l| l == "apiVersion: v1" || l == "---" || l.starts_with("apiVersion: ")) {
        return Some(Format::Unsupported("it is YAML; ask kubectl for JSON (`-o json`)"));
    }
    let is_html = lines().next().is_some_and(|l| l.to_ascii_lowercase().starts_with("<!doctype html") || l.starts_with("<html"));
    is_html.then_some(Format::Unsupported("it is a web page"))
}

/// Says what an input of [`Format::Unknown`], [`Format::UnknownText`] or [`Format::UnknownJson`] is, for a person: to stand after
/// its name. `prefix` as for [`sniff`].
#[must_use]
pub fn describe_unknown(prefix: &[u8]) -> String {
    const KNOWN: &[(&[u8], &str)] = &[
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"GIF8", "a GIF image"),
        (b"%PDF-", "a PDF document"),
        (b"\x7fELF", "a Linux program (ELF)"),
        (b"MZ", "a Windows program"),
        (b"\xcf\xfa\xed\xfe", "a macOS program"),
        (b"\0asm", "a WebAssembly module"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"\xd0\xcf\x11\xe0", "an old Microsoft Office document"),
        (b"OggS", "an Ogg file"),
        (b"ID3", "an MP3 file"),
        (b"!<arch>\n", "an ar archive or Debian package"),
        (b"\xed\xab\xee\xdb", "an RPM package"),
        (b"\0\0\0\x0cjP", "a JPEG 2000 image"),
    ];
    if prefix.is_empty() {
        return "an empty file".to_owned();
    }
    if prefix.iter().all(|b| *b == 0) {
        return format!("zeros, as far as its first {} bytes show", prefix.len());
    }
    if let Some((_, what)) = KNOWN.iter().find(|(magic, _)| prefix.starts_with(magic)) {
        return format!("{what}, neither a capture nor an inventory");
    }
    if prefix.get(4..8) == Some(b"ftyp".as_slice()) {
        return "a video or an image (ISO media), neither a capture nor an inventory".to_owned();
    }
    let text = import::text(prefix);
    if is_binary(&text) {
        let hex: Vec<String> = prefix.iter().take(8).map(|b| format!("{b:02x}")).collect();
        return format!("in a binary format that is not known here; it begins with {}", hex.join(" "));
    }
    if import::is_json(&text) {
        return "JSON, but not from a command that is read".to_owned();
    }
    let line = text.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    // No backtick inside: it would end the quotation.
    let shown = line.chars().take(60).collect::<String>().replace('`', "'");
    format!("text, but not from a command that is read; it begins with `{shown}`")
}
