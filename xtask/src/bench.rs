//! `cargo xtask bench`: how fast captures are read and joined, beside raw reading, tcpdump, capinfos and tshark in the same run.
//! Makes its captures itself, always the same bytes. Times are this machine's; ratios within one run are what can be compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::captures_made::Wanted;
use crate::cases::hopscope;
use crate::sh::{Run, cargo, files_below, find_program, root, say, scratch, step};

/// What a person may choose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) packets: u64,
    pub(crate) conversations: u64,
    pub(crate) points: u64,
    pub(crate) runs: usize,
    /// Whether the engine's own benchmarks run too.
    pub(crate) with_micro: bool,
}

/// tshark is so slow that it gets the beginning only.
const TSHARK_PACKETS: u64 = 50_000;

/// Run everything, print it, and write BENCHMARKS.md.
pub(crate) fn bench(options: Options) -> Result<()> {
    if options.with_micro {
        for bench in benches()? {
            step(&format!("bench {bench}"), || cargo().args(["bench", "--package", "hopscope", "--bench", &bench]).run())?;
        }
    }
    let command = step("build hopscope", || hopscope(true))?;
    let folder = scratch().join("bench");
    let mut text = heading(options)?;
    reading(&mut text, options, &command, &folder)?;
    growth(&mut text, options, &command, &folder)?;
    say(&text);
    fs::write(root().join("BENCHMARKS.md"), text)?;
    say("written to BENCHMARKS.md");
    Ok(())
}

fn heading(options: Options) -> Result<String> {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(root()).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    let date = said("date", &["-u", "+%Y-%m-%d"]).unwrap_or_default();
    let cpus = std::thread::available_parallelism()?;
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':')).map_or("unknown processor", |(_, name)| name.trim());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!(
        "# Benchmarks\n\nWritten by `cargo xtask bench` on {date} at commit {commit}: {cpu}, {cpus} cores, load {load} before it began. Medians of {} runs in turn,\nfiles in the page \
         cache. Seconds differ between machines and with what else they do; ratios stand in one run.\n",
        options.runs
    ))
}

/// One capture: reading it, by one core each.
fn reading(text: &mut String, options: Options, command: &Path, folder: &Path) -> Result<()> {
    writeln!(
        text,
        "\n## Reading one capture, one core\nProcessor time (user and system) in seconds. `hopscope` reads, dissects and digests; `tcpdump -w /dev/null` only copies records."
    )?;
    writeln!(
        text,
        "\n| capture | MB | packets | raw read | hopscope | tcpdump | capinfos | tshark, same fields | hopscope : tcpdump | tshark : hopscope | bytes a packet |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|---|---|---|---|---|")?;
    for (name, snaplen, conversations) in [
        ("full size", 65_535, options.conversations),
        ("snaplen 128", 128, options.conversations),
        ("snaplen 128, 50 times the conversations", 128, options.conversations * 50),
    ] {
        let wanted = Wanted { packets: options.packets, conversations, points: 1, snaplen };
        let file = wanted.make(folder)?.into_iter().next().context("no capture")?;
        let short = Wanted { packets: TSHARK_PACKETS.min(options.packets), ..wanted };
        let short_file = short.make(folder)?.into_iter().next().context("no capture")?;
        let empty = Wanted { packets: 1, ..wanted }.make(folder)?.into_iter().next().context("no capture")?;
        let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut peaks = Vec::new();
        for _ in 0..options.runs {
            times.entry("raw").or_default().push(raw(&file)?);
            // What starting the program takes is no reading.
            let (ours, said) = analyse(command, std::slice::from_ref(&file), true)?;
            times.entry("hopscope").or_default().push(ours.read);
            peaks.push((said.peak, analyse(command, std::slice::from_ref(&empty), true)?.1.peak));
            for (program, arguments) in [("tcpdump", &["-w", "/dev/null"][..]), ("capinfos", &[])] {
                if let Some(time) = other(program, arguments, &file)? {
                    times.entry(program).or_default().push(time);
                }
            }
        }
        let fields = [
            "-n",
            "-T",
            "fields",
            "-e",
            "frame.time_epoch",
            "-e",
            "eth.src",
            "-e",
            "eth.dst",
            "-e",
            "ip.src",
            "-e",
            "ip.dst",
            "-e",
            "ip.ttl",
        ];
        let more = [
            "-e",
            "ip.id",
            "-e",
            "tcp.srcport",
            "-e",
            "tcp.dstport",
            "-e",
            "tcp.seq_raw",
            "-e",
            "tcp.ack_raw",
            "-e",
            "tcp.flags",
            "-e",
            "tcp.len",
            "-e",
            "tcp.options.timestamp.tsval",
        ];
        let arguments: Vec<&str> = fields.into_iter().chain(more).collect();
        // One run: it takes long, and the answer is far from close.
        let tshark = other("tshark", &arguments, &short_file)?.map(|t| t * options.packets as f64 / short.packets as f64);
        let mut median = |what: &str| times.get_mut(what).and_then(|t| middle(t));
        let ours = median("hopscope").context("no run of hopscope")?;
        let (raw, tcpdump, capinfos) = (median("raw"), median("tcpdump"), median("capinfos"));
        let shown = |time: Option<f64>| time.map_or("-".to_owned(), |t| format!("{t:.3}"));
        let peak = peaks.iter().map(|(full, empty)| full.saturating_sub(*empty)).max().unwrap_or(0);
        writeln!(
            text,
            "| {name} | {:.0} | {} | {} | {ours:.3} | {} | {} | {} | {} | {} | {:.1} |",
            file.metadata()?.len() as f64 / 1e6,
            options.packets,
            shown(raw),
            shown(tcpdump),
            shown(capinfos),
            shown(tshark),
            tcpdump.map_or("-".to_owned(), |t| format!("{:.2}", ours / t)),
            tshark.map_or("-".to_owned(), |t| format!("{:.0}", t / ours)),
            peak as f64 * 1024.0 / options.packets as f64,
        )?;
    }
    writeln!(
        text,
        "\nBytes a packet: the most memory of the whole `hopscope analyze` over that of one packet's, its report included; tshark's time is scaled up from its first {TSHARK_PACKETS} packets."
    )?;
    Ok(())
}

