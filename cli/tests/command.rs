//! The command as a person runs it: help, formats, names of inputs, exit statuses.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn hopscope(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hopscope")).args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A capture of one UDP packet from 10.0.0.1:1000 to 10.0.0.2:53 (classic pcap, little endian, Ethernet).
fn capture() -> Vec<u8> {
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0, 0, 32, 0, 7, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0x03, 0xe8, 0, 53, 0, 12, 0, 0, b'a', b'b', b'c', b'd']);
    let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
    file.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    file.extend(length);
    file.extend(length);
    file.extend(frame);
    file
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/views/fixtures").join(name)
}

#[test]
fn help_and_version() {
    let here = folder("help");
    let help = text(&hopscope(&["analyze", "--help"], &here).stdout);
    for word in ["--format", "--path", "--output", "--color", "Examples:", "Exit status:", "mermaid", "graphml"] {
        assert!(help.contains(word), "{word}\n{help}");
    }
    let version = hopscope(&["--version"], &here);
    assert_eq!(text(&version.stdout), format!("hopscope {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn exit_status_says_how_much_was_read() {
    let here = folder("status");
    fs::write(here.join("good.pcap"), capture()).unwrap();
    fs::write(here.join("bad.pcap"), b"no capture at all").unwrap();
    fs::write(here.join("cut.pcap"), &capture()[..capture().len() - 5]).unwrap();
    for (arguments, status, named) in [
        (&["analyze", "good.pcap"][..], 0, None),
        (&["analyze", "good.pcap", "bad.pcap"], 1, Some("bad.pcap: rejected")),
        (&["analyze", "good.pcap", "cut.pcap"], 1, Some("cut.pcap: read only in part")),
        (&["analyze", "good.pcap", "missing.pcap"], 1, Some("missing.pcap: rejected")),
        (&["analyze", "bad.pcap"], 2, Some("nothing could be read")),
        (&["analyze", "missing.pcap"], 2, Some("missing.pcap: rejected")),
        (&["analyze"], 2, Some("Usage")),
        (&["analyze", "--format", "docx", "good.pcap"], 2, Some("docx")),
        (&["analyze", "--path", "p77", "good.pcap"], 2, Some("no path p77")),
    ] {
        let out = hopscope(arguments, &here);
        assert_eq!(out.status.code(), Some(status), "{arguments:?}: {}", text(&out.stderr));
        if let Some(named) = named {
            assert!(text(&out.stderr).contains(named), "{arguments:?}: {}", text(&out.stderr));
        } else {
            assert!(out.stderr.is_empty(), "{}", text(&out.stderr));
        }
    }
}

#[test]
fn folders_are_read_in_order_without_hidden_files_and_named_as_given() {
    let here = folder("walk");
    fs::create_dir_all(here.join("captures/deep")).unwrap();
    fs::create_dir_all(here.join("captures/.git")).unwrap();
    for name in ["captures/b.pcap", "captures/a.pcap", "captures/deep/c.pcap", "captures/.hidden.pcap", "captures/.git/d.pcap"] {
        fs::write(here.join(name), capture()).unwrap();
    }
    let out = hopscope(&["analyze", "--format", "json", "captures", "captures/a.pcap"], &here);
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let mut names: Vec<&str> = report["inputs"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["captures/a.pcap", "captures/b.pcap", "captures/deep/c.pcap"]);
}

#[test]
fn standard_input_is_an_input() {
    let here = folder("stdin");
    fs::write(here.join("x"), capture()).unwrap();
    let input = fs::File::open(here.join("x")).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_hopscope")).args(["analyze", "--format", "json", "-"]).stdin(input).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(text(&out.stdout).contains("\"name\": \"-\""));
}

#[test]
fn a_saved_report_is_shown_in_every_format() {
    let here = folder("render");
    let report = fixture("loss.json");
    let report = report.to_str().unwrap();
    for (format, begins) in [
        ("text", "Hopscope: "),
        ("json", "{"),
        ("svg", "<svg "),
        ("mermaid", "---\n"),
        ("dot", "digraph "),
        ("graphml", "<?xml "),
        ("html", "<!DOCTYPE html>"),
        ("csv", "path,"),
    ] {
        let out = hopscope(&["render", "--format", format, report], &here);
        assert_eq!(out.status.code(), Some(0), "{format}: {}", text(&out.stderr));
        assert!(text(&out.stdout).starts_with(begins), "{format}");
    }
    let one = hopscope(&["render", "--path", "p4", "-o", "p4.txt", report], &here);
    assert_eq!((one.status.code(), one.stdout.len()), (Some(0), 0));
    let written = fs::read_to_string(here.join("p4.txt")).unwrap();
    assert!(written.contains("\np4 tcp") && !written.contains("\np1 tcp"));
    let other = hopscope(&["render", "p4.txt"], &here);
    assert_eq!(other.status.code(), Some(2));
}

#[test]
fn colours_only_where_asked() {
    let here = folder("colour");
    let report = fixture("loss.json");
    let report = report.to_str().unwrap();
    assert!(!text(&hopscope(&["render", report], &here).stdout).contains('\u{1b}'));
    assert!(text(&hopscope(&["render", "--color", "always", report], &here).stdout).contains("\u{1b}[1;31m"));
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let report = fixture("service-dns.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_hopscope"))
        .args(["render", "--format", "html", report.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let out = child.wait_with_output().unwrap();
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), String::new()));
}

