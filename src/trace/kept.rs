//! Paths while more is being found out about them, kept small: of many conversations only the one at hand stands in memory as it is used.
//! Knows what a path has; must not know what it means.

use std::net::IpAddr;

use super::{Direction, Hop, Leg, Logged, Path};
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

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Path> {
        let (ordered, others) = match &self.order {
            Some(order) => (Some(order.iter().filter_map(|at| self.rows.get(*at as usize))), None),
            None => (None, Some(self.rows.iter())),
        };
        ordered.into_iter().flatten().chain(others.into_iter().flatten())
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
        let mut ev = Entries::default();
        let legs = read_legs(from, &mut ev);
        let rewriters = from.list(|from| from.option(Reader::text));
        let (packets, bytes) = (from.number(), from.number());
        let directions = from.list(|from| Direction {
            way: if from.flag() { Way::Reply } else { Way::Request },
            hops: from.list(|from| read_hop(from, &mut ev)),
            verdict: Verdict::numbered(from.number()),
            lost_after: from.option(Reader::small),
            silent: from.list(|from| (from.small(), from.text())),
            looked_for: from.option(Reader::number),
            arrived: from.flag(),
        });
        Self { legs, rewriters, packets, bytes, directions }
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
        from.list(|from| {
            self.0 = self.0.wrapping_add(from.signed() as u32);
            Ev::at(self.0)
        })
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
        to.flag(ip.is_ipv6());
        match ip {
            IpAddr::V4(ip) => to.octets(&ip.octets()),
            IpAddr::V6(ip) => to.octets(&ip.octets()),
        }
        to.number(port.into());
    }
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
        let ip: IpAddr = if from.flag() { from.octets::<16>().into() } else { from.octets::<4>().into() };
        (ip, from.small())
    };
    let ((src, src_port), (dst, dst_port)) = (end(), end());
    Tuple { protocol, src, src_port, dst, dst_port }
}

fn write_hop(to: &mut Writer<'_>, h: &Hop, ev: &mut Entries) {
    to.word(&h.owner);
    to.option(h.interface.as_deref(), Writer::word);
    to.number(h.leg as u64);
    to.list(&h.sightings, |to, s| {
        to.number((s.point as u64) << 1 | u64::from(s.forward));
        to.number(s.capture as u64);
        to.number(s.stream.into());
    });
    for mac in [h.src_mac, h.dst_mac] {
        to.option(mac, |to, mac| to.octets(&mac.0));
    }
    to.option(h.ttl, |to, ttl| to.number(ttl.into()));
    for count in [h.seen, h.missing, h.gone] {
        to.number(count);
    }
    let pair = |to: &mut Writer<'_>, (low, high): (u64, u64)| [low, high].into_iter().for_each(|n| to.number(n));
    to.option(h.missing_range, pair);
    to.option(h.delay_ns, Writer::signed);
    to.option(h.delay_range_ns, |to, (low, high)| [low, high].into_iter().for_each(|n| to.signed(n)));
    to.option(h.sample_point, |to, n| to.number(n as u64));
    to.flag(h.is_mirrored);
    to.option(h.logged.as_ref(), |to, logged| match logged {
        Logged::Accepted => to.flag(false),
        Logged::Rejected { eni, is_by_acl, ev: records } => {
            to.flag(true);
            to.text(eni);
            to.flag(*is_by_acl);
            ev.write(to, records);
        }
    });
    to.share(h.p);
    ev.write(to, &h.ev);
}

fn read_hop(from: &mut Reader<'_>, ev: &mut Entries) -> Hop {
    let (owner, interface, leg) = (from.word(), from.option(Reader::word), from.small());
    let sightings = from.list(|from| {
        let point = from.small::<usize>();
        Sighting { point: point >> 1, forward: point & 1 == 1, capture: from.small(), stream: from.small() }
    });
    let mut mac = || from.option(|from| Mac(from.octets()));
    let (src_mac, dst_mac) = (mac(), mac());
    let ttl = from.option(Reader::small);
    let [seen, missing, gone] = [0; 3].map(|_: u8| from.number());
    Hop {
        owner,
        interface,
        leg,
        sightings,
        src_mac,
        dst_mac,
        ttl,
        seen,
        missing,
        gone,
        missing_range: from.option(|from| (from.number(), from.number())),
        delay_ns: from.option(Reader::signed),
        delay_range_ns: from.option(|from| (from.signed(), from.signed())),
        sample_point: from.option(Reader::small),
        is_mirrored: from.flag(),
        logged: from.option(|from| {
            if from.flag() {
                let (eni, is_by_acl) = (from.text(), from.flag());
                Logged::Rejected { eni, is_by_acl, ev: ev.read(from) }
            } else {
                Logged::Accepted
            }
        }),
        p: from.share(),
        ev: ev.read(from),
    }
}
