//! Text of a host's commands → the line readers. One text may hold several commands' output, as a pasted terminal does, with
//! prompts, comments and blank lines between. Knows which line belongs to which; the readers know what it says.

use super::kubectl_text::{self, Description, Row, Table};
use super::{Import, MOST_FACTS, arp, conntrack, fdb, flow_log, ip, iptables, ipvs, nft, sockets, tcpdump};
use crate::facts::{Fact, HostInterface, Located, Route, Socket, VirtualServer};
use crate::model::{Locator, Note, count, quotable};
use crate::sniff::Format;

/// Past this many notes of one input, only their number is told.
const MAX_NOTES: usize = 50;

/// Lines beyond this are not looked at: what is longer is a log.
const MOST_LINES: u64 = 10_000_000;

/// No command prints longer lines: the longest real ones are verdict maps of nftables.
pub(crate) const LONGEST_LINE: usize = 1 << 20;

/// The format of which this line is a whole line, told without its neighbours.
pub(crate) fn format_of_line(line: &str) -> Option<Format> {
    let line = line.trim_end();
    if line.starts_with([' ', '\t']) {
        // Windows indents the rows of its ARP table.
        if arp::line(line).is_some() {
            return Some(Format::IpNeigh);
        }
        return ipvs::line(line).map(|_| Format::Ipvs);
    }
    if tcpdump::is_packet_line(line) {
        Some(Format::TcpdumpText)
    } else if flow_log::default_row(line).is_some() || flow_log::heading(line).is_some() || flow_log::is_unnamed(line) {
        Some(Format::FlowLog)
    } else if ipvs::is_heading(line) || ipvs::line(line).is_some() {
        Some(Format::Ipvs)
    } else if nft::table_line(line).is_some() || iptables::listed_chain(line).is_some() {
        Some(Format::Iptables)
    } else if sockets::line(line).is_some() {
        Some(Format::Sockets)
    } else if fdb::line(line).is_some() {
        Some(Format::BridgeFdb)
    } else if ip::interface_line(line).is_some() || ip::brief_line(line).is_some() || arp::ifconfig_line(line).is_some() {
        Some(Format::IpAddr)
    } else if ip::rule_line(line).is_some() {
        Some(Format::IpRule)
    } else if ip::neighbour_line(line).is_some() || arp::line(line).is_some() {
        Some(Format::IpNeigh)
    } else if ip::route_line(line).is_some() {
        Some(Format::IpRoute)
    } else if iptables::table_line(line).is_some() || iptables::rule_line(line, "").is_some() || iptables::is_chain_line(line) {
        Some(Format::Iptables)
    } else if conntrack::line(line).is_some() {
        Some(Format::Conntrack)
    } else if kubectl_text::heading(line).is_some_and(|t| kubectl_text::is_telling(&t)) || kubectl_text::description(1, line).is_some() {
        Some(Format::Kubectl)
    } else {
        None
    }
}

/// An interface whose indented lines are still to come.
struct Open {
    line: u64,
    interface: HostInterface,
    is_ifconfig: bool,
}

struct Reader {
    import: Import,
    open: Option<Open>,
    /// The last route, whose next hops may follow, and where in the facts it stands.
    route: Option<(Route, usize)>,
    table: String,
    /// The chain that `iptables -L` lists, once its name was read.
    listed: Option<String>,
    /// The table that the command on the terminal asked for.
    asked: String,
    rules: nft::Ruleset,
    /// The virtual server whose real ones follow, and its line.
    server: Option<(u64, VirtualServer)>,
    /// A socket whose details may follow, and its line.
    socket: Option<(u64, Socket)>,
    /// kubectl's table whose rows are being read.
    sheet: Option<Table>,
    /// What the columns of a VPC Flow Log are, from its header line on.
    columns: Option<flow_log::Columns>,
    log: flow_log::Log,
    /// kubectl's description of an object that is being read.
    description: Option<Description>,
    notes_left_out: usize,
    facts_left_out: u64,
}

