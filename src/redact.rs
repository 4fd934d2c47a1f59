//! A report in which every address and name is a pseudonym: the same everywhere in it, so that it still tells its story, and another for
//! another key. Knows how addresses and identifiers are written; must not know what an incident is.
//!
//! What it does not know it replaces: of a text only plain words, numbers and the engine's own terms stay. IP addresses keep common prefixes
//! in common (as Crypto-PAn does: Xu, Fan, Ammar, Moon, "Prefix-Preserving IP Address Anonymization", 2002) and stay private or public.
//! Times, ports, lengths, TTLs and protocols stay: whoever has the captures too can find them again by these.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use sha1::{Digest, Sha1};

use crate::model::Mac;
use crate::order;
use crate::report::{DirectionPath, FlowEnd, Report};

/// The report with pseudonyms. The same key gives the same pseudonyms in every report.
#[must_use]
pub fn redact(report: &Report, key: &str) -> Report {
    let mut r = Redactor::new(report, key);
    let mut out = report.clone();
    for i in &mut out.inputs {
        i.name = r.path(&i.name);
        i.message = i.message.take().map(|m| r.message(&m));
    }
    for c in &mut out.capture_points {
        c.interface_name = c.interface_name.take().map(|n| r.name(&n));
        c.at = c.at.take().map(|a| r.id(&a));
    }
    for e in &mut out.entities {
        e.id = r.id(&e.id);
        e.name = r.name(&e.name);
        e.aliases = e.aliases.iter().map(|a| r.id(a)).collect();
        e.parent = e.parent.take().map(|p| r.id(&p));
        e.macs = e.macs.iter().map(|m| r.name(m)).collect();
        e.ips = e.ips.iter().map(|i| r.name(i)).collect();
    }
    for l in &mut out.links {
        (l.a, l.b) = (r.id(&l.a), r.id(&l.b));
    }
    for p in &mut out.paths {
        let mut end = |e: &mut FlowEnd| {
            e.entity = e.entity.take().map(|x| r.id(&x));
            e.ip = r.name(&e.ip);
        };
        end(&mut p.flow.client);
        end(&mut p.flow.server);
        if let Some(via) = &mut p.flow.via {
            end(via);
        }
        for relay in &mut p.relays {
            relay.through = r.id(&relay.through);
        }
        for h in p.directions.iter_mut().flat_map(|d| d.hops.iter_mut().chain(&mut d.beyond)) {
            h.owner = r.id(&h.owner);
            h.interface = h.interface.take().map(|i| r.id(&i));
            for address in [&mut h.src_mac, &mut h.dst_mac, &mut h.src_ip, &mut h.dst_ip] {
                *address = address.take().map(|a| r.name(&a));
            }
            for e in &mut h.encapsulation {
                e.outer_src = e.outer_src.take().map(|a| r.name(&a));
                e.outer_dst = e.outer_dst.take().map(|a| r.name(&a));
            }
        }
    }
    for f in &mut out.findings {
        f.about = f.about.iter().map(|a| r.id(a)).collect();
        f.summary = r.message(&f.summary);
        f.next_step = f.next_step.take().map(|s| r.message(&s));
    }
    for e in &mut out.evidence {
        e.statement = r.message(&e.statement);
        for s in &mut e.sources {
            s.pointer = s.pointer.take().map(|p| r.pointer(&p));
        }
    }
    out
}

/// A key that follows from what the report holds: for whoever has no key of their own. Who has the very same inputs can make it again.
#[must_use]
pub fn key_of(report: &Report) -> String {
    let text = report.to_json().unwrap_or_default();
    hex(&Sha1::digest(text.as_bytes()), 40)
}

fn hex(bytes: &[u8], digits: usize) -> String {
    let mut text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    text.truncate(digits);
    text
}

/// What stands before the colon of an id.
const KINDS: &[&str] = &[
    "if", "pod", "node", "instance", "host", "eni", "router", "lb", "natgw", "igw", "vpce", "service", "subnet", "az", "vpc", "external",
    "unknown", "tgw", "pcx", "mac",
];

