//! What is done once before anybody has given anything: a small made-up capture is read and analysed again and again.
//! Browsers compile what is called, when it is called, and well only what is called often: the first file would pay for it.
//! All workers have one module in common, so what one of them has called is compiled for all.

use gloo_timers::future::TimeoutFuture;
use hopscope::analysis::analyze_packed;
use hopscope::ingest::{Ingest, Ingested};

use super::shown::Shown;
use crate::protocol::{List, Order};

/// So long each of the two parts is repeated, round for round. All of it once, since a person may come at any moment; then each part until it is
/// fast: long enough for a browser to see what is called often.
pub const FIRST: [f64; 2] = [0.0, 150.0];
/// The same, once there is something to draw: for what a large capture calls more often than the made-up one.
pub const LATER: [f64; 1] = [500.0];

/// What the first capture is going to need at the analyst, at least.
const HEADROOM: usize = 24 << 20;

const CONVERSATIONS: u32 = 40;
const PACKETS: u32 = 3000;
/// Of a frame without the record's header: Ethernet, IPv4, TCP with timestamps, some payload.
const FRAME: usize = 14 + 20 + 32 + 40;

/// Gets the memory that the first capture is going to need.
pub fn prepare() {
    super::reader::touch(HEADROOM);
}

/// The report over the made-up captures, with its look-ups. `None` as soon as `is_over` says that there is something real to do.
pub async fn rehearse(rounds: &[f64], is_over: impl Fn() -> bool) -> Option<Shown> {
    let captures = [capture(0), capture(1)];
    let mut made_up = None;
    for each_ms in rounds.iter().copied() {
        let mut found = Vec::new();
        let begun = js_sys::Date::now();
        while found.is_empty() || js_sys::Date::now() - begun < each_ms {
            found = captures.iter().enumerate().flat_map(|(point, bytes)| read(point, bytes)).collect();
            // Whatever has come meanwhile is heard first.
            TimeoutFuture::new(0).await;
            if is_over() {
                return None;
            }
        }
        let begun = js_sys::Date::now();
        loop {
            let shown = Shown::new(analyze_packed(&found));
            TimeoutFuture::new(0).await;
            if is_over() {
                return None;
            }
            look_at(&shown);
            made_up = Some(shown);
            if js_sys::Date::now() - begun >= each_ms {
                break;
            }
        }
    }
    made_up
}

/// Asks all that the page asks.
fn look_at(shown: &Shown) {
    shown.overview();
    for order in [Order::Report, Order::Trouble, Order::Client] {
        shown.rows(&List { filter: "tcp".to_owned(), order, ..List::default() }, 0, 100);
    }
    if let Some(path) = shown.path(None, None) {
        shown.picture(&path.conversation.id);
    }
    let _ = shown.map();
}

fn read(point: usize, bytes: &[u8]) -> Vec<Ingested> {
    let mut ingest = Ingest::new(&format!("rehearsal-{point}.pcap"));
    bytes.chunks(100_000).for_each(|chunk| ingest.push(chunk));
    ingest.finish().iter().filter_map(|one| Ingested::from_bytes(&one.to_bytes())).collect()
}

/// TCP connections that begin with a handshake, as one of two interfaces sees them: the second is a hop farther and a little later.
fn capture(point: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + PACKETS as usize * (16 + FRAME));
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        out.extend(word.to_le_bytes());
    }
    for number in 0..PACKETS {
        let (flow, turn) = (number % CONVERSATIONS, number / CONVERSATIONS);
        let is_reply = turn % 2 == 1;
        let late = if is_reply { 1 - point } else { point };
        for word in [1_700_000_000, number * 10 + u32::from(late) * 20, FRAME as u32, FRAME as u32] {
            out.extend(word.to_le_bytes());
        }
        let (client, server) = ([10, 0, 0, flow as u8], [10, 1, 0, flow as u8 % 5]);
        let ports = [30_000 + flow as u16, 443].map(u16::to_be_bytes);
        let macs = [[2, 0, 0, 0, point, 1], [2, 0, 0, 0, point, 2]];
        let ([from, to], [from_port, to_port], [from_mac, to_mac]) = match is_reply {
            true => ([server, client], [ports[1], ports[0]], [macs[1], macs[0]]),
            false => ([client, server], ports, macs),
        };
        out.extend(to_mac);
        out.extend(from_mac);
        out.extend([8, 0, 0x45, 0, 0, (FRAME - 14) as u8]);
        out.extend((number as u16).to_be_bytes());
        out.extend([0x40, 0, 64 - late, 6, 0, 0]);
        out.extend(from);
        out.extend(to);
        out.extend(from_port);
        out.extend(to_port);
        out.extend((turn * 20).to_be_bytes());
        out.extend((turn * 20).to_be_bytes());
        let flags = match turn {
            0 => 0x02,
            1 => 0x12,
            _ => 0x18,
        };
        out.extend([0x80, flags, 0xff, 0xff, 0, 0, 0, 0, 1, 1, 8, 10]);
        out.extend(number.to_be_bytes());
        out.extend(turn.to_be_bytes());
        out.extend([0; 40]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else what is rehearsed is the refusal of a file.
    #[test]
    fn the_made_up_captures_are_read_and_joined() {
        let found: Vec<Ingested> = (0..2).flat_map(|point| read(usize::from(point), &capture(point))).collect();
        let report = analyze_packed(&found);
        assert_eq!(report.paths.len(), CONVERSATIONS as usize);
        assert!(report.paths.iter().all(|path| path.directions.iter().all(|d| d.hops.len() >= 2)));
        assert!(report.head.inputs.iter().all(|input| input.status == hopscope::report::Status::Ok));
    }
}