#[test]
fn collect_prints_commands_for_the_named_pods() {
    let here = folder("collect");
    let out = text(&hopscope(&["collect", "--pod", "shop/orders-0", "--to", "shop/payments-0"], &here).stdout);
    assert!(out.contains("kubectl get pods -A -o json") && out.contains("aws ec2 describe-network-interfaces"));
    assert!(out.contains("--name '^orders-0$'") && out.contains("on the node that runs shop/payments-0"));
    assert_eq!(hopscope(&["collect", "--to", "shop/x"], &here).status.code(), Some(2));
}

#[test]
fn redacted_reports_hold_no_address_and_agree_where_the_key_does() {
    let here = folder("redact");
    fs::write(here.join("acme-prod.pcap"), capture()).unwrap();
    let run = |more: &[&str]| text(&hopscope(&[&["analyze", "acme-prod.pcap", "--redact"], more].concat(), &here).stdout);
    let report = run(&[]);
    assert!(report.contains(" → 10.") && !report.contains("10.0.0.1") && !report.contains("acme"), "{report}");
    assert_eq!(report, run(&[]));
    let with_key = run(&["--redact-key", "secret"]);
    assert_ne!(report, with_key);
    // A saved report is redacted with the same pseudonyms.
    hopscope(&["analyze", "acme-prod.pcap", "--format", "json", "-o", "report.json"], &here);
    assert_eq!(with_key, text(&hopscope(&["render", "report.json", "--redact", "--redact-key", "secret"], &here).stdout));
    assert_eq!(
        hopscope(&["analyze", "acme-prod.pcap", "--redact-key", "secret"], &here).status.code(),
        Some(2),
        "a key alone redacts nothing"
    );
}

/// Many files read by several threads within one budget: the same part of all, whatever their order.
#[test]
fn captures_beyond_the_memory_given_are_sampled() {
    let here = folder("memory");
    for n in 0..4_u8 {
        let one = capture();
        let (head, packet) = one.split_at(24);
        let mut file = head.to_vec();
        for id in 0..2000_u16 {
            let mut packet = packet.to_vec();
            // The IP id, which is part of what tells packets apart.
            packet[16 + 18..16 + 20].copy_from_slice(&id.to_be_bytes());
            file.extend(packet);
        }
        fs::write(here.join(format!("{n}.pcap")), file).unwrap();
    }
    let report = |arguments: &[&str]| {
        let out = hopscope(&[&["analyze", "--format", "json"], arguments].concat(), &here);
        assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
        text(&out.stdout)
    };
    let all = report(&["0.pcap", "1.pcap", "2.pcap", "3.pcap"]);
    assert!(!all.contains("\"sampling\""));
    assert!(all == report(&["--memory", "1G", "3.pcap", "0.pcap", "1.pcap", "2.pcap"]), "what fits is not sampled");
    // 8,000 packets; room for 2,600.
    let some = report(&["--memory", "100K", "0.pcap", "1.pcap", "2.pcap", "3.pcap"]);
    assert!(some.contains("\"one_in\": 4"), "{some}");
    assert!(some == report(&["--memory", "100K", "2.pcap", "3.pcap", "1.pcap", "0.pcap"]), "another order");
    assert!(some == report(&["--sample", "1/4", "0.pcap", "1.pcap", "2.pcap", "3.pcap"]), "the rate given outright");
    for wrong in [["--memory", "much"], ["--memory", "0"], ["--sample", "1/0"], ["--sample", "x"]] {
        assert_eq!(hopscope(&["analyze", wrong[0], wrong[1], "0.pcap"], &here).status.code(), Some(2), "{wrong:?}");
    }
}

/// What a file is called, and what stands in it, moves no cursor and reorders no line, in any format or on standard error.
#[cfg(unix)]
#[test]
fn no_name_acts_on_a_terminal() {
    let here = folder("terminal");
    let name = "a\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}\u{9b}31m";
    fs::write(here.join(format!("{name}.pcap")), &capture()[..capture().len() - 5]).unwrap();
    fs::write(
        here.join(format!("{name}.txt")),
        format!("3: {name}: <UP> mtu 9001\n    link/ether 02:00:00:00:00:01\n10.0.0.1 dev {name}\n"),
    )
    .unwrap();
    for format in ["text", "json", "mermaid", "dot", "graphml", "svg", "html", "csv"] {
        let run = hopscope(&["analyze", "--color", "never", "--format", format, "."], &here);
        let shown = text(&run.stdout) + &text(&run.stderr);
        assert!(shown.contains("owned"), "{format}: the name is shown");
        let acting = shown.chars().find(|c| (c.is_control() && *c != '\n' && *c != '\r') || ('\u{202a}'..='\u{202e}').contains(c));
        assert_eq!(acting, None, "{format}: {shown}");
    }
    let run = hopscope(&["analyze", &format!("{name}.missing")], &here);
    assert_eq!(run.status.code(), Some(2));
    assert!(!text(&run.stderr).contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{}", text(&run.stderr));
}