/// Terms of the engine and of commands that are written like names. What is missing here becomes a pseudonym: ugly, and safe.
const TERMS: &[&str] = &[
    "and/or",
    "describe-instances",
    "describe-network-acls",
    "describe-network-interfaces",
    "describe-security-groups",
    "ec2",
    "iptables-save",
    "kube-proxy",
    "network-interface-ids",
    "one-way",
    "private-ip-address",
    "addresses.private-ip-address",
    "association.subnet-id",
    "rp_filter",
    "route-tables",
    "tcp-reset",
    "tcp_mtu_probing",
    "pre-dates",
    "load-balancer",
    "sha-1",
    "ICMPv6",
    "IPv4",
    "IPv6",
    "SYN-ACK",
    "kube-system",
    "so-called",
    "X-Forwarded-For",
    "group-ids",
    "network-interfaces",
    "RFC1918",
    "next-hop",
    "re-used",
    "AWS_VPC_ENI_MTU",
    "POD_MTU",
    "AWS_VPC_K8S_CNI_EXTERNALSNAT",
    "conntrack-tools",
    "SYN-SENT",
    "SYN-RECV",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "CLOSE-WAIT",
    "LAST-ACK",
    "subnet-id",
    "route-table",
    "security-group",
    "half-open",
    "keep-alive",
    "read-only",
    "retransmit-timeout",
    "no-reply",
    "externalTrafficPolicy",
];

/// What the engine calls things of itself. A part of somebody's name may be such a word (`cluster/VPC`): it tells nothing, and replaced
/// wherever it stands it would take the sense out of every sentence.
const OWN_WORDS: &[&str] =
    &["VPC", "router", "node", "pod", "service", "subnet", "interface", "gateway", "load", "balancer", "client", "server"];

/// Address blocks that keep their place, and how many bits of an address in them stay: so private addresses stay private.
const V4_BLOCKS: &[(u32, u32, u32)] = &[
    // Network, length of the block, bits that stay.
    (0x0000_0000, 8, 32),
    (0x0a00_0000, 8, 8),
    (0x6440_0000, 10, 10),
    (0x7f00_0000, 8, 32),
    (0xa9fe_0000, 16, 32),
    (0xac10_0000, 12, 12),
    (0xc0a8_0000, 16, 16),
    (0xe000_0000, 3, 32),
];

/// Likewise. A link-local address holds its interface's MAC (RFC 4291, appendix A), so only its prefix stays.
const V6_BLOCKS: &[(u128, u32, u32)] = &[(0, 120, 128), (0xfe80 << 112, 10, 64), (0xfc << 120, 7, 7), (0xff << 120, 8, 32)];

struct Redactor {
    key: String,
    /// Names that are to be replaced wherever they stand, also plain words.
    names: BTreeSet<String>,
    /// Files and folders of the inputs: these keep what their names end in.
    files: BTreeSet<String>,
    /// Of both, the ones that are no single word, longest first.
    phrases: Vec<String>,
    addresses: BTreeMap<IpAddr, IpAddr>,
}

impl Redactor {
    fn new(report: &Report, key: &str) -> Self {
        let mut r =
            Self { key: key.to_owned(), names: BTreeSet::new(), files: BTreeSet::new(), phrases: Vec::new(), addresses: BTreeMap::new() };
        let mut names: BTreeSet<String> = BTreeSet::new();
        let mut take = |text: &str| {
            names.extend(text.split(['/', '\\']).filter(|p| !p.is_empty()).map(str::to_owned));
        };
        for c in &report.capture_points {
            c.interface_name.iter().for_each(|n| take(n));
        }
        for e in &report.entities {
            take(&e.name);
            for id in std::iter::once(&e.id).chain(&e.aliases) {
                take(without_kinds(id).1);
            }
        }
        for f in report.paths.iter().flat_map(|p| &p.directions).flat_map(DirectionPath::all_hops) {
            take(without_kinds(&f.owner).1);
            f.interface.iter().for_each(|i| take(without_kinds(i).1));
        }
        names.retain(|n| !is_kept(n) && n != "VPC router" && !OWN_WORDS.contains(&n.as_str()));
        for i in &report.inputs {
            let parts = i.name.split(['/', '\\']).filter(|p| !p.is_empty());
            // `captures/` is a folder and a word.
            let last = i.name.rsplit(['/', '\\']).next().unwrap_or_default();
            r.files.extend(parts.filter(|p| *p == last || !p.chars().all(char::is_alphabetic)).map(str::to_owned));
        }
        r.phrases = names.iter().chain(&r.files).filter(|n| !n.chars().all(is_word)).cloned().collect();
        order::sort_by_key(&mut r.phrases, |p| std::cmp::Reverse(p.len()));
        r.names = names;
        r
    }

