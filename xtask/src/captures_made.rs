//! Captures made for measuring: the same packets at one or several points, always the same bytes.
//! Knows file and header layouts; must not know what is measured.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;

/// What is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// At each point.
    pub(crate) packets: u64,
    pub(crate) conversations: u64,
    pub(crate) points: u64,
    pub(crate) snaplen: usize,
}

impl Wanted {
    /// Makes the files in `folder`, unless they are there.
    pub(crate) fn make(self, folder: &Path) -> Result<Vec<PathBuf>> {
        let Self { packets, conversations, points, snaplen } = self;
        let folder = folder.join(format!("{packets}-packets-{conversations}-conversations-{points}-points-snaplen-{snaplen}"));
        let files: Vec<PathBuf> = (0..points).map(|n| folder.join(format!("point-{n:02}.pcap"))).collect();
        let done = folder.join("done");
        if !done.is_file() {
            fs::create_dir_all(&folder)?;
            for (point, file) in files.iter().enumerate() {
                self.write(point as u64, file)?;
            }
            fs::write(done, "")?;
        }
        Ok(files)
    }

    fn write(self, point: u64, file: &Path) -> Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
        // draft-ietf-opsawg-pcap: little-endian, microseconds, Ethernet.
        for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, self.snaplen as u32, 1] {
            out.write_all(&word.to_le_bytes())?;
        }
        // xorshift64: the same numbers on every machine and at every point.
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        for number in 0..self.packets {
            let flow = next(self.conversations);
            let is_reply = next(2) == 0;
            let length = if next(3) == 0 { 66 } else { 66 + next(1449) as usize };
            let hop = if is_reply { self.points - 1 - point } else { point };
            let micros = number * 10 + hop * 20;
            let frame = frame(flow, number, length, is_reply, point, hop);
            let kept = frame.get(..length.min(self.snaplen)).unwrap_or(&frame);
            for word in [1_700_000_000 + micros / 1_000_000, micros % 1_000_000, kept.len() as u64, length as u64] {
                out.write_all(&(word as u32).to_le_bytes())?;
            }
            out.write_all(kept)?;
        }
        out.flush()?;
        Ok(())
    }
}

/// Ethernet, IPv4 and TCP with timestamps, `length` bytes in all; checksums are left 0, as offloading leaves them.
fn frame(flow: u64, number: u64, length: usize, is_reply: bool, point: u64, hop: u64) -> Vec<u8> {
    let client = (0x0a00_0000 + flow as u32 / 7).to_be_bytes();
    let server = [10, 200, 0, (flow % 50) as u8];
    let ports = ((20_000 + flow % 40_000) as u16, 443_u16);
    let (from, to, (from_port, to_port)) = if is_reply { (server, client, (ports.1, ports.0)) } else { (client, server, ports) };
    // Each point has a link of its own, with a MAC at each end.
    let (near, far) = ([2, 0, 0, 0, point as u8, 1], [2, 0, 0, 0, point as u8, 2]);
    let (src, dst) = if is_reply { (far, near) } else { (near, far) };
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(dst);
    bytes.extend(src);
    bytes.extend([8, 0, 0x45, 0]);
    bytes.extend(((length - 14) as u16).to_be_bytes());
    bytes.extend((number as u16).to_be_bytes());
    bytes.extend([0x40, 0, 64 - hop.min(60) as u8, 6, 0, 0]);
    bytes.extend(from);
    bytes.extend(to);
    bytes.extend(from_port.to_be_bytes());
    bytes.extend(to_port.to_be_bytes());
    bytes.extend((number as u32).wrapping_mul(1460).to_be_bytes());
    bytes.extend(1_u32.to_be_bytes());
    bytes.extend([0x80, 0x18, 0xff, 0xff, 0, 0, 0, 0, 1, 1, 8, 10]);
    bytes.extend((number as u32).to_be_bytes());
    bytes.extend((number as u32).to_be_bytes());
    bytes.resize(length, 0);
    bytes
}
