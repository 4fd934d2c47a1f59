//! What captures' writers resolved addresses to: pcapng's name resolution blocks, as Wireshark writes them.
//! Knows names and where they stand; must not take one for more than that: whoever answered a reverse look-up chose it, so that it names a
//! host that nothing else names, and decides nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::digest::Named;
use crate::evidence::{Book, Ev, Place};
use crate::identify::place::Capture;

/// So many names of one address are told.
const TOLD: usize = 3;

/// Names by address, each with its capture, in the order of the inputs.
#[derive(Debug, Default)]
pub struct Resolved<'a>(BTreeMap<IpAddr, Vec<(&'a Capture<'a>, &'a Named)>>);

impl<'a> Resolved<'a> {
    /// What the captures say.
    #[must_use]
    pub fn of(captures: &'a [Capture<'a>]) -> Self {
        let mut all: BTreeMap<IpAddr, Vec<(&Capture<'_>, &Named)>> = BTreeMap::new();
        for capture in captures {
            for named in &capture.digest.names {
                // An address that resolves to itself has no name.
                if named.1.parse::<IpAddr>().is_err() {
                    all.entry(named.0).or_default().push((capture, named));
                }
            }
        }
        Self(all)
    }

    /// The first name of an address, and a statement for each of its names. `seen`: the first frame in which the address stands.
    pub fn name(&self, ip: IpAddr, seen: &Place, book: &mut Book) -> Option<(String, Vec<Ev>)> {
        let all = self.0.get(&ip)?;
        let name = short(&all.first()?.1.1);
        let mut told: Vec<&str> = Vec::new();
        let mut ev = Vec::new();
        for (capture, named) in all {
            if told.len() >= TOLD || told.contains(&named.1.as_str()) {
                continue;
            }
            told.push(&named.1);
            let file = capture.name.rsplit('/').next().unwrap_or(capture.name);
            let at = if named.2 > 0 { format!(" at byte {}", named.2) } else { String::new() };
            let statement = format!("a name resolution block of {file}{at} calls {ip} `{}`", short(&named.1));
            ev.push(book.add("name_resolution", statement, vec![seen.clone()]));
        }
        Some((name, ev))
    }
}

/// As it may stand between backticks, which mark names for whoever replaces them by pseudonyms.
fn short(name: &str) -> String {
    name.chars().filter(|c| *c != '`').collect()
}