    fn digest(&self, kind: &str, value: &str) -> Vec<u8> {
        let mut hash = Sha1::new();
        for part in [&self.key, kind, value] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().to_vec()
    }

    /// `pod:shop/orders-0`, `if:node:ip-10-0-1-5.ec2.internal/eth0`, `router:subnet-0abc`.
    fn id(&mut self, id: &str) -> String {
        let (kinds, rest) = without_kinds(id);
        format!("{kinds}{}", self.name(rest))
    }

    /// A whole value that is a name or an address.
    fn name(&mut self, name: &str) -> String {
        if name.is_empty() {
            return String::new();
        }
        if let Some(known) = self.known_shape(name) {
            return known;
        }
        if name.contains('/') {
            return name.split('/').map(|p| self.name(p)).collect::<Vec<_>>().join("/");
        }
        if is_kept(name) { name.to_owned() } else { self.pseudonym(name) }
    }

    fn pseudonym(&self, name: &str) -> String {
        format!("n-{}", hex(&self.digest("name", name), 8))
    }

    /// A file's path: every part a pseudonym, with what its name ends in.
    fn path(&mut self, path: &str) -> String {
        let parts = path.split('/').map(|p| if p.is_empty() { String::new() } else { self.file(p) });
        parts.collect::<Vec<_>>().join("/")
    }

    fn file(&self, name: &str) -> String {
        const ENDINGS: &[&str] =
            &["pcap", "pcapng", "cap", "json", "txt", "log", "csv", "yaml", "yml", "gz", "tgz", "zst", "tar", "zip", "out", "conf"];
        if matches!(name, "." | ".." | "-") {
            return name.to_owned();
        }
        let mut stem = name;
        let mut endings = String::new();
        while let Some((rest, ending)) =
            stem.rsplit_once('.').filter(|(r, e)| !r.is_empty() && ENDINGS.contains(&e.to_ascii_lowercase().as_str()))
        {
            endings = format!(".{ending}{endings}");
            stem = rest;
        }
        format!("f-{}{endings}", hex(&self.digest("file", name), 8))
    }

