//! How much each kind of evidence weighs: one table of likelihood ratios, and how they add up.
//! Knows no packet and no entity.
//!
//! A likelihood ratio says how many times more often the evidence is seen when the claim is true than when it is false.
//! Independent evidence adds in log-odds; `tests/engine_properties.rs` checks that the resulting probabilities are right as often as they say.

/// The address of an ENI is in every unicast frame of the capture: only that ENI sees every one of its own frames, and
/// elsewhere only a peer that talks to nobody else would.
pub const OWN_MAC_IN_EVERY_FRAME: f64 = 400.0;
/// The same, but another known ENI is in every frame too (two hosts that talk only to one another).
pub const SHARED_MAC_IN_EVERY_FRAME: f64 = 1.0;
/// One pod's address in every frame, always behind the same MAC.
pub const POD_IP_IN_EVERY_FRAME: f64 = 60.0;
/// What the pod sends has a TTL that operating systems start with (32, 64, 128, 255), what it gets has not.
pub const TTL_STARTS_HERE: f64 = 40.0;
/// The reverse of that.
pub const TTL_STARTS_ELSEWHERE: f64 = 0.02;
/// Nothing that the pod sends has such a TTL here: a host has taken from it on the way, unless the pod sets its own.
pub const NO_TTL_STARTS_HERE: f64 = 0.005;
/// An interface name that the capture program wrote into the file.
pub const INTERFACE_NAME: f64 = 60.0;
/// A file name that contains the name: people rename, copy and mistype.
pub const FILE_NAME: f64 = 12.0;
/// A file name with a word such as `pod` or `node`, where the content leaves both ends of a link open.
pub const FILE_NAME_WORD: f64 = 4.0;
/// An interface index that `ip link` of that host explains.
pub const INTERFACE_INDEX: f64 = 200.0;
/// The same packets, consistently earlier at one end of a veth pair than at the other.
pub const TIME_ORDER: f64 = 15.0;
/// A record of that ENI's flow log with the same addresses and ports in the same minutes: port numbers come back within hours, not minutes.
pub const FLOW_LOG: f64 = 100.0;
/// What lies between the quickest answers of a pod's kernel at the pod's end of its link and those at the other end: of a SYN, of a
/// SYN-ACK, of data. Geometric means of both ends' means, over 399 captures of links on Linux 6 with veth pairs.
pub const ANSWER_NS: [i64; 3] = [16_500, 13_800, 11_400];
/// That a capture of a pod's link is of the pod's own end, by the quickest answer of the pod's kernel there, in thousandths of
/// [`ANSWER_NS`] times the cube root of the number of answers (of more, the quickest is quicker): below each limit, so many times
/// likelier. On one machine it tells four fifths and more: of 183 captures of pods' ends and 216 of others, below 0.9 there are 78 and 2,
/// to 1.2 51 and 12, to 1.5 32 and 42, above 22 and 160, on each half of them alike. But machines differ by as much as the ends do:
/// on another, below 0.9 11 and 6, to 1.2 3 and 6, above 1 and 9. Hence far less than the first machine alone would say; and a kernel
/// that takes very long was kept from answering, which says nothing.
pub const OWN_END_BY_ANSWER: [(i64, f64); 6] = [(500, 5.0), (900, 3.0), (1_200, 1.2), (1_500, 0.7), (2_000, 0.4), (8_000, 0.25)];
/// That a capture whose packets have no link layer is of an Ethernet device: only a program that took the headers off would make one.
pub const NO_LINK_LAYER: f64 = 300.0;
/// Captures of a pod's link are more often taken on the node than in the pod: the node has tcpdump.
pub const PRIOR_NODE_SIDE: f64 = 1.3;
/// Fewer people capture at a bridge than at its port, and there one pod is seldom alone.
pub const PRIOR_BRIDGE: f64 = 0.4;
/// That a pod dialled another's address itself and not that of a service, where its own link was not captured and no inventory
/// tells services apart: most clients dial names, and most names are services'; a headless one, or a probe, leads to the pod.
pub const DIALLED_UNSEEN: f64 = 0.75;
/// What is left of a claim that a person has overruled: the weaker side of a contradiction stays visible.
pub const OVERRULED: f64 = 0.05;

