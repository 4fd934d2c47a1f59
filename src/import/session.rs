//! Hopscope's session file: a person's corrections as JSON. Knows its shape and nothing of what the corrections do.
//!
//! ```json
//! {"schema": "hopscope.session/1",
//!  "placements": [{"input": "captures/a.pcap", "interface": null, "at": "if:node:n1/eth0"}],
//!  "owners": [{"mac": "0e:86:5a:82:6b:e6", "ip": null, "entity": "router:subnet-1"}],
//!  "clocks": [{"input": "captures/a.pcap", "offset_ns": -3200000}]}
//! ```

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::json::Reader;
use super::scan::{self, Step};
use crate::facts::{Correction, Fact};
use crate::model::{Mac, Nanos};

/// The only version there is.
pub const SCHEMA: &str = "hopscope.session/1";

#[derive(Serialize)]
struct Session {
    schema: &'static str,
    placements: Vec<Placement>,
    owners: Vec<Owner>,
    clocks: Vec<Clock>,
}

#[derive(Deserialize, Serialize)]
struct Placement {
    input: String,
    interface: Option<String>,
    at: String,
}

#[derive(Deserialize, Serialize)]
struct Owner {
    mac: Option<String>,
    ip: Option<IpAddr>,
    entity: String,
}

#[derive(Deserialize, Serialize)]
struct Clock {
    input: String,
    offset_ns: Nanos,
}

/// The session file that says these corrections, each kind in the order given. [`super::import`] reads it back.
#[must_use]
pub fn to_json(corrections: &[Correction]) -> String {
    let mut session = Session { schema: SCHEMA, placements: Vec::new(), owners: Vec::new(), clocks: Vec::new() };
    for correction in corrections.iter().cloned() {
        match correction {
            Correction::Placement { input_name, interface_name, at } => {
                session.placements.push(Placement { input: input_name, interface: interface_name, at });
            }
            Correction::Owner { mac, ip, entity } => session.owners.push(Owner { mac: mac.map(|m| m.to_string()), ip, entity }),
            Correction::ClockOffset { input_name, offset_ns } => session.clocks.push(Clock { input: input_name, offset_ns }),
        }
    }
    // Text keys and plain numbers always serialize; a reader of the empty text would say that there is no document in it.
    serde_json::to_string_pretty(&session).map(|json| json + "\n").unwrap_or_default()
}

/// Reads the session file at `at`.
pub(crate) fn document(reader: &mut Reader<'_>, at: usize) -> Step {
    reader.members(at, |reader, name, at| match name {
        "schema" => {
            let (end, schema) = reader.parse::<String>(at)?;
            if schema.as_deref().is_some_and(|s| s != SCHEMA) {
                reader.loss("", &format!("only `{SCHEMA}` is known here; this session may say more than is read"));
            }
            Ok(end)
        }
        "placements" => reader.elements(at, |reader, _, at| {
            read(reader, at, |_, p: Placement| Some(Correction::Placement { input_name: p.input, interface_name: p.interface, at: p.at }))
        }),
        "owners" => reader.elements(at, |reader, _, at| {
            read(reader, at, |reader, o: Owner| {
                let mac: Option<Mac> = reader.value("/mac", o.mac.as_deref(), "a MAC address");
                if mac.is_none() && o.ip.is_none() {
                    reader.loss("", "this owner names neither a MAC nor an IP address");
                    return None;
                }
                Some(Correction::Owner { mac, ip: o.ip, entity: o.entity })
            })
        }),
        "clocks" => reader.elements(at, |reader, _, at| {
            read(reader, at, |_, c: Clock| Some(Correction::ClockOffset { input_name: c.input, offset_ns: c.offset_ns }))
        }),
        _ => scan::skip_value(reader.text(), at),
    })
}

fn read<T: serde::de::DeserializeOwned>(
    reader: &mut Reader<'_>,
    at: usize,
    take: impl FnOnce(&mut Reader<'_>, T) -> Option<Correction>,
) -> Step {
    let (end, value) = reader.parse(at)?;
    if let Some(correction) = value.and_then(|v| take(reader, v)) {
        reader.push(Fact::Correction(correction));
    }
    Ok(end)
}