    /// Addresses and identifiers that show what they are; `None`: a name like any other.
    fn known_shape(&mut self, word: &str) -> Option<String> {
        if let Ok(ip) = word.parse::<IpAddr>() {
            return Some(self.ip(ip).to_string());
        }
        if let Ok(mac) = word.parse::<Mac>() {
            return Some(self.mac(mac).to_string());
        }
        if let Ok(net) = word.parse::<IpNet>() {
            return Some(self.net(net));
        }
        if let Some((host, port)) = word.rsplit_once(':').filter(|(_, p)| p.parse::<u16>().is_ok()) {
            let ip = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host).parse::<IpAddr>().ok();
            if let Some(ip) = ip {
                let mapped = self.ip(ip);
                return Some(if mapped.is_ipv6() { format!("[{mapped}]:{port}") } else { format!("{mapped}:{port}") });
            }
        }
        if word.len() == 12 && word.bytes().all(|b| b.is_ascii_digit()) {
            let digits = self.digest("account", word).iter().map(|b| char::from(b'0' + b % 10)).take(12).collect();
            return Some(digits);
        }
        if let Some(arn) = self.arn(word) {
            return Some(arn);
        }
        // `eni-0240a477542d88466`, `eni-attach-…`, `i-…`: eight or seventeen hexadecimal digits behind what it is.
        if let Some((kind, number)) = word.rsplit_once('-') {
            let is_id = matches!(number.len(), 8 | 17) && number.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if is_id && !kind.is_empty() && kind.len() <= 12 && kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
                return Some(format!("{kind}-{}", hex(&self.digest("id", word), number.len())));
            }
        }
        // `eni466af5f872e`: a hash of a pod's namespace and name.
        for prefix in ["eni", "veth", "cali", "lxc", "azv", "gke"] {
            let is_link = |n: &str| (6..=12).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_hexdigit());
            if word.strip_prefix(prefix).is_some_and(is_link) {
                return Some(format!("{prefix}{}", hex(&self.digest("link", word), word.len() - prefix.len())));
            }
        }
        None
    }

    /// `arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/web/3759f02ca8ad46fd`: partition, service and kind of
    /// resource stay; region, account and names go as they go elsewhere.
    fn arn(&mut self, word: &str) -> Option<String> {
        let parts: Vec<&str> = word.splitn(6, ':').collect();
        let ["arn", partition, service, region, account, resource] = parts.as_slice() else { return None };
        let is_aws = matches!(*partition, "aws" | "aws-cn" | "aws-us-gov");
        let is_plain =
            |s: &str| !s.is_empty() && s.len() <= 30 && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_aws || !is_plain(service) {
            return None;
        }
        let (region, account) = (self.name(region), self.name(account));
        let mut shown = String::new();
        for part in resource.split_inclusive(['/', ':']) {
            let bare = part.trim_end_matches(['/', ':']);
            let name = if bare.is_empty() || RESOURCES.contains(&bare) { bare.to_owned() } else { self.name(bare) };
            shown.push_str(&name);
            shown.push_str(part.get(bare.len()..).unwrap_or_default());
        }
        Some(format!("arn:{partition}:{service}:{region}:{account}:{shown}"))
    }

    /// A sentence. What stands between backticks is quoted from an input.
    fn message(&mut self, text: &str) -> String {
        // serde_json's way to quote: `invalid type: string "yes", expected a boolean`.
        const BEFORE: &str = "string \"";
        if let Some((before, rest)) = text.split_once(BEFORE) {
            let (quoted, after) = rest.rfind("\", expected").map_or((rest, ""), |end| rest.split_at(end));
            return format!("{}{BEFORE}{}{}", self.message(before), self.pseudonym(quoted), self.message(after));
        }
        let mut out = String::with_capacity(text.len());
        let is_odd = text.matches('`').count() % 2 == 1;
        for (n, part) in text.split('`').enumerate() {
            // Where a backtick stands in what is quoted, nobody knows what is.
            let is_quoted = n % 2 == 1 || is_odd && n > 0;
            if n > 0 {
                out.push('`');
            }
            match (is_quoted, part) {
                (true, "") => {}
                (true, part) if QUOTED.contains(&part) => out.push_str(part),
                (true, part) => out.push_str(&self.known_shape(part).unwrap_or_else(|| self.pseudonym(part))),
                (false, part) => out.push_str(&self.text(part)),
            }
        }
        out
    }

    fn text(&mut self, text: &str) -> String {
        // Names with blanks and the like first: no word would show them.
        if let Some(phrase) = self.phrases.iter().find(|p| text.contains(p.as_str())).cloned() {
            let shown = if self.files.contains(&phrase) { self.file(&phrase) } else { self.pseudonym(&phrase) };
            return text.split(phrase.as_str()).map(|part| self.text(part)).collect::<Vec<_>>().join(&shown);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let word_end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(word_end);
            let next = after.find(is_word).unwrap_or(after.len());
            let (between, tail) = after.split_at(next);
            out.push_str(&self.word(word));
            out.push_str(between);
            rest = tail;
        }
        self.after_held_by(out)
    }

    /// The name of a process is a plain word that nothing else shows.
    fn after_held_by(&self, text: String) -> String {
        const MARK: &str = "held by ";
        let Some((before, rest)) = text.split_once(MARK) else { return text };
        let end = rest.find(" (pid").unwrap_or(rest.len());
        let (name, tail) = rest.split_at(end);
        if name.starts_with("n-") { text } else { format!("{before}{MARK}{}{tail}", self.pseudonym(name)) }
    }

    /// A run of letters, digits and what may stand inside a name.
    fn word(&mut self, word: &str) -> String {
        // An IPv6 address may end with colons, so it comes before they are taken for punctuation.
        if let Some(known) = self.known_shape(word) {
            return known;
        }
        let bare = word.trim_matches(['.', ':', '-', '/', '*', '~']);
        if bare.len() < word.len() {
            let Some(at) = word.find(bare).filter(|_| !bare.is_empty()) else { return word.to_owned() };
            let (head, rest) = word.split_at(at);
            let (middle, tail) = rest.split_at(bare.len());
            return format!("{head}{}{tail}", self.word(middle));
        }
        let (kinds, rest) = without_kinds(word);
        if !kinds.is_empty() && !rest.is_empty() {
            return format!("{kinds}{}", self.name(rest));
        }
        if self.files.contains(word) {
            return self.file(word);
        }
        if self.names.contains(word) {
            return self.name(word);
        }
        if is_kept(word) || TERMS.contains(&word) {
            return word.to_owned();
        }
        for separator in ['/', ':'] {
            if word.contains(separator) {
                return word.split(separator).map(|p| self.word(p)).collect::<Vec<_>>().join(&separator.to_string());
            }
        }
        if word.chars().all(char::is_alphabetic) || is_number(word) {
            return word.to_owned();
        }
        self.pseudonym(word)
    }

    /// The names of members stay; keys that are values do not.
    fn pointer(&mut self, pointer: &str) -> String {
        let token = |r: &mut Self, t: &str| {
            let is_member = t.chars().all(|c| c.is_ascii_alphabetic()) || t.bytes().all(|b| b.is_ascii_digit()) && t.len() < 12;
            if is_member && !r.names.contains(t) {
                return t.to_owned();
            }
            let plain = t.replace("~1", "/").replace("~0", "~");
            let shown = r.known_shape(&plain).unwrap_or_else(|| if is_member_word(&plain) { plain.clone() } else { r.pseudonym(&plain) });
            shown.replace('~', "~0").replace('/', "~1")
        };
        pointer.split('/').map(|t| token(self, t)).collect::<Vec<_>>().join("/")
    }

    fn mac(&self, mac: Mac) -> Mac {
        let Mac(octets) = mac;
        // Broadcast, nothing, and IPv4's multicast: nobody's.
        if mac.is_zero() || octets == [0xff; 6] || octets.starts_with(&[1, 0, 0x5e]) {
            return mac;
        }
        let digest = self.digest("mac", &mac.to_string());
        let mut out = octets;
        for (o, d) in out.iter_mut().zip(digest) {
            *o = d;
        }
        // Group and locally administered stay what they were.
        if let (Some(o), Some(was)) = (out.first_mut(), octets.first()) {
            *o = (*o & 0xfc) | (was & 3);
        }
        Mac(out)
    }

    fn net(&mut self, net: IpNet) -> String {
        let mapped = self.ip(net.addr());
        let is_network = net.addr() == net.network();
        match IpNet::new(mapped, net.prefix_len()) {
            Ok(m) if is_network => m.trunc().to_string(),
            Ok(m) => m.to_string(),
            Err(_) => mapped.to_string(),
        }
    }

    /// Two addresses have as many leading bits in common as before.
    fn ip(&mut self, ip: IpAddr) -> IpAddr {
        if let Some(known) = self.addresses.get(&ip) {
            return *known;
        }
        let mapped = match ip {
            IpAddr::V4(v4) => {
                let bits = u32::from(v4);
                let blocks = V4_BLOCKS.iter().map(|(n, l, k)| (u128::from(*n), *l, *k));
                let wide = self.flip(u128::from(bits), 32, &blocks.collect::<Vec<_>>(), "v4");
                IpAddr::V4(Ipv4Addr::from(u32::try_from(wide).unwrap_or(bits)))
            }
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => match self.ip(IpAddr::V4(v4)) {
                    IpAddr::V4(m) => IpAddr::V6(m.to_ipv6_mapped()),
                    other => other,
                },
                None => IpAddr::V6(Ipv6Addr::from(self.flip(u128::from(v6), 128, V6_BLOCKS, "v6"))),
            },
        };
        self.addresses.insert(ip, mapped);
        mapped
    }

    /// Each bit is flipped or not by what stands before it. Above a block that keeps its place nothing is.
    fn flip(&self, bits: u128, width: u32, blocks: &[(u128, u32, u32)], kind: &str) -> u128 {
        let top = |n: u128, length: u32| if length == 0 { 0 } else { n >> (width - length) };
        let inside = blocks.iter().find(|(n, length, _)| top(bits, *length) == top(*n, *length));
        let mut out = bits;
        for at in 0..width {
            let prefix = top(bits, at);
            let is_fixed = match inside {
                Some((_, _, kept)) => at < *kept,
                None => blocks.iter().any(|(n, length, _)| *length > at && top(*n, at) == prefix),
            };
            if is_fixed {
                continue;
            }
            let digest = self.digest(kind, &format!("{at}/{prefix:x}"));
            if digest.first().is_some_and(|b| b & 1 == 1) {
                out ^= 1 << (width - 1 - at);
            }
        }
        out
    }
}

