//! The lines of `conntrack -L` and `/proc/net/nf_conntrack`. Knows how they are written, nothing else.

use crate::facts::{Conntrack, Tuple};
use crate::model::Protocol;

/// `tcp      6 431999 ESTABLISHED src=… dst=… sport=… dport=… src=… dst=… sport=… dport=… [ASSURED] mark=0 use=1`,
/// with `ipv4     2 ` before it in the extended form.
pub(crate) fn line(line: &str) -> Option<Conntrack> {
    let mut words = line.split_whitespace().peekable();
    if matches!(words.peek(), Some(&"ipv4" | &"ipv6")) {
        words.next();
        words.next()?.parse::<u8>().ok()?;
    }
    words.next()?;
    let protocol = Protocol::from_number(words.next()?.parse().ok()?);
    let mut state = None;
    let mut mark = None;
    let mut tuples: [Partial; 2] = [Partial::default(), Partial::default()];
    let mut which = 0;
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            // `[UNREPLIED]` and `[ASSURED]` stand in brackets, the timeout is a number: what is left is TCP's and SCTP's state.
            if word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
                state = Some(word.to_owned());
            }
            continue;
        };
        if key == "src" && tuples.first().is_some_and(|t| t.src.is_some()) {
            which = 1;
        }
        let Some(tuple) = tuples.get_mut(which) else { continue };
        match key {
            "src" => tuple.src = Some(value.parse().ok()?),
            "dst" => tuple.dst = Some(value.parse().ok()?),
            "sport" => tuple.src_port = Some(value.parse().ok()?),
            "dport" => tuple.dst_port = Some(value.parse().ok()?),
            "mark" => mark = value.parse().ok(),
            _ => {}
        }
    }
    let [original, reply] = tuples;
    Some(Conntrack { protocol, original: original.whole()?, reply: reply.whole()?, state, mark })
}

#[derive(Default)]
struct Partial {
    src: Option<std::net::IpAddr>,
    src_port: Option<u16>,
    dst: Option<std::net::IpAddr>,
    dst_port: Option<u16>,
}

impl Partial {
    fn whole(&self) -> Option<Tuple> {
        Some(Tuple { src: self.src?, src_port: self.src_port, dst: self.dst?, dst_port: self.dst_port })
    }
}