/// The ratio of [`OWN_END_BY_ANSWER`] for a quickest answer, in thousandths of the usual, and a number of answers.
#[must_use]
pub fn own_end(least: i64, count: u32) -> f64 {
    // Cubes in integers instead of a root: the same on every machine.
    let cube = |x: i64| i128::from(x).saturating_pow(3);
    let value = cube(least).saturating_mul(i128::from(count));
    OWN_END_BY_ANSWER.iter().find(|(limit, _)| value < cube(*limit)).map_or(1.0, |x| x.1)
}

/// Odds of 1: nothing known either way.
#[must_use]
pub fn probability(odds: f64) -> f64 {
    round(odds / (1.0 + odds))
}

/// Each of several independent conditions holds.
#[must_use]
pub fn all(probabilities: impl IntoIterator<Item = f64>) -> f64 {
    round(probabilities.into_iter().product())
}

/// Three decimals: more would pretend, and would differ where floating point does.
#[must_use]
pub fn round(p: f64) -> f64 {
    ((p.clamp(0.0, 1.0) * 1000.0) + 0.5).floor() / 1000.0
}

/// That one connection is continued by another behind a proxy. Each weight is for one message behind and one connection in front.
pub mod relay {
    /// Of a thousand pairs of connections that one could think of, one is one.
    pub const PRIOR: f64 = 0.001;
    /// The one ends at the address, or at the owner of the address, from which the other begins.
    pub const SAME_PROXY: f64 = 100.0;
    /// Nothing says whose one of the addresses is: a balancer may have several.
    pub const UNKNOWN_PROXY: f64 = 0.3;
    /// Two known owners: no proxy between them.
    pub const OTHER_PROXY: f64 = 0.0001;
    /// The first 24 octets agree: a protocol's greeting often does.
    pub const SAME_BEGINNING: f64 = 8.0;
    /// Method, target and host agree.
    pub const SAME_REQUEST: f64 = 40.0;
    /// 128 octets, or a whole message, agree.
    pub const SAME_CONTENT: f64 = 200.0;
    /// A message behind that is not among the first in front.
    pub const OTHER_CONTENT: f64 = 0.05;
    /// An identifier of at least 16 characters agrees.
    pub const SAME_TRACE: f64 = 3000.0;
    /// The client's address and port stand in a PROXY protocol header.
    pub const PROXY_HEADER: f64 = 30_000.0;
    /// Another address and port do.
    pub const OTHER_PROXY_HEADER: f64 = 0.0001;
    /// The client's address stands in X-Forwarded-For; one client has many connections.
    pub const FORWARDED_FOR: f64 = 30.0;
    /// Another address does: translated on the way, or another's request.
    pub const OTHER_FORWARDED_FOR: f64 = 0.01;
    /// Passed on before it came, by clocks that are known to agree.
    pub const AGAINST_TIME: f64 = 0.001;
    /// Passed on at once; half as likely after [`USUAL_DELAY_NS`], and so on.
    pub const AT_ONCE: f64 = 8.0;
    /// What a proxy usually takes to pass a message on.
    pub const USUAL_DELAY_NS: f64 = 5_000_000.0;
    /// At about the same time, by clocks that nothing compares.
    pub const ABOUT_THEN: f64 = 2.0;
    /// Much later.
    pub const LATE: f64 = 0.05;
    /// Less sure than this is not told.
    pub const TOLD: f64 = 0.5;
    /// No packet crosses a proxy: nothing is as sure as an identity.
    pub const MOST: f64 = 0.995;
}