/// The kinds that an id begins with, and the rest: `if:pod:`, `shop/orders-0/eth0`.
fn without_kinds(id: &str) -> (&str, &str) {
    let mut at = 0;
    while let Some(rest) = id.get(at..) {
        let Some((kind, _)) = rest.split_once(':') else { break };
        // `if:02:07:80:74:0a:26` is an address behind one kind.
        if !KINDS.contains(&kind) || rest.parse::<Mac>().is_ok() || rest.parse::<IpAddr>().is_ok() {
            break;
        }
        at += kind.len() + 1;
    }
    id.split_at(at)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/' | '@' | '%' | '~' | '*' | '#' | '+')
}

/// Names that every machine has.
fn is_kept(name: &str) -> bool {
    let digits = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    let is_interface = matches!(name, "lo" | "any" | "docker0" | "cni0" | "tunl0" | "kube-ipvs0" | "flannel.1" | "vxlan.calico" | "-")
        || ["eth", "ens", "eno", "en", "vlan.eth.", "net"].iter().any(|p| name.strip_prefix(p).is_some_and(digits))
        || name.strip_prefix("enp").and_then(|r| r.split_once('s')).is_some_and(|(a, b)| digits(a) && digits(b));
    // The report's own ids: of a path, evidence, a capture point, an input.
    let is_own = ["p", "e", "cp", "in"].iter().any(|p| name.strip_prefix(p).is_some_and(digits));
    is_interface || is_own || is_number(name)
}

