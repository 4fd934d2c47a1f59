//! How much each kind of evidence weighs: one table of likelihood ratios, probabilities and thresholds, and how they add up.
//! Knows no packet and no entity.
//!
//! A likelihood ratio says how many times more often the evidence is seen when the claim is true than when it is false.
//! Independent evidence adds in log-odds; `tests/engine_properties.rs` checks that the resulting probabilities are right as often as they say.

/// The address of an ENI is in every unicast frame of the capture: only that ENI sees every one of its own frames, and
/// elsewhere only a peer that talks to nobody else would.
pub const OWN_MAC_IN_EVERY_FRAME: f64 = 400.0;
/// The same, but another known ENI is in every frame too (two hosts that talk only to one another).
pub const SHARED_MAC_IN_EVERY_FRAME: f64 = 1.0;
/// The same, where that other ENI's node sends packets of its pods with a TTL that nothing has been taken of: it forwards them, so they
/// were not captured there. A pod may set a TTL of its own, and some ways into a pod forward nothing.
pub const OTHER_FORWARDS_ELSEWHERE: f64 = 20.0;
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

/// How sure the rest of the engine must be of a claim before it builds upon it.
pub mod needed {
    /// More likely than not: enough to name somebody, and a majority of votes.
    pub const LIKELY: f64 = 0.5;
    /// A placement whose silence counts. A wrong one costs a wrong verdict, but other captures confirm or contradict it.
    pub const PLACED: f64 = 0.6;
    /// Nine in ten: enough for what contradicts a claim to be dismissed, for silence on a way to be loss, and for what a capture
    /// does not have to be a filter's doing.
    pub const SURE: f64 = 0.9;
    /// Nothing that is learnt can add to it.
    pub const SETTLED: f64 = 0.995;
    /// What is observed and inferred stays below what an input states outright.
    pub const MOST: f64 = 0.999;
}

/// Who owns an address, by what states it. 1 is what an inventory says outright of its own things.
pub mod owner {
    /// The address of a hostNetwork pod is its node's, which it only shares; that of a pod that ended may be another's by now.
    pub const SHARED: f64 = 0.4;
    /// A node's secondary addresses, and those of its branch ENIs, are there for pods: whoever holds one says so elsewhere.
    pub const SECONDARY: f64 = 0.3;
    /// The first address after a subnet's own is the VPC router's (VPC User Guide, "Subnet CIDR blocks").
    pub const GATEWAY: f64 = 0.99;
    /// That router, where only a host's neighbour table and netmask show the subnet: the host may be no VPC's.
    pub const GATEWAY_TOLD: f64 = 0.97;
    /// What `ip addr` of a host says of its interfaces' MACs and a neighbour table of a router's: read from the kernel itself, and
    /// perhaps before the interface changed.
    pub const HOST_MAC: f64 = 0.98;
    /// What `ip addr` and `ip route` say of addresses, and a neighbour table of a pod: addresses come and go faster than MACs.
    pub const HOST_ADDRESS: f64 = 0.97;
    /// A forwarding entry towards a tunnel's other end is written by the CNI's agent, not learnt from frames.
    pub const TUNNEL_ENTRY: f64 = 0.95;
    /// What a bridge learnt at a port was true up to five minutes ago (`ageing_time`).
    pub const LEARNT_ENTRY: f64 = 0.9;
    /// A MAC of no ENI that carries packets of several addresses of other subnets: another middle box may.
    pub const ROUTES_SEVERAL: f64 = 0.98;
    /// The same, of one address: an ENI that nobody listed may have it.
    pub const ROUTES_ONE: f64 = 0.96;
    /// A MAC that answers ARP for a gateway's address.
    pub const ANSWERS_AS_GATEWAY: f64 = 0.99;
    /// A MAC on a pod's link, by which of the two addresses there is the pod's; times how sure the link is.
    pub const ON_LINK: f64 = 0.99;
    /// An address whose packets go on to endpoints that one listed service has and no other: one that is not listed may have them too.
    pub const DIALLED: f64 = 0.93;
    /// That an address in the captures is in use by somebody, whom nothing names.
    pub const SEEN: f64 = 0.9;
}