/// Reads every line that one of the commands prints.
///
/// A last line without its end is read like the others: whoever pastes a terminal leaves the end off, and that is far more
/// frequent than a file that is cut there. It can name an address that is too short only where the cut leaves a whole line.
pub(crate) fn import(text: &str) -> Import {
    let mut reader = Reader {
        import: Import::default(),
        open: None,
        route: None,
        table: String::new(),
        listed: None,
        asked: String::new(),
        rules: nft::Ruleset::default(),
        server: None,
        socket: None,
        sheet: None,
        columns: None,
        log: flow_log::Log::default(),
        description: None,
        notes_left_out: 0,
        facts_left_out: 0,
    };
    let mut last = 0;
    let indent = indent(text);
    for (number, line) in (1..).zip(text.lines()) {
        if number > MOST_LINES {
            reader.import.notes.push(Note::loss(format!("only its first {MOST_LINES} lines were read: split it into several inputs")));
            break;
        }
        last = number;
        if line.len() > LONGEST_LINE {
            reader.damaged(number, "is longer than any command prints, and passed over");
            continue;
        }
        reader.line(number, line.get(indent..).unwrap_or_default().trim_end());
    }
    reader.close();
    let is_log = reader.log.has_rows() || reader.columns.is_some();
    let (flows, notes) = std::mem::take(&mut reader.log).finish();
    reader.import.facts.extend(flows.into_iter().map(|(at, fact)| Located { at, fact }));
    reader.import.notes.extend(notes);
    kubectl_text::mark_host_network(&mut reader.import.facts);
    if reader.import.facts.is_empty() && !is_log && !reader.import.notes.iter().any(|n| n.is_loss) {
        let lines =
            if last == 1 { "its only line is from no command".to_owned() } else { format!("none of its {last} lines is from a command") };
        reader.import.notes.push(Note::loss(format!("{lines} that is read; `hopscope collect` prints commands that are")));
    }
    if reader.facts_left_out > 0 {
        let message = super::too_many(reader.facts_left_out);
        reader.import.notes.push(Note::loss(message));
    }
    if reader.notes_left_out > 0 {
        reader.import.notes.push(Note::loss(format!("and {} more like these", count(reader.notes_left_out as u64, "line"))));
    }
    reader.import
}

/// The white space that every line begins with, as in a text quoted from a document.
pub(crate) fn indent(text: &str) -> usize {
    let lines = text.lines().filter(|l| !l.trim().is_empty());
    lines.map(|l| l.bytes().take_while(|b| *b == b' ').count()).min().unwrap_or(0)
}

impl Reader {
    fn line(&mut self, number: u64, line: &str) {
        if line.is_empty() {
            self.sheet = None;
            self.listed = None;
            return;
        }
        if self.rules.is_open() || nft::table_line(line).is_some() {
            if !self.rules.is_open() {
                self.close();
            }
            for rule in self.rules.line(line) {
                self.push(number, Fact::Iptables(rule));
            }
            return;
        }
        if self.tables_of_host(number, line) {
            return;
        }
        if self.flow_log(number, line) {
            return;
        }
        if let Some(description) = &mut self.description {
            if description.line(line) {
                return;
            }
            self.close();
        }
        if let Some(table) = kubectl_text::heading(line) {
            self.close();
            if table.is_without_namespace() {
                let message =
                    format!("line {number}: the table has no NAMESPACE column; `default` is assumed (`kubectl get -A` prints it)");
                self.import.notes.push(Note::info(message));
            }
            self.sheet = Some(table);
            return;
        }
        if let Some(table) = &self.sheet {
            match table.row(line) {
                Row::Read(facts, fault) => {
                    for fact in facts {
                        self.push(number, fact);
                    }
                    if let Some(fault) = fault {
                        self.damaged(number, fault);
                    }
                    return;
                }
                Row::End => self.sheet = None,
            }
        }
        if let Some(description) = kubectl_text::description(number, line) {
            self.close();
            self.description = Some(description);
            return;
        }
        if line.starts_with([' ', '\t']) && self.indented(number, line) {
            return;
        }
        if let Some(interface) = ip::interface_line(line) {
            return self.start(number, interface, false);
        }
        if let Some(interface) = arp::ifconfig_line(line) {
            return self.start(number, interface, true);
        }
        if !line.starts_with([' ', '\t']) {
            self.close();
        }
        let fact = if let Some(interface) = ip::brief_line(line) {
            Some(Fact::HostInterface(interface))
        } else if let Some(rule) = ip::rule_line(line) {
            Some(Fact::Rule(rule))
        } else if let Some(neighbour) = ip::neighbour_line(line).or_else(|| arp::line(line)) {
            Some(Fact::Neighbour(neighbour))
        } else if let Some(route) = ip::route_line(line) {
            self.route = Some((route.clone(), self.import.facts.len()));
            Some(Fact::Route(route))
        } else if let Some(rule) = iptables::rule_line(line, &self.table) {
            Some(Fact::Iptables(rule))
        } else if let Some(entry) = fdb::line(line) {
            Some(Fact::Fdb(entry))
        } else {
            conntrack::line(line).map(Fact::Conntrack)
        };
        if !matches!(fact, Some(Fact::Route(_))) {
            self.route = None;
        }
        if let Some(fact) = fact {
            return self.push(number, fact);
        }
        if let Some(table) = iptables::table_line(line) {
            self.table = table.to_owned();
        } else if arp::is_row_with_name(line) {
            self.damaged(number, "has a name where an address is needed; `arp -n` prints addresses");
        } else {
            self.unknown(number, line);
        }
    }

