//! Paths while more is being found out about them, kept small: of many conversations only the one at hand stands in memory as it is used.
//! Knows what a path has; must not know what it means.

use std::net::IpAddr;

use super::sealed::Sealed;
use super::{Hop, Leg, Logged, Path};
use crate::correlate::flows::Sighting;
use crate::digest::Tuple;
use crate::evidence::Ev;
use crate::model::{Mac, Protocol};
use crate::report::{Verdict, Way};
use crate::rows::{Reader, Row, Rows, Writer};

/// Every conversation's path.
#[derive(Debug, Default)]
pub struct Paths {
    rows: Rows<Path>,
    /// Where each stands in `rows`, once they have an order of their own.
    order: Option<Vec<u32>>,
}

impl Paths {
    pub(super) fn push(&mut self, path: &Path) {
        self.rows.push(path);
    }

    /// Changes each, before they have an order of their own.
    pub(super) fn change(&mut self, change: impl FnMut(&mut Path)) {
        self.rows.change(change);
    }

    /// Gives them an order; `order` has the places that they had.
    pub(crate) fn arrange(&mut self, order: Vec<u32>) {
        self.order = Some(order);
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<Path> {
        match &self.order {
            Some(order) => self.rows.get(*order.get(at)? as usize),
            None => self.rows.get(at),
        }
    }

    /// The legs of all of them, before they have an order of their own.
    pub(crate) fn legs(&self) -> impl Iterator<Item = Vec<Leg>> {
        self.rows.iter_as().map(|legs: Legs| legs.0)
    }

    /// Shows all of them, with their numbers, in their order: each in the room of the one before.
    pub fn each(&self, mut show: impl FnMut(usize, &Path)) {
        let mut n = 0;
        self.rows.each(self.order.as_deref(), |path| {
            show(n, path);
            n += 1;
        });
    }
}

/// What a path begins with.
struct Legs(Vec<Leg>);

impl Row for Legs {
    fn write(&self, to: &mut Writer<'_>) {
        write_legs(to, &self.0, &mut Entries::default());
    }

    fn read(from: &mut Reader<'_>) -> Self {
        Self(read_legs(from, &mut Entries::default()))
    }
}

fn write_legs(to: &mut Writer<'_>, legs: &[Leg], ev: &mut Entries) {
    to.list(legs, |to, leg| {
        write_tuple(to, &leg.tuple);
        to.number(leg.flow.map_or(0, |f| f as u64 + 1));
        ev.write(to, &leg.ev);
    });
}

fn read_legs(from: &mut Reader<'_>, ev: &mut Entries) -> Vec<Leg> {
    from.list(|from| Leg { tuple: read_tuple(from), flow: from.small::<usize>().checked_sub(1), ev: ev.read(from) })
}

impl Row for Path {
    fn write(&self, to: &mut Writer<'_>) {
        let mut ev = Entries::default();
        write_legs(to, &self.legs, &mut ev);
        to.list(&self.rewriters, |to, id| to.option(id.as_deref(), Writer::text));
        to.number(self.packets);
        to.number(self.bytes);
        to.list(&self.directions, |to, d| {
            to.flag(d.way == Way::Reply);
            to.list(&d.hops, |to, hop| write_hop(to, hop, &mut ev));
            to.list(&d.beyond, |to, hop| write_hop(to, hop, &mut ev));
            to.number(d.verdict as u64);
            to.option(d.lost_after, |to, n| to.number(n as u64));
            to.list(&d.silent, |to, (point, id)| {
                to.number(*point as u64);
                to.text(id);
            });
            to.option(d.looked_for, Writer::number);
            to.flag(d.arrived);
        });
    }

    fn read(from: &mut Reader<'_>) -> Self {
        let mut path = Self::default();
        path.read_again(from);
        path
    }