/// Several captures, twice as much of one thing at a time.
fn growth(text: &mut String, options: Options, command: &Path, folder: &Path) -> Result<()> {
    let base = Wanted { packets: options.packets / 4, conversations: options.conversations, points: options.points, snaplen: 128 };
    writeln!(text, "\n## Time against size, all cores\nSeconds that passed; the factor is that of the sum over the first row.\n")?;
    writeln!(text, "| | points | packets at each | conversations | read | correlate, trace, diagnose | write JSON | factor | peak MB |")?;
    writeln!(text, "|---|---|---|---|---|---|---|---|---|")?;
    let mut first = None;
    for (name, wanted) in [
        ("base", base),
        ("twice the packets", Wanted { packets: base.packets * 2, ..base }),
        ("twice the points", Wanted { points: base.points * 2, ..base }),
        ("twice the conversations", Wanted { conversations: base.conversations * 2, ..base }),
    ] {
        let files = wanted.make(folder)?;
        let mut runs = Vec::new();
        for _ in 0..options.runs {
            runs.push(analyse(command, &files, false)?.1);
        }
        let of = |what: fn(&Said) -> f64| middle(&mut runs.iter().map(what).collect::<Vec<_>>()).unwrap_or(0.0);
        let (read, analysed, written) = (of(|r| r.read), of(|r| r.analysed), of(|r| r.written));
        let total = read + analysed + written;
        let factor = total / *first.get_or_insert(total);
        let peak = runs.iter().map(|r| r.peak).max().unwrap_or(0) / 1024;
        let Wanted { packets, conversations, points, .. } = wanted;
        writeln!(
            text,
            "| {name} | {points} | {packets} | {conversations} | {read:.3} | {analysed:.3} | {written:.3} | {factor:.2} | {peak} |"
        )?;
    }
    Ok(())
}

/// What `hopscope analyze --timings` says.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    read: f64,
    analysed: f64,
    written: f64,
    /// In kB.
    peak: u64,
}

/// Processor time is what one core is compared by.
#[derive(Clone, Copy, Debug)]
struct Ours {
    read: f64,
}

fn analyse(command: &Path, files: &[PathBuf], one_core: bool) -> Result<(Ours, Said)> {
    let mut run = Command::new(command);
    run.args(["analyze", "--timings", "--format", "json", "--output", "/dev/null"]).args(files);
    if one_core {
        run.env("RAYON_NUM_THREADS", "1");
    }
    let before = children()?;
    let output = run.output()?;
    let time = children()? - before;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "hopscope failed: {text}");
    let number =
        |what: &str| text.lines().find_map(|l| l.strip_prefix(what)?.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0);
    let said = Said { read: number("read "), analysed: number("analysed "), written: number("written "), peak: number("peak ") as u64 };
    // Reading's part of the processor time, by the shares of the time that passed.
    let passed = said.read + said.analysed + said.written;
    Ok((Ours { read: if passed > 0.0 { time * said.read / passed } else { time } }, said))
}

/// Processor time of another program on a file; `None` where it is not there.
fn other(program: &str, arguments: &[&str], file: &Path) -> Result<Option<f64>> {
    let Some(found) = find_program(&[program, &format!("/usr/sbin/{program}")]) else { return Ok(None) };
    let mut run = Command::new(found);
    if program == "capinfos" {
        run.arg(file);
    } else {
        run.arg("-r").arg(file).args(arguments);
    }
    let before = children()?;
    let status = run.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let time = children()? - before;
    Ok(status.success().then_some(time))
}

/// Seconds of processor time that ended children took so far (`proc(5)`: cutime and cstime, in hundredths).
fn children() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("processor time is only told on Linux")?;
    let fields = stat.rsplit_once(')').context("not as proc(5) says")?.1;
    let ticks: u64 = fields.split_whitespace().skip(13).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / 100.0)
}

fn raw(file: &Path) -> Result<f64> {
    let start = Instant::now();
    let (mut file, mut chunk) = (File::open(file)?, vec![0; 1 << 20]);
    while file.read(&mut chunk)? > 0 {}
    Ok(start.elapsed().as_secs_f64())
}

fn middle(times: &mut [f64]) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
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
