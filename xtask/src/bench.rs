//! `cargo xtask bench`: how fast captures are read and joined, beside raw reading, tcpdump, capinfos and tshark in the same run, natively
//! and in browsers.
//! Makes its captures itself, always the same bytes. Times are this machine's; ratios within one run are what can be compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::build;
use crate::captures_made::Wanted;
use crate::cases::hopscope;
use crate::setup;
use crate::sh::{Run, cargo, files_below, find_program, program, root, say, scratch, step};

/// What a person may choose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) packets: u64,
    pub(crate) conversations: u64,
    pub(crate) points: u64,
    pub(crate) runs: usize,
    /// Whether the engine's own benchmarks run too.
    pub(crate) with_micro: bool,
    /// Whether the page is built and measured in browsers.
    pub(crate) with_browser: bool,
}

/// tshark is so slow that it gets the beginning only; so does Wiregasm, which is Wireshark too.
const TSHARK_PACKETS: u64 = 50_000;

/// Wireshark as WebAssembly. Installed for the bench alone: nothing of it (GPL) is part of what the project builds or ships.
const WIREGASM: &str = "@goodtools/wiregasm@1.9.1";

/// Run everything, print it, and write BENCHMARKS.md.
pub(crate) fn bench(options: Options) -> Result<()> {
    if options.with_micro {
        for bench in benches()?.iter().filter(|bench| *bench != "join") {
            step(&format!("bench {bench}"), || cargo().args(["bench", "--package", "hopscope", "--bench", bench]).run())?;
        }
    }
    let command = step("build hopscope", || hopscope(true))?;
    let folder = scratch().join("bench");
    let mut text = heading(options)?;
    reading(&mut text, options, &command, &folder)?;
    growth(&mut text, options, &command, &folder)?;
    if options.with_micro {
        joining(&mut text)?;
    }
    if options.with_browser {
        in_browsers(&mut text, options, &folder)?;
    }
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
    for (name, snaplen, conversations) in kinds(options) {
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
            let said = analyse(command, std::slice::from_ref(&file), true)?;
            times.entry("hopscope").or_default().push(said.read_processor);
            peaks.push((said.peak, analyse(command, std::slice::from_ref(&empty), true)?.peak));
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
            runs.push(analyse(command, &files, false)?);
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

/// Following packets through captures, beside the least that finds them at several points.
fn joining(text: &mut String) -> Result<()> {
    let output = step("bench join", || cargo().args(["bench", "--package", "hopscope", "--bench", "join"]).text())?;
    writeln!(
        text,
        "\n## Following packets, one core\nSeconds that passed, the best of several runs; `read` is reading, dissecting and digesting what lies in memory already. `bare join`: the identities of all \
         packets, sorted by radix\nfor each point and merged once, and nothing else. The last two columns are what correlating, tracing and diagnosing takes beside either.\n"
    )?;
    output.lines().filter(|l| l.starts_with('|')).try_for_each(|line| writeln!(text, "{line}"))?;
    let folder = build::join()?;
    let chromium = setup::chromium()?;
    let mut node = program("node");
    node.current_dir(root().join("tests/e2e")).arg("join.mjs").arg(&folder).env("CHROME", &chromium);
    let output = step("bench join in Chromium", || node.text())?;
    writeln!(text, "\nThe same in WebAssembly, in Chromium:\n")?;
    output.lines().filter(|l| l.starts_with('|')).try_for_each(|line| writeln!(text, "{line}"))?;
    Ok(())
}

/// The same captures in the page, beside reading them into WebAssembly's memory and nothing else; and larger ones, of which what a browser does
/// once for any file is a small part.
fn in_browsers(text: &mut String, options: Options, folder: &Path) -> Result<()> {
    let page = build::site()?;
    setup::npm_tools()?;
    let mut captures = Vec::new();
    for (name, snaplen, conversations) in kinds(options) {
        let wanted = Wanted { packets: options.packets, conversations, points: 1, snaplen };
        captures.push((name.to_owned(), wanted));
    }
    for (name, snaplen, conversations) in kinds(options) {
        // About half a gigabyte of the one, a quarter of the others.
        let times = if snaplen > 128 { 2 } else { 5 };
        let wanted = Wanted { packets: options.packets * times, conversations, points: 1, snaplen };
        captures.push((format!("{name}, {times} times the packets"), wanted));
    }
    let files = captures.iter().map(|(_, wanted)| wanted.make(folder)?.into_iter().next().context("no capture"));
    let files = files.collect::<Result<Vec<_>>>()?;
    writeln!(
        text,
        "\n## In browsers\nMilliseconds that passed. `raw reading`: a worker copies the file into WebAssembly's memory and does nothing else: two slices in flight, the \
         best of four sizes (`slices`), and as a stream into memory that is used again (`stream`); `raw` is the better of the two.\n`ingest`: by the reader's own clock, until the file is read, dissected, digested and ready to be handed over. `read`: from the drop until the page calls \
         the input read.\n`first rows`: from the drop until the first conversation is shown; the drop is 3 s after the page has answered, or as soon as it has (`at once`). `whole`: until the report over\n\
         the whole file is shown; `analysis` is what the last analysis took. `longest task`: of the page itself, which cannot answer meanwhile, before the drop and from then on; in \
         Firefox, how late\na timer came where that is more than 50 ms.\n"
    )?;
    writeln!(
        text,
        "| browser | capture | MB | packets | raw reading: slices | stream | ingest | raw : ingest | slices : ingest | read | first rows | at once | whole | analysis | longest task | peak MB of the page's process |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")?;
    let chromium = setup::chromium()?;
    let captures: Vec<_> = captures.into_iter().zip(files).collect();
    let ours = in_browser(text, options, &page, &captures, ("Chromium", "CHROME", &chromium))?;
    in_browser(text, options, &page, &captures, ("Firefox", "FIREFOX", &setup::firefox()?))?;
    wiregasm(text, options, folder, &chromium, &ours)
}

/// Wiregasm on the beginnings of the same captures, in the same Chromium. `ours`: milliseconds until the whole report was shown.
fn wiregasm(text: &mut String, options: Options, folder: &Path, chromium: &Path, ours: &[f64]) -> Result<()> {
    writeln!(text, "\n## Beside Wiregasm, in the same Chromium")?;
    let tools = folder.join("wiregasm");
    fs::create_dir_all(&tools)?;
    let mut npm = program("npm");
    npm.args(["install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
        .arg(&tools)
        .arg(WIREGASM);
    if let Err(error) = step("install Wiregasm", || npm.run()) {
        writeln!(text, "Not measured: {WIREGASM} could not be installed ({error}).")?;
        return Ok(());
    }
    let mut files = Vec::new();
    for (_, snaplen, conversations) in kinds(options) {
        let short = Wanted { packets: TSHARK_PACKETS.min(options.packets), conversations, points: 1, snaplen };
        files.extend(short.make(folder)?);
    }
    let mut node = program("node");
    node.current_dir(root().join("tests/e2e")).arg("wiregasm.mjs").arg(tools.join("node_modules/@goodtools/wiregasm"));
    let output = step("Wiregasm", || node.arg("1").args(&files).env("CHROME", chromium).text())?;
    writeln!(
        text,
        "Wiregasm ({WIREGASM}) opens the first packets of the same captures in a worker. `start`: its code, data and dissectors, before any file. `load`: the file is copied in and dissected once; `first \
         rows`: and the first 40 rows\nof its list are made. Hopscope's figure is `whole` of the table above, analysis and picture included. Milliseconds, but for the last columns: microseconds a packet.\n"
    )?;
    writeln!(text, "| capture | packets | start | load | first rows | Wiregasm, a packet | Hopscope, a packet | Wiregasm : Hopscope |")?;
    writeln!(text, "|---|---|---|---|---|---|---|---|")?;
    for (((name, ..), line), ours) in kinds(options).into_iter().zip(output.lines().filter(|l| l.starts_with('{'))).zip(ours) {
        let of = medians(line)?;
        let (packets, rows) = (of("packets")?, of("firstRows")?);
        let (theirs, ours) = (rows * 1000.0 / packets, ours * 1000.0 / options.packets as f64);
        writeln!(
            text,
            "| {name} | {packets:.0} | {:.0} | {:.0} | {rows:.0} | {theirs:.1} | {ours:.2} | {:.0} |",
            of("start")?,
            of("load")?,
            theirs / ours,
        )?;
    }
    Ok(())
}

fn in_browser(
    text: &mut String,
    options: Options,
    page: &build::Page,
    captures: &[((String, Wanted), PathBuf)],
    (browser, variable, program_of): (&str, &str, &Path),
) -> Result<Vec<f64>> {
    let mut node = program("node");
    node.current_dir(root().join("tests/e2e")).arg("bench.mjs").arg(options.runs.to_string()).args(captures.iter().map(|(_, file)| file));
    node.env("HOPSCOPE_SITE", &page.folder).env("HOPSCOPE_HTML", &page.single_html).env("HOPSCOPE", "not used");
    let output = step(browser, || node.env_remove("CHROME").env_remove("FIREFOX").env(variable, program_of).text())?;
    let mut wholes = Vec::new();
    for (((name, wanted), file), line) in captures.iter().zip(output.lines().filter(|l| l.starts_with('{'))) {
        let of = medians(line)?;
        let (slices, stream, ingest) = (of("slices")?, of("stream")?, of("ingest")?);
        wholes.push(of("whole")?);
        writeln!(
            text,
            "| {browser} | {name} | {:.0} | {} | {slices:.0} | {stream:.0} | {ingest:.0} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0}, {:.0} | {:.0} |",
            file.metadata()?.len() as f64 / 1e6,
            wanted.packets,
            slices.min(stream) / ingest,
            slices / ingest,
            of("read")?,
            of("firstRows")?,
            of("firstRowsAtOnce")?,
            of("whole")?,
            of("analysis")?,
            of("longestBefore")?,
            of("longest")?,
            of("peak")? / 1024.0,
        )?;
    }
    Ok(wholes)
}

/// What a script of tests/e2e says of one capture: the median of a figure's runs.
fn medians(line: &str) -> Result<impl Fn(&str) -> Result<f64>> {
    let measured: BTreeMap<String, serde_json::Value> = serde_json::from_str(line)?;
    Ok(move |what: &str| {
        let runs = measured.get(what).and_then(serde_json::Value::as_array).into_iter().flatten();
        middle(&mut runs.filter_map(serde_json::Value::as_f64).collect::<Vec<_>>()).with_context(|| format!("{what} was not measured"))
    })
}

/// The captures that are read one at a time: name, snaplen, conversations.
fn kinds(options: Options) -> [(&'static str, usize, u64); 3] {
    [
        ("full size", 65_535, options.conversations),
        ("snaplen 128", 128, options.conversations),
        ("snaplen 128, 50 times the conversations", 128, options.conversations * 50),
    ]
}

/// What `hopscope analyze --timings` says.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    read: f64,
    /// Processor time of the reading.
    read_processor: f64,
    analysed: f64,
    written: f64,
    /// In kB.
    peak: u64,
}

fn analyse(command: &Path, files: &[PathBuf], one_core: bool) -> Result<Said> {
    let mut run = Command::new(command);
    run.args(["analyze", "--timings", "--format", "json", "--output", "/dev/null"]).args(files);
    if one_core {
        run.env("RAYON_NUM_THREADS", "1");
    }
    let output = run.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "hopscope failed: {text}");
    let number =
        |what: &str| text.lines().find_map(|l| l.strip_prefix(what)?.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0);
    Ok(Said {
        read: number("read "),
        read_processor: number("read_processor "),
        analysed: number("analysed "),
        written: number("written "),
        peak: number("peak ") as u64,
    })
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
    let mut child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let of_child = |what: &str| fs::read_to_string(format!("/proc/{}/{what}", child.id()));
    // As long as nobody has asked what became of it, its numbers stay (`proc(5)`); a hundredth of a second, which is what asking for the
    // times of ended children gives, is too coarse.
    while !of_child("stat")?.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let nanos: u64 = of_child("schedstat")?.split_whitespace().next().context("no schedstat")?.parse()?;
    Ok(child.wait()?.success().then_some(nanos as f64 / 1e9))
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
    // What lies deeper is a part of one.
    let sources = files.iter().filter(|f| f.parent() == Some(&*folder) && f.extension().is_some_and(|e| e == "rs"));
    Ok(sources.filter_map(|f| Some(f.file_stem()?.to_string_lossy().into_owned())).collect())
}