    fn read_again(&mut self, from: &mut Reader<'_>) {
        let mut ev = Entries::default();
        self.legs = read_legs(from, &mut ev);
        self.rewriters = from.list(|from| from.option(Reader::text));
        (self.packets, self.bytes) = (from.number(), from.number());
        let count = from.small::<usize>();
        while self.directions.len() > count {
            self.spare.extend(self.directions.pop());
        }
        self.directions.extend((self.directions.len()..count).map(|_| self.spare.pop().unwrap_or_default()));
        for d in &mut self.directions {
            d.way = if from.flag() { Way::Reply } else { Way::Request };
            from.list_again(&mut d.hops, |from, hop| read_hop(from, hop, &mut ev));
            from.list_again(&mut d.beyond, |from, hop| read_hop(from, hop, &mut ev));
            d.verdict = Verdict::numbered(from.number());
            d.lost_after = from.option(Reader::small);
            d.silent = from.list(|from| (from.small(), from.text()));
            d.looked_for = from.option(Reader::number);
            d.arrived = from.flag();
        }
    }
}

/// Entries of the book lie close together: each is told by its distance from the one before.
#[derive(Default)]
struct Entries(u32);

impl Entries {
    fn write(&mut self, to: &mut Writer<'_>, entries: &[Ev]) {
        to.list(entries, |to, ev| {
            to.signed(i64::from(ev.index()) - i64::from(self.0));
            self.0 = ev.index();
        });
    }

    fn read(&mut self, from: &mut Reader<'_>) -> Vec<Ev> {
        let mut entries = Vec::new();
        self.read_again(from, &mut entries);
        entries
    }