/// Which host's output an input is: votes of what it says, of which the greatest sum must have the majority.
pub mod host {
    /// A MAC of that host: unique, and no two hosts print it of themselves.
    pub const MAC: f64 = 10.0;
    /// An address of that host: unique within a VPC.
    pub const ADDRESS: f64 = 5.0;
    /// A device whose name is made from a pod of that host, or one behind which a pod of that host is.
    pub const POD_DEVICE: f64 = 3.0;
    /// A socket on an address of that host, or a rule that translates to one: such an address may be another's.
    pub const USED_ADDRESS: f64 = 3.0;
    /// A routing rule for a pod of that host: such rules outlive their pods.
    pub const POD_RULE: f64 = 2.0;
    /// An input whose votes agree.
    pub const VOTED: f64 = 0.98;
    /// An input that says nothing of where it is from, in a folder with those of one host.
    pub const SAME_FOLDER: f64 = 0.8;
}

/// Hosts, routers and pods that no inventory names, by what captures and hosts show. `tests/engine_properties.rs` generates clusters
/// without inventories for these.
pub mod unlisted {
    /// Two interfaces are one host's, which their ARP requests ask for in one host's name.
    pub const SAME_ASKER: f64 = 0.97;
    /// The same, because a packet came in by one of them and went out by the other, one TTL lower.
    pub const SAME_FORWARDER: f64 = 0.93;
    /// A MAC that sends an address's packets with a TTL lower by one, and before all others.
    pub const FIRST_FORWARDER: f64 = 0.85;
    /// A MAC of a host for which nothing of that is known.
    pub const OF_HOST: f64 = 0.9;
    /// A MAC on a wire between two hosts' interfaces that carry the same packets with the same TTL.
    pub const FACE_BETWEEN: f64 = 0.95;
    /// A MAC that only ever answers ARP, for the first address of a network, and carries others' packets.
    pub const FACE_BY_ARP: f64 = 0.92;
    /// An address that a host asks by ARP in the name of: its own, or one that it holds for another.
    pub const ASKS_AS: f64 = 0.96;
    /// An address that a host routes to a device of its own is a guest's there; times how sure the host is.
    pub const ROUTED_GUEST: f64 = 0.97;
    /// An address that begins with a fresh TTL on a link of a host; times how sure the host is.
    pub const LINKED_GUEST: f64 = 0.97;
    /// An address from whose packets a host is the first to take one of the TTL; times how sure the host is.
    pub const GUEST_BEHIND: f64 = 0.95;
    /// The interface that carries a node's own address is its first ENI, and udev, as EKS sets it up, calls that eth0.
    pub const FIRST_IS_ETH0: f64 = 0.97;
    /// Another interface of a node is its second: EKS adds the next when the addresses of one are used up.
    pub const OTHER_IS_ETH1: f64 = 0.6;
    /// The only interface that a node shows is its first: its other ones may be silent.
    pub const ONLY_IS_ETH0: f64 = 0.7;
    /// A name that a capture gives an interface, which is not the one that convention gives it.
    pub const UNCONVENTIONAL: f64 = 0.92;
}

/// Where a capture was taken, beyond the ratios above.
pub mod place {
    /// Below these odds nothing says that a pod's packets begin where they were captured: twice those of an address in every packet
    /// whose TTL begins elsewhere.
    pub const NOT_ITS_LINK: f64 = 2.0 * super::POD_IP_IN_EVERY_FRAME * super::TTL_STARTS_ELSEWHERE;
    /// One unlisted MAC alone is in every frame: a capture at that interface, unless its one peer's.
    pub const ONLY_STRANGER: f64 = 9.0;
    /// Two are, and one of them sends only fresh packets: a host, where people capture; the other forwards.
    pub const FRESH_STRANGER: f64 = 4.0;
    /// Two are, and one of them asks by ARP: a host, which a VPC's router never does.
    pub const ASKING_STRANGER: f64 = 3.0;
    /// One file of cooked packets is one host's: an interface of the host that the file's other interfaces show.
    pub const SAME_FILE: f64 = 4.0;
    /// One interface of a file says no more than this of which host the file is from.
    pub const MOST_OF_ONE: f64 = 1000.0;
    /// A pod's link is seldom captured while it is silent; an ENI that the traffic was expected on often is.
    pub const SILENT_LINK: f64 = 0.1;
    /// A host that gave nothing else to these inputs.
    pub const SILENT_STRANGER: f64 = 0.5;
    /// The last interface left for a silent capture; times how much of the weight of all silent interfaces it has.
    pub const ELIMINATED: f64 = 0.9;
    /// A capture of one host's interfaces together, by the MACs that its packets leave under.
    pub const COOKED_HOST: f64 = 0.97;
}

