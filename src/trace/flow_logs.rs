//! VPC Flow Logs laid over the hops at ENIs: what the VPC accepted and rejected there.
//! Knows records and hops; must not take a record for a captured packet, nor a missing one for a packet that was not there:
//! AWS aggregates records, delays them, and skips some.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::{Context, Direction, Hop, Logged, Path};
use crate::confidence;
use crate::digest::{NO_TIME, Tuple};
use crate::evidence::{Book, Ev, Place};
use crate::facts::FlowLog;
use crate::identify::inventory::{EniInfo, Id, Inventory, interface_id};
use crate::model::{Nanos, Protocol};
use crate::report::Way;

/// A record's time is up to a minute after its packets' (Amazon VPC User Guide, `start`, `end`).
const LATE_S: i64 = 60;

/// Printed captures without dates count from midnight of no particular day: such times can't be compared with AWS's.
const NO_DATE: Nanos = 2 * 86_400 * 1_000_000_000;

/// How many records one statement names.
const NAMED: usize = 4;

/// The ENIs that a hop may be: by interface, and by owner for what has no interfaces of its own.
pub(super) struct Places<'a> {
    by_interface: BTreeMap<Id, &'a EniInfo>,
    by_owner: BTreeMap<&'a str, Vec<&'a EniInfo>>,
    /// Of each ENI, the records with these ports: a log has as many records as there were connections.
    by_ports: BTreeMap<(&'a str, Ports), Vec<&'a (FlowLog, Place)>>,
}

/// Protocol, source port, destination port.
type Ports = (Protocol, Option<u16>, Option<u16>);

impl<'a> Places<'a> {
    /// `None`: there is no flow log, so nothing is to be done for any path.
    pub(super) fn of(inv: &'a Inventory) -> Option<Self> {
        if inv.flow_logs.is_empty() {
            return None;
        }
        let mut places = Self { by_interface: BTreeMap::new(), by_owner: BTreeMap::new(), by_ports: BTreeMap::new() };
        for (eni, records) in &inv.flow_logs {
            for x in records {
                places.by_ports.entry((eni, (x.0.protocol, x.0.src_port, x.0.dst_port))).or_default().push(x);
            }
        }
        for e in inv.enis.values().filter(|e| inv.flow_logs.contains_key(&e.id)) {
            places.by_interface.insert(interface_id(&e.owner, &inv.eni_name(e)), e);
            places.by_owner.entry(&e.owner).or_default().push(e);
        }
        Some(places)
    }

    /// The records of an ENI that may be of a tuple.
    fn records(&self, inv: &'a Inventory, eni: &'a EniInfo, t: Tuple) -> Vec<&'a (FlowLog, Place)> {
        let has_ports = matches!(t.protocol, Protocol::Tcp | Protocol::Udp | Protocol::Sctp);
        if has_ports && t.src_port != 0 && t.dst_port != 0 {
            let ports = (t.protocol, Some(t.src_port), Some(t.dst_port));
            return self.by_ports.get(&(eni.id.as_str(), ports)).cloned().unwrap_or_default();
        }
        inv.flow_logs.get(&eni.id).into_iter().flatten().collect()
    }

    fn at(&self, hop: &Hop) -> Vec<&'a EniInfo> {
        match &hop.interface {
            Some(i) => self.by_interface.get(i).copied().into_iter().collect(),
            None => self.by_owner.get(hop.owner.as_str()).cloned().unwrap_or_default(),
        }
    }
}

/// Whether a record is of these addresses, as its ENI sees them.
#[must_use]
pub fn is_of(inv: &Inventory, eni: &EniInfo, r: &FlowLog, t: Tuple) -> bool {
    if r.protocol != t.protocol {
        return false;
    }
    let has_ports = matches!(t.protocol, Protocol::Tcp | Protocol::Udp | Protocol::Sctp);
    // Port 0 of a tuple is one that cannot be known.
    let port = |logged: Option<u16>, port: u16| !has_ports || port == 0 || logged == Some(port);
    let knows_a_port = !has_ports || t.src_port != 0 || t.dst_port != 0;
    // Of an ENI's own address, `srcaddr` and `dstaddr` name the primary one, whichever the packet had.
    let own = |logged: IpAddr, ip: IpAddr| eni.primary == Some(logged) && inv.eni_of_ip(ip).is_some_and(|e| e.id == eni.id);
    let address = |packet: Option<IpAddr>, logged: IpAddr, ip: IpAddr| packet.map_or(logged == ip || own(logged, ip), |p| p == ip);
    knows_a_port
        && port(r.src_port, t.src_port)
        && port(r.dst_port, t.dst_port)
        && address(r.packet_src, r.src, t.src)
        && address(r.packet_dst, r.dst, t.dst)
}

