//! `cargo xtask bench`: the benchmarks, and how fast captures are read beside tcpdump.
//! Makes its captures itself, always the same bytes; the only clock is this machine's.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cases::hopscope;
use crate::sh::{Run, cargo, files_below, find_program, root, say, scratch, step};

/// Size of a generated capture in bytes, about.
const SIZE: usize = 256 << 20;

/// Runs of each command; the median counts.
const RUNS: usize = 5;

/// Run everything.
pub(crate) fn bench() -> Result<()> {
    for bench in benches()? {
        step(&format!("bench {bench}"), || cargo().args(["bench", "--package", "hopscope", "--bench", &bench]).run())?;
    }
    let command = step("build hopscope", || hopscope(true))?;
    let captures = step("captures to read", || Ok([capture("full", 1500)?, capture("snaplen-128", 128)?]))?;
    let tcpdump = find_program(&["tcpdump", "/usr/sbin/tcpdump", "/usr/bin/tcpdump"]);
    if tcpdump.is_none() {
        say("tcpdump is not on this machine: no comparison");
    }
    say(&format!("\nMedian of {RUNS} runs, files in the page cache:"));
    say(&format!("{:12} {:>9} {:>10} {:>12} {:>12} {:>8}", "capture", "MB", "packets", "hopscope", "tcpdump -w", "ratio"));
    for capture in captures {
        let ours = median(Command::new(&command).args(["analyze", "--format", "json"]).arg(&capture.file))?;
        let theirs = match &tcpdump {
            Some(tcpdump) => Some(median(Command::new(tcpdump).arg("-r").arg(&capture.file).args(["-w", "/dev/null"]))?),
            None => None,
        };
        say(&format!(
            "{:12} {:9.1} {:>10} {:>10.3} s {:>12} {:>8}",
            capture.name,
            capture.file.metadata()?.len() as f64 / 1e6,
            capture.packets,
            ours.as_secs_f64(),
            theirs.map_or("-".to_owned(), |t| format!("{:.3} s", t.as_secs_f64())),
            theirs.map_or("-".to_owned(), |t| format!("{:.2}", ours.as_secs_f64() / t.as_secs_f64())),
        ));
    }
    Ok(())
}

/// The engine's own benchmarks, by name.
fn benches() -> Result<Vec<String>> {
    let folder = root().join("benches");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let files = files_below(&folder, &|_| false)?;
    let sources = files.iter().filter(|f| f.extension().is_some_and(|e| e == "rs"));
    Ok(sources.filter_map(|f| Some(f.file_stem()?.to_string_lossy().into_owned())).collect())
}

fn median(command: &mut Command) -> Result<Duration> {
    let mut times = Vec::new();
    // One run more, not counted: it brings the file into the page cache.
    for run in 0..=RUNS {
        let start = Instant::now();
        let output = command.output().with_context(|| format!("could not start {command:?}"))?;
        let time = start.elapsed();
        anyhow::ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
        if run > 0 {
            times.push(time);
        }
    }
    times.sort();
    times.get(RUNS / 2).copied().context("no runs")
}

#[derive(Debug)]
struct Capture {
    name: &'static str,
    file: PathBuf,
    packets: usize,
}

/// A pcap file of TCP between many addresses, packets of 60 to 1514 bytes cut at `snaplen`. Made once.
fn capture(name: &'static str, snaplen: usize) -> Result<Capture> {
    let folder = scratch().join("bench");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{name}.pcap"));
    let count = folder.join(format!("{name}.packets"));
    if let (true, Some(packets)) = (file.is_file(), fs::read_to_string(&count).ok().and_then(|t| t.parse().ok())) {
        return Ok(Capture { name, file, packets });
    }
    let packets = write_capture(&file, snaplen)?;
    fs::write(count, packets.to_string())?;
    Ok(Capture { name, file, packets })
}

fn write_capture(file: &Path, snaplen: usize) -> Result<usize> {
    let mut out = BufWriter::new(File::create(file)?);
    // draft-ietf-opsawg-pcap: little-endian, microseconds, Ethernet.
    out.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
    out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    out.write_all(&u32::try_from(snaplen)?.to_le_bytes())?;
    out.write_all(&1_u32.to_le_bytes())?;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: u64| {
        // xorshift64: the same numbers on every machine.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let (mut written, mut packets, mut micros) = (24, 0, 0_u64);
    while written < SIZE {
        let flow = next(5000);
        let length = if next(3) == 0 { 60 } else { 60 + next(1455) as usize };
        let frame = frame(flow, packets as u32, length, next(2) == 0);
        let kept = frame.get(..length.min(snaplen)).unwrap_or(&frame);
        micros += next(40);
        out.write_all(&u32::try_from(1_700_000_000 + micros / 1_000_000)?.to_le_bytes())?;
        out.write_all(&u32::try_from(micros % 1_000_000)?.to_le_bytes())?;
        out.write_all(&u32::try_from(kept.len())?.to_le_bytes())?;
        out.write_all(&u32::try_from(length)?.to_le_bytes())?;
        out.write_all(kept)?;
        written += 16 + kept.len();
        packets += 1;
    }
    out.flush()?;
    Ok(packets)
}

/// Ethernet, IPv4 and TCP of one packet of one flow, IPv4's checksum right, `length` bytes in all.
fn frame(flow: u64, number: u32, length: usize, reply: bool) -> Vec<u8> {
    let [.., f1, f0] = flow.to_be_bytes();
    let client = [10, 0, f1, f0];
    let server = [10, 1, 0, (flow % 50) as u8];
    let (from, to) = if reply { (server, client) } else { (client, server) };
    let (client_port, server_port) = (20_000 + flow as u16, 443_u16);
    let (from_port, to_port) = if reply { (server_port, client_port) } else { (client_port, server_port) };
    let mut ip = vec![0x45, 0];
    ip.extend(u16::try_from(length - 14).unwrap_or(u16::MAX).to_be_bytes());
    ip.extend((number as u16).to_be_bytes());
    ip.extend([0x40, 0, 64, 6, 0, 0]);
    ip.extend(from);
    ip.extend(to);
    let sum: u32 = ip.chunks(2).map(|p| p.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte))).sum();
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    for (place, byte) in ip.iter_mut().skip(10).zip(sum.to_be_bytes()) {
        *place = byte;
    }
    let mut bytes = vec![2, 0, 0, 0, 0, to[3], 2, 0, 0, 0, 0, from[3], 8, 0];
    bytes.extend(ip);
    bytes.extend(from_port.to_be_bytes());
    bytes.extend(to_port.to_be_bytes());
    bytes.extend(number.wrapping_mul(1460).to_be_bytes());
    bytes.extend(1_u32.to_be_bytes());
    bytes.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.resize(length, 0);
    bytes
}