/// What a packet does next, where nobody captured it.
pub mod step {
    /// A step that inventories state.
    pub const STATED: f64 = 0.97;
    /// A router between subnets that are listed: a route more specific than the VPC's own may lead elsewhere.
    pub const ROUTED: f64 = 0.96;
    /// A router between two captured interfaces of nodes, which the MACs that they show suggest.
    pub const ROUTER_BETWEEN: f64 = 0.95;
    /// A step over an ENI or a router that no AWS inventory lists: what else the node has is not known.
    pub const TOLD: f64 = 0.88;
    /// A step that convention suggests.
    pub const GUESSED: f64 = 0.75;
    /// The same at a host that is no Kubernetes node: of such a one little is known by convention.
    pub const UNKNOWN_HOST: f64 = 0.4;
    /// Times each step beyond the last that saw packets which nobody answered and no capture looked for: they may have been lost before
    /// it. (In whole cases 4 of 16 such steps were crossed; but people capture what fails.)
    pub const UNANSWERED: f64 = 0.6;
    /// A hop that was captured and that nothing led to expect, before it is known how sure its placement is.
    pub const UNEXPECTED: f64 = 0.8;
    /// The other end of a captured link: what crosses one end crosses the other.
    pub const OTHER_END: f64 = 0.98;
}

/// That the source of a leg was put there by the kube-proxy of its node, and not by a process on it.
pub mod masquerade {
    /// A node's address before a balanced pod: how many times likelier kube-proxy's.
    pub const PRIOR: f64 = 5.0;
    /// A TTL that shows a hop before the node.
    pub const TTL_PASSED_ON: f64 = 100.0;
    /// One that shows none. Load balancers differ in the TTL that they start with, so that a usual one tells little.
    pub const TTL_BEGUN: f64 = 0.1;
    /// A source port that no process would be given. The connections of one node to one pod and port come from one cause, so each counts for all.
    pub const FOREIGN_PORT: f64 = 100.0;
    /// Another node's connection to the same pod and port was passed on: the balancer spreads over all nodes.
    pub const LIKE_ITS_SIBLINGS: f64 = 20.0;
}

