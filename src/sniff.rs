//! First bytes and name → what an input is. Content decides; the name only breaks ties.
//! Knows how formats begin, not how they go on.

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
    /// `iptables-save`.
    Iptables,
    /// `conntrack -L`.
    Conntrack,
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
    /// The report's `inputs[].kind`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pcap | Self::Pcapng => "capture",
            Self::Gzip | Self::Tar | Self::Zip => "archive",
            Self::Kubectl => "kubectl",
            Self::Ec2 => "ec2",
            Self::Elb => "elbv2",
            Self::IpAddr => "ip_addr",
            Self::IpNeigh => "ip_neigh",
            Self::IpRoute => "ip_route",
            Self::IpRule => "ip_rule",
            Self::Iptables => "iptables",
            Self::Conntrack => "conntrack",
            Self::Session => "session",
            Self::UnknownJson | Self::UnknownText | Self::Unsupported(_) | Self::Unknown | Self::Empty => "unknown",
        }
    }
}