/// `40`, `0.95`, `1,234`, `0x80`, `50%`, `41.5`: but not twelve digits, which are an account.
fn is_number(word: &str) -> bool {
    let hex = word.strip_prefix("0x").is_some_and(|h| !h.is_empty() && h.len() <= 8 && h.bytes().all(|b| b.is_ascii_hexdigit()));
    let plain = word.trim_start_matches(['+', '#']).trim_end_matches('%');
    let decimal = plain.bytes().all(|b| b.is_ascii_digit() || b == b'.') && plain.bytes().any(|b| b.is_ascii_digit());
    hex || decimal && plain.len() != 12 && plain.matches('.').count() <= 1
}

/// What the engine itself puts between backticks, in full: of what is quoted from an input nothing may stay because it begins like one.
const QUOTED: &[&str] = &[
    "-i any",
    "-o json",
    "7z x",
    "arp -n",
    "aws ec2 describe-flow-logs --query 'FlowLogs[].LogFormat' --output text",
    "aws logs filter-log-events --log-group-name GROUP",
    "bunzip2",
    "duckdb -c \"COPY 'IN.parquet' TO 'OUT.csv'\"",
    "editcap -F pcap IN OUT.pcap",
    "editcap -c 10000000 IN OUT",
    "hopscope collect",
    "hopscope digest",
    "ip route show table all",
    "ip rule",
    "kubectl get -A",
    "tcpdump -nne",
    "tcpdump -tt",
    "text2pcap IN OUT.pcap",
    "unlz4",
    "unrar x",
    "unxz",
];

/// What resources AWS calls by: first words of an ARN's last part, and the kinds of load balancers behind them.
const RESOURCES: &[&str] = &[
    "app",
    "elastic-ip",
    "gwy",
    "instance",
    "internet-gateway",
    "listener",
    "loadbalancer",
    "log-group",
    "natgateway",
    "net",
    "network-interface",
    "role",
    "route-table",
    "security-group",
    "subnet",
    "targetgroup",
    "user",
    "vpc",
    "vpc-endpoint",
    "vpc-flow-log",
];

/// A member's name with an underscore or digits in it, as iproute2 and AWS write them.
fn is_member_word(token: &str) -> bool {
    matches!(token, "addr_info" | "AvailableIPv4Cidrs" | "IPv6Cidrs" | "IPv4Addresses" | "IPv6Addresses" | "Ipv6Addresses" | "")
}
