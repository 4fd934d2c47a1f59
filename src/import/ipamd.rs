//! The VPC CNI's own books on a node: `/v1/enis` and `/v1/pods` of its introspection port, and its checkpoint `ipam.json`
//! → which pod has which address. Knows every shape they were published in, nothing of ENIs: EC2 says those better.

use std::net::IpAddr;

use serde::Deserialize;

use super::json::Reader;
use super::scan::Step;
use crate::facts::{Fact, Pod};

/// Whether an object with these member names is one of the books.
///
/// `/v1/enis` has `ENIs` (`ENIIPPools` before 1.7), since 1.20 once for each network card under its number; `/v1/pods` (until 1.6) has
/// members called `POD_NAMESPACE_CONTAINER`; the checkpoint has `allocations`.
pub(crate) fn is_book(names: &[String]) -> bool {
    let has = |wanted: &str| names.iter().any(|n| n == wanted);
    has("ENIs")
        || has("ENIIPPools")
        || (has("version") && has("allocations"))
        || (!names.is_empty() && (names.iter().all(|n| is_card(n)) || names.iter().all(|n| pod_of_key(n).is_some())))
}

fn is_card(name: &str) -> bool {
    !name.is_empty() && name.len() <= 3 && name.bytes().all(|b| b.is_ascii_digit())
}

/// Neither a pod's name nor a namespace can have an underscore.
fn pod_of_key(key: &str) -> Option<(&str, &str)> {
    let mut parts = key.splitn(3, '_');
    let (name, namespace, container) = (parts.next()?, parts.next()?, parts.next()?);
    let is_container = container.bytes().all(|b| b.is_ascii_hexdigit());
    (!name.is_empty() && !namespace.is_empty() && is_container).then_some((name, namespace))
}

#[derive(Deserialize)]
struct PodAddress {
    #[serde(rename = "IP")]
    ip: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Address {
    address: Option<String>,
    #[serde(rename = "IPAMMetadata")]
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "k8sPodNamespace")]
    namespace: Option<String>,
    #[serde(rename = "k8sPodName")]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Allocation {
    ipv4: Option<String>,
    ipv6: Option<String>,
    /// Between 1.9 and 1.10.
    ip: Option<String>,
    metadata: Option<Metadata>,
}

/// Reads one of the books.
pub(crate) fn document(reader: &mut Reader<'_>, at: usize) -> Step {
    reader.members(at, |reader, name, at| match name {
        "ENIs" | "ENIIPPools" => reader.members(at, |reader, _, at| eni(reader, at)),
        "allocations" => reader.elements(at, |reader, _, at| allocation(reader, at)),
        card if is_card(card) => reader.members(at, |reader, name, at| match name {
            "ENIs" => reader.members(at, |reader, _, at| eni(reader, at)),
            _ => reader.skip(at),
        }),
        key => match pod_of_key(key) {
            Some((name, namespace)) => {
                let (end, value) = reader.parse::<PodAddress>(at)?;
                let ip = value.and_then(|v| reader.value("/IP", Some(&v.ip), "an IP address"));
                pod(reader, Some(name), Some(namespace), ip.into_iter().collect());
                Ok(end)
            }
            None => reader.skip(at),
        },
    })
}

fn eni(reader: &mut Reader<'_>, at: usize) -> Step {
    reader.members(at, |reader, name, at| match name {
        "AvailableIPv4Cidrs" | "IPv6Cidrs" => reader.members(at, |reader, _, at| {
            reader.members(at, |reader, name, at| match name {
                // `IPv4Addresses` in 1.9.0 alone.
                "IPAddresses" | "IPv4Addresses" => reader.members(at, address),
                _ => reader.skip(at),
            })
        }),
        "IPv4Addresses" => reader.members(at, address),
        _ => reader.skip(at),
    })
}

/// An address that no pod has is only kept warm: it has no metadata, or empty ones.
fn address(reader: &mut Reader<'_>, key: &str, at: usize) -> Step {
    let (end, value) = reader.parse::<Address>(at)?;
    let Some(value) = value else { return Ok(end) };
    let Some(metadata) = value.metadata else { return Ok(end) };
    let text = value.address.as_deref().unwrap_or(key);
    if metadata.name.is_some() {
        let ip = reader.value("/Address", Some(text), "an IP address");
        pod(reader, metadata.name.as_deref(), metadata.namespace.as_deref(), ip.into_iter().collect());
    }
    Ok(end)
}

fn allocation(reader: &mut Reader<'_>, at: usize) -> Step {
    let (end, value) = reader.parse::<Allocation>(at)?;
    let Some(value) = value else { return Ok(end) };
    let mut ips = Vec::new();
    for (below, text) in [("/ipv4", value.ipv4), ("/ipv6", value.ipv6), ("/ip", value.ip)] {
        ips.extend(reader.value::<IpAddr>(below, text.as_deref(), "an IP address"));
    }
    if let Some(metadata) = value.metadata {
        pod(reader, metadata.name.as_deref(), metadata.namespace.as_deref(), ips);
    }
    Ok(end)
}

fn pod(reader: &mut Reader<'_>, name: Option<&str>, namespace: Option<&str>, ips: Vec<IpAddr>) {
    if let (Some(name), Some(namespace), false) = (name, namespace, ips.is_empty()) {
        reader.push(Fact::Pod(Pod { namespace: namespace.to_owned(), name: name.to_owned(), ips, ..Pod::default() }));
    }
}