/// Findings: how often what is said is so, given that the packets and lines that show it are as they were read. What is left over is
/// what would look the same: a filter, a capture that lost packets, a placement that is wrong. In 440 whole cases (lab clusters with
/// known truths) 242 kinds of finding were named or denied by the truth, and none was wrong: `packet_loss` 60, `address_translated` 83,
/// `no_reply` 49, of each other kind 2 to 10. That is too few to claim more than this, by the rule of three (3/n).
pub mod finding {
    /// A message in a capture says it itself: an RST that answers a SYN, an ICMP error, a flow log's REJECT on a traced path.
    pub const SAID: f64 = 0.97;
    /// Both sides of a translation were captured, with the same packets.
    pub const TRANSLATED: f64 = 0.98;
    /// One side was: its other follows from inventories.
    pub const TRANSLATED_INFERRED: f64 = 0.9;
    /// Both sides of a port's translation were captured.
    pub const PORT_REWRITTEN: f64 = 0.97;
    /// None of a conversation's packets is behind a hop, at captures that ran: a filter looks the same.
    pub const ALL_LOST: f64 = 0.95;
    /// The same of those packets of a sample that were looked for.
    pub const ALL_LOST_OF_SAMPLE: f64 = 0.9;
    /// The same, where they are taken to have come to a hop in a tunnel that shows only lengths and times.
    pub const ALL_LOST_IN_TUNNEL: f64 = 0.88;
    /// Some of a conversation's packets are not: captures that lose packets without counting them look the same.
    pub const SOME_LOST: f64 = 0.85;
    /// Nothing answers, or the answers do not arrive: a capture of one way looks the same.
    pub const NO_REPLY: f64 = 0.9;
    /// A connection ended by an RST after it was open.
    pub const RESET: f64 = 0.95;
    /// The same by another host than the one that it names, which its TTL tells: some stacks begin resets with another than their data.
    pub const RESET_BY_OTHERS: f64 = 0.85;
    /// Another way back than there, by hops that were captured.
    pub const ASYMMETRIC: f64 = 0.9;
    /// The same octets twice, too far apart to be one packet seen twice.
    pub const RETRANSMITTED: f64 = 0.95;
    /// ARP requests without an answer in a capture of both ways.
    pub const ARP_UNANSWERED: f64 = 0.93;
    /// Two MACs answer for one address, which is nobody's that may have two.
    pub const DUPLICATE_ADDRESS: f64 = 0.9;
    /// The same, one after the other.
    pub const ADDRESS_MOVED: f64 = 0.9;
    /// An address in the captures that no input accounts for.
    pub const UNRESOLVED: f64 = 0.95;
    /// Clocks that are farther apart than their uncertainty, three times over.
    pub const CLOCK_SKEW: f64 = 0.95;
    /// Packets both ways agree with one offset of two clocks up to a time, and with another from then on: delays that changed for
    /// good in one direction only would look the same.
    pub const CLOCK_STEP: f64 = 0.9;
    /// Two inventories contradict one another: one of them is old, or the same address means two things.
    pub const CONTRADICTION: f64 = 0.9;
    /// A neighbour table has a MAC that the ENI of that address has not.
    pub const STALE_NEIGHBOUR: f64 = 0.93;
    /// A proxy's own headers name clients whose connections no capture shows.
    pub const UNSEEN_CLIENTS: f64 = 0.95;
    /// A capture has nothing of what crossed its interface; at most as sure as its placement.
    pub const FILTERED: f64 = 0.9;
    /// A flow log's REJECT that no captured packet belongs to: its ENI is certain, whose address it names may be old.
    pub const REJECTED_UNSEEN: f64 = 0.95;
}

/// That a conversation's packets are in an encrypted tunnel between the two nodes that they go from and to.
pub mod sealed {
    /// Nothing was compared: there is a tunnel, and nodes that have one send all that goes to the other's pods by it.
    pub const UNTESTED: f64 = 0.8;
    /// The odds of that.
    const PRIOR: f64 = 4.0;
    /// Sealed at once, and captured: a packet has its like beside it.
    const FOLLOWED: f64 = 0.97;
    /// One packet alone says no more than this: bursts of one size are usual.
    const MOST_OF_ONE: f64 = 8.0;
    /// Lengths and times are no identity.
    const MOST: f64 = 0.97;

    /// `fitting` of `tested` packets have their like beside them, and of so many looks at other times so many found one.
    #[must_use]
    pub fn probability([fitting, tested]: [usize; 2], [found, looks]: [usize; 2]) -> f64 {
        // The rule of succession: never having seen it does not mean that it can't be.
        let by_chance = (found as f64 + 1.0) / (looks as f64 + 2.0);
        let (hit, miss) = ((FOLLOWED / by_chance).min(MOST_OF_ONE), ((1.0 - FOLLOWED) / (1.0 - by_chance)).min(1.0));
        let mut odds = PRIOR;
        for n in 0..tested {
            odds *= if n < fitting { hit } else { miss };
            odds = odds.clamp(1e-9, 1e9);
        }
        super::probability(odds).min(MOST)
    }
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
    /// What is said by this many connections or fewer is theirs alone: one in front, one behind. What more say, they may say by themselves.
    pub const OWN_CONNECTIONS: f64 = 2.0;
    /// Less sure than this is not told.
    pub const TOLD: f64 = 0.5;
    /// With odds below this no candidate is told, whatever competes with it: its probability is at most odds / (1 + odds), rounded to
    /// three digits.
    pub const WORTH_WEIGHING: f64 = 0.99;
    /// No packet crosses a proxy: nothing is as sure as an identity.
    pub const MOST: f64 = 0.995;
}