/// When a path's packets were captured, in seconds: first and last.
fn span(ctx: Context<'_>, path: &Path) -> Option<(i64, i64)> {
    let sightings = path.directions.iter().flat_map(|d| &d.hops).flat_map(|h| &h.sightings);
    let streams = sightings.filter_map(|s| ctx.stream(s));
    let (first, last) = streams
        .filter(|s| s.first_ns != NO_TIME && s.first_ns >= NO_DATE)
        .fold((Nanos::MAX, Nanos::MIN), |(f, l), s| (f.min(s.first_ns), l.max(s.last_ns)));
    (first <= last).then(|| (first.div_euclid(1_000_000_000), last.div_euclid(1_000_000_000)))
}

/// What a record says, in words that stand in it.
#[must_use]
pub fn statement(r: &FlowLog) -> String {
    let action = if r.is_accepted { "ACCEPT" } else { "REJECT" };
    let end = |ip: IpAddr, port: Option<u16>| match port.filter(|_| matches!(r.protocol, Protocol::Tcp | Protocol::Udp | Protocol::Sctp)) {
        Some(port) => SocketAddr::new(ip, port).to_string(),
        None => ip.to_string(),
    };
    let way = match r.is_egress {
        Some(true) => ", outgoing",
        Some(false) => ", incoming",
        None => "",
    };
    let packet = match (r.packet_src, r.packet_dst) {
        (Some(s), Some(d)) if (s, d) != (r.src, r.dst) => format!(", of packets {s} → {d}"),
        _ => String::new(),
    };
    let count = if r.packets == 1 { "1 packet".to_owned() } else { format!("{} packets", r.packets) };
    format!(
        "the flow log of {} has {action} for {count} {} {} → {}{packet}{way}",
        r.eni,
        r.protocol.name(),
        end(r.src, r.src_port),
        end(r.dst, r.dst_port)
    )
}

/// Enters what the logs say of a path's hops. Records that were used are remembered: what is rejected elsewhere is told apart.
pub(super) fn lay(ctx: Context<'_>, path: &mut Path, places: &Places<'_>, book: &mut Book) {
    let span = span(ctx, path);
    let tuples: Vec<Tuple> = path.legs.iter().map(|l| l.tuple).collect();
    for d in &mut path.directions {
        let way = d.way;
        for h in &mut d.hops {
            let legs: Vec<Tuple> = match h.interface {
                Some(_) => tuples.get(h.leg).copied().into_iter().collect(),
                None => tuples.clone(),
            };
            let legs = legs.into_iter().map(|t| if way == Way::Request { t } else { t.reversed() });
            let legs: Vec<Tuple> = legs.collect();
            for eni in places.at(h) {
                hop(ctx, h, eni, &legs, span, places, book);
            }
        }
        contradicted(d);
    }
}

fn hop(ctx: Context<'_>, h: &mut Hop, eni: &EniInfo, legs: &[Tuple], span: Option<(i64, i64)>, places: &Places<'_>, book: &mut Book) {
    let in_time =
        |r: &FlowLog| span.is_none_or(|(first, last)| r.start_s.saturating_sub(LATE_S) <= last && first <= r.end_s.saturating_add(LATE_S));
    let of = |t: Tuple| {
        let records = places.records(ctx.inv, eni, t).into_iter();
        records.filter(|(r, _)| in_time(r) && is_of(ctx.inv, eni, r, t)).collect::<Vec<_>>()
    };
    let found: Vec<&(FlowLog, Place)> = legs.iter().flat_map(|t| of(*t)).collect();
    if found.is_empty() {
        return;
    }
    // The same packets both ways: a rule that changed, or a list that some fragment missed. Then something did pass.
    let accepted = found.iter().any(|(r, _)| r.is_accepted);
    let named = found.iter().filter(|(r, _)| r.is_accepted == accepted).take(NAMED);
    let mut ev: Vec<Ev> = named.map(|(r, at)| book.add("flow_log", statement(r), vec![at.clone()])).collect();
    if accepted {
        h.logged = Some(Logged::Accepted);
    } else {
        let back: Vec<&(FlowLog, Place)> = legs.iter().flat_map(|t| of(t.reversed())).filter(|(r, _)| r.is_accepted).take(1).collect();
        ev.extend(back.iter().map(|(r, at)| book.add("flow_log", statement(r), vec![at.clone()])));
        h.logged = Some(Logged::Rejected { eni: eni.id.clone(), is_by_acl: !back.is_empty(), ev: ev.clone() });
    }
    for e in ev {
        if !h.ev.contains(&e) {
            h.ev.push(e);
        }
    }
    if !h.observed() && h.p < 1.0 {
        h.p = confidence::probability(h.p / (1.0 - h.p) * confidence::FLOW_LOG).min(confidence::needed::MOST);
    }
}

/// A rejection that packets seen further on refute is of other packets of the same flow: it stays as evidence and decides nothing.
fn contradicted(d: &mut Direction) {
    for n in 0..d.hops.len() {
        let beyond = d.hops.iter().skip(n + 1).any(|h| h.observed() || matches!(h.logged, Some(Logged::Accepted)));
        if let Some(h) = d.hops.get_mut(n).filter(|_| beyond)
            && matches!(h.logged, Some(Logged::Rejected { .. }))
        {
            h.logged = None;
        }
    }
}