    fn read_again(&mut self, from: &mut Reader<'_>, entries: &mut Vec<Ev>) {
        entries.clear();
        for _ in 0..from.number() {
            self.0 = self.0.wrapping_add(from.signed() as u32);
            entries.push(Ev::at(self.0));
        }
    }
}

fn write_tuple(to: &mut Writer<'_>, t: &Tuple) {
    let protocol = match t.protocol {
        Protocol::Other(n) => u64::from(n) + 5,
        Protocol::Tcp => 0,
        Protocol::Udp => 1,
        Protocol::Icmp => 2,
        Protocol::Icmpv6 => 3,
        Protocol::Sctp => 4,
    };
    to.number(protocol);
    for (ip, port) in [(t.src, t.src_port), (t.dst, t.dst_port)] {
        write_ip(to, ip);
        to.number(port.into());
    }
}

fn write_ip(to: &mut Writer<'_>, ip: IpAddr) {
    to.flag(ip.is_ipv6());
    match ip {
        IpAddr::V4(ip) => to.octets(&ip.octets()),
        IpAddr::V6(ip) => to.octets(&ip.octets()),
    }
}

fn read_ip(from: &mut Reader<'_>) -> IpAddr {
    if from.flag() { from.octets::<16>().into() } else { from.octets::<4>().into() }
}

fn read_tuple(from: &mut Reader<'_>) -> Tuple {
    let protocol = match from.number() {
        0 => Protocol::Tcp,
        1 => Protocol::Udp,
        2 => Protocol::Icmp,
        3 => Protocol::Icmpv6,
        4 => Protocol::Sctp,
        n => Protocol::Other(u8::try_from(n - 5).unwrap_or(0)),
    };
    let mut end = || {
        let ip = read_ip(from);
        (ip, from.small())
    };
    let ((src, src_port), (dst, dst_port)) = (end(), end());
    Tuple { protocol, src, src_port, dst, dst_port }
}

/// What a hop has, a bit each: most have little of it, and every condition of its own would take an octet.
mod has {
    pub(super) const INTERFACE: u64 = 1;
    pub(super) const SRC_MAC: u64 = 1 << 1;
    pub(super) const DST_MAC: u64 = 1 << 2;
    pub(super) const TTL: u64 = 1 << 3;
    pub(super) const MISSING: u64 = 1 << 4;
    pub(super) const SAMPLE_POINT: u64 = 1 << 5;
    pub(super) const DELAY: u64 = 1 << 6;
    // Seldom.
    pub(super) const MISSING_RANGE: u64 = 1 << 7;
    pub(super) const DELAY_RANGE: u64 = 1 << 8;
    pub(super) const MIRRORED: u64 = 1 << 9;
    pub(super) const LOGGED: u64 = 1 << 10;
    pub(super) const SEALED: u64 = 1 << 11;
}

fn write_hop(to: &mut Writer<'_>, h: &Hop, ev: &mut Entries) {
    let bits = [
        (h.interface.is_some(), has::INTERFACE),
        (h.src_mac.is_some(), has::SRC_MAC),
        (h.dst_mac.is_some(), has::DST_MAC),
        (h.ttl.is_some(), has::TTL),
        ((h.missing, h.gone) != (0, 0), has::MISSING),
        (h.sample_point.is_some(), has::SAMPLE_POINT),
        (h.delay_ns.is_some(), has::DELAY),
        (h.missing_range.is_some(), has::MISSING_RANGE),
        (h.delay_range_ns.is_some(), has::DELAY_RANGE),
        (h.is_mirrored, has::MIRRORED),
        (h.logged.is_some(), has::LOGGED),
        (h.sealed.is_some(), has::SEALED),
    ];
    to.number(bits.into_iter().fold(0, |all, (has, bit)| if has { all | bit } else { all }));
    to.word(&h.owner);
    if let Some(interface) = &h.interface {
        to.word(interface);
    }
    to.number(h.leg as u64);
    to.list(&h.sightings, |to, s| {
        to.number((s.point as u64) << 1 | u64::from(s.forward));
        to.number(s.capture as u64);
        to.number(s.stream.into());
    });
    for mac in [h.src_mac, h.dst_mac].into_iter().flatten() {
        to.octets(&mac.0);
    }
    if let Some(ttl) = h.ttl {
        to.number(ttl.into());
    }
    to.number(h.seen);
    if (h.missing, h.gone) != (0, 0) {
        to.number(h.missing);
        to.number(h.gone);
    }
    if let Some(point) = h.sample_point {
        to.number(point as u64);
    }
    if let Some(delay) = h.delay_ns {
        to.signed(delay);
    }
    if let Some((low, high)) = h.missing_range {
        to.number(low);
        to.number(high);
    }
    if let Some((low, high)) = h.delay_range_ns {
        to.signed(low);
        to.signed(high);
    }
    match &h.logged {
        None => {}
        Some(Logged::Accepted) => to.flag(false),
        Some(Logged::Rejected { eni, is_by_acl, ev: records }) => {
            to.flag(true);
            to.text(eni);
            to.flag(*is_by_acl);
            ev.write(to, records);
        }
    }
    if let Some(s) = &h.sealed {
        to.flag(s.is_esp);
        to.flag(s.is_seen);
        write_ip(to, s.src);
        write_ip(to, s.dst);
    }
    to.share(h.p);
    ev.write(to, &h.ev);
}

fn read_hop(from: &mut Reader<'_>, h: &mut Hop, ev: &mut Entries) {
    let bits = from.number();
    let has = |bit: u64| bits & bit != 0;
    from.word_again(&mut h.owner);
    if has(has::INTERFACE) {
        from.word_again(h.interface.get_or_insert_default());
    } else {
        h.interface = None;
    }
    h.leg = from.small();
    h.sightings.clear();
    for _ in 0..from.number() {
        let point = from.small::<usize>();
        h.sightings.push(Sighting { point: point >> 1, forward: point & 1 == 1, capture: from.small(), stream: from.small() });
    }
    h.src_mac = if has(has::SRC_MAC) { Some(Mac(from.octets())) } else { None };
    h.dst_mac = if has(has::DST_MAC) { Some(Mac(from.octets())) } else { None };
    h.ttl = if has(has::TTL) { Some(from.small()) } else { None };
    h.seen = from.number();
    (h.missing, h.gone) = if has(has::MISSING) { (from.number(), from.number()) } else { (0, 0) };
    h.sample_point = if has(has::SAMPLE_POINT) { Some(from.small()) } else { None };
    h.delay_ns = if has(has::DELAY) { Some(from.signed()) } else { None };
    h.missing_range = if has(has::MISSING_RANGE) { Some((from.number(), from.number())) } else { None };
    h.delay_range_ns = if has(has::DELAY_RANGE) { Some((from.signed(), from.signed())) } else { None };
    h.is_mirrored = has(has::MIRRORED);
    h.logged = match has(has::LOGGED) {
        false => None,
        true if from.flag() => {
            let (eni, is_by_acl) = (from.text(), from.flag());
            Some(Logged::Rejected { eni, is_by_acl, ev: ev.read(from) })
        }
        true => Some(Logged::Accepted),
    };
    h.sealed = has(has::SEALED).then(|| Sealed { is_esp: from.flag(), is_seen: from.flag(), src: read_ip(from), dst: read_ip(from) });
    h.p = from.share();
    ev.read_again(from, &mut h.ev);
}