    /// Whether the line is one of `iptables -L`, `ipvsadm` or `ss`, which have rows below one another.
    fn tables_of_host(&mut self, number: u64, line: &str) -> bool {
        if let Some(chain) = iptables::listed_chain(line) {
            self.close();
            self.listed = Some(chain.to_owned());
            return true;
        }
        if let Some(chain) = &self.listed {
            if iptables::is_listed_heading(line) {
                return true;
            }
            if let Some(rule) = iptables::listed_rule(line, chain, &self.asked) {
                self.push(number, Fact::Iptables(rule));
                return true;
            }
            self.listed = None;
        }
        if let Some(table) = iptables::table_of_command(line) {
            table.clone_into(&mut self.asked);
        }
        match ipvs::line(line) {
            Some(ipvs::Line::Virtual(server)) => {
                self.close();
                self.server = Some((number, server));
                return true;
            }
            Some(ipvs::Line::Real(of, real)) => {
                let is_same = |s: &VirtualServer| of.is_none_or(|o| o == (s.protocol, s.ip, s.port));
                if let Some((_, server)) = self.server.as_mut().filter(|(_, s)| is_same(s)) {
                    server.servers.push(real);
                }
                return true;
            }
            None => {}
        }
        if let Some((_, socket)) = self.socket.as_mut().filter(|_| line.starts_with([' ', '\t'])) {
            sockets::detail(socket, line);
            return true;
        }
        if let Some(socket) = sockets::line(line) {
            self.close();
            self.socket = Some((number, socket));
            return true;
        }
        false
    }

    /// Whether the line is a flow log's header or one of its records.
    fn flow_log(&mut self, number: u64, line: &str) -> bool {
        if let Some(columns) = &self.columns {
            if columns.fault().is_some() && line.starts_with(|c: char| c.is_ascii_digit() || c == '"' || c == 'e') {
                return true;
            }
            if let Some(row) = columns.row(line) {
                self.log.take(Locator::Line(number), row);
                return true;
            }
        }
        if let Some(columns) = flow_log::heading(line) {
            if let Some(fault) = columns.fault() {
                self.damaged(number, fault);
            }
            self.columns = Some(columns);
            return true;
        }
        if let Some(row) = flow_log::default_row(line) {
            self.log.take(Locator::Line(number), row);
            return true;
        }
        if self.columns.is_some() && line.contains("eni-") {
            self.damaged(number, "is not a whole record of the log");
            return true;
        }
        if flow_log::is_unnamed(line) {
            self.log.unnamed(Locator::Line(number));
            return true;
        }
        false
    }

    /// `false`: the line belongs to nothing above it.
    fn indented(&mut self, number: u64, line: &str) -> bool {
        if let Some(open) = &mut self.open {
            let detail = if open.is_ifconfig {
                arp::ifconfig_detail(&mut open.interface, line)
            } else {
                ip::interface_detail(&mut open.interface, line)
            };
            if detail == ip::Detail::Damaged {
                self.damaged(number, "has no address that can be read");
            }
            return true;
        }
        let Some((route, at)) = &self.route else { return false };
        let Some(hop) = ip::nexthop_line(line, route) else { return false };
        // The route itself names no way; its next hops do, and stand in its place.
        let is_bare = route.via.is_none() && route.dev.is_none();
        if is_bare && *at + 1 == self.import.facts.len() && self.import.facts.last().is_some_and(|f| f.fact == Fact::Route(route.clone())) {
            self.import.facts.pop();
        }
        self.push(number, Fact::Route(hop));
        true
    }

    fn start(&mut self, line: u64, interface: HostInterface, is_ifconfig: bool) {
        self.close();
        self.open = Some(Open { line, interface, is_ifconfig });
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.push(open.line, Fact::HostInterface(open.interface));
        }
        if let Some((line, server)) = self.server.take() {
            self.push(line, Fact::VirtualServer(server));
        }
        if let Some((line, socket)) = self.socket.take() {
            self.push(line, Fact::Socket(socket));
        }
        if let Some(description) = self.description.take() {
            self.import.facts.extend(description.finish());
        }
    }

    fn push(&mut self, line: u64, fact: Fact) {
        if self.import.facts.len() >= MOST_FACTS {
            self.facts_left_out = self.facts_left_out.saturating_add(1);
            return;
        }
        self.import.facts.push(Located { at: Locator::Line(line), fact });
    }

    /// A line that looks like one of a command's and cannot be read. Prompts, comments and headings are none.
    fn unknown(&mut self, number: u64, line: &str) {
        let first = line.split_whitespace().next().unwrap_or_default();
        let is_like_a_row = ip::prefix(first).is_some()
            || first == "default" && line.contains(" via")
            || line.starts_with("-A ")
            || line.contains(" src=") && line.contains(" dst=")
            || first.strip_suffix(':').is_some_and(|n| n.parse::<u32>().is_ok());
        if is_like_a_row && !line.split_whitespace().any(|w| w == "uid") {
            let shown = quotable(line.trim());
            self.damaged(number, &format!("is not understood: `{shown}`"));
        }
    }

    fn damaged(&mut self, number: u64, what: &str) {
        if self.import.notes.len() < MAX_NOTES {
            self.import.notes.push(Note::loss(format!("line {number} {what}")));
        } else {
            self.notes_left_out += 1;
        }
    }
}
