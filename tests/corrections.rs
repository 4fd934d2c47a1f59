//! What a person corrects outweighs what was measured or stated, and the report follows; and reading a capture in parts.
//! Knows the founding example's names; everything else is read from its reports.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

use hopscope::analysis::analyze;
use hopscope::capture::frame_at;
use hopscope::facts::Correction;
use hopscope::import::session::to_json;
use hopscope::ingest::{Data, Ingest, Ingested};
use hopscope::report::{CapturePoint, Report};

fn inputs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/seed-icmp-1/inputs")
}

fn read(name: &str, bytes: &[u8]) -> Vec<Ingested> {
    let mut ingest = Ingest::new(name);
    ingest.push(bytes);
    ingest.finish()
}

/// The founding example with these corrections.
fn corrected(corrections: &[Correction]) -> Report {
    let mut found = Vec::new();
    for folder in ["captures", "inventory", "node1", "node2"] {
        let Ok(entries) = std::fs::read_dir(inputs().join(folder)) else { continue };
        for entry in entries.map(|e| e.unwrap().path()) {
            let name = entry.strip_prefix(inputs()).unwrap().to_string_lossy().into_owned();
            found.extend(read(&name, &std::fs::read(&entry).unwrap()));
        }
    }
    if !corrections.is_empty() {
        found.extend(read("my.session.json", to_json(corrections).as_bytes()));
    }
    analyze(&found)
}

fn point<'a>(report: &'a Report, name: &str) -> &'a CapturePoint {
    let input = report.inputs.iter().find(|i| i.name == name).unwrap();
    report.capture_points.iter().find(|p| p.input == input.id).unwrap()
}

/// The statements of these pieces of evidence, and the inputs that they name.
fn statements(report: &Report, ids: &[String]) -> Vec<(String, Vec<String>)> {
    let name = |id: &String| report.inputs.iter().find(|i| i.id == *id).unwrap().name.clone();
    let of = |e: &hopscope::report::Evidence| (e.statement.clone(), e.sources.iter().map(|s| name(&s.input)).collect());
    report.evidence.iter().filter(|e| ids.contains(&e.id)).map(of).collect()
}

#[test]
fn an_offset_by_hand_replaces_the_measured_one_and_leaves_the_others() {
    const NAME: &str = "captures/node2-eth1.pcap";
    let measured = corrected(&[]);
    let report = corrected(&[Correction::ClockOffset { input_name: "node2-eth1.pcap".to_owned(), offset_ns: 2_500_000_000 }]);
    let clock = point(&report, NAME).clock.clone().unwrap();
    assert_eq!((clock.offset_ns, clock.uncertainty_ns), (2_500_000_000, 0));
    assert_ne!(point(&measured, NAME).clock.as_ref().unwrap().offset_ns, 2_500_000_000);
    // The others are measured among themselves: the same but for what was known only by way of the corrected one.
    for p in measured.capture_points.iter().filter(|p| p.id != point(&measured, NAME).id) {
        let (was, is) = (p.clock.as_ref().unwrap(), report.capture_points.iter().find(|q| q.id == p.id).unwrap().clock.as_ref().unwrap());
        assert_eq!(was.relative_to, is.relative_to);
        assert!((was.offset_ns - is.offset_ns).abs() <= was.uncertainty_ns + is.uncertainty_ns, "{was:?} {is:?}");
    }
    let skew = report.findings.iter().find(|f| f.kind == "clock_skew").unwrap();
    let told = statements(&report, &skew.evidence);
    assert!(told.iter().any(|(s, at)| s.contains("a person") && s.contains("2.50 s") && at == &["my.session.json"]), "{told:?}");
}

#[test]
fn an_owner_by_hand_outweighs_the_inventory() {
    let ip = "192.168.53.154".parse().unwrap();
    let before = corrected(&[]);
    assert!(before.paths[0].flow.client.entity.as_deref().unwrap().starts_with("pod:default/iksoon-deployment-tomcat"));
    let report = corrected(&[Correction::Owner { mac: None, ip: Some(ip), entity: "pod:default/canary".to_owned() }]);
    assert_eq!(report.paths[0].flow.client.entity.as_deref(), Some("pod:default/canary"));
    let entity = report.entities.iter().find(|e| e.id == "pod:default/canary").unwrap();
    let told = statements(&report, &entity.evidence);
    assert!(told.iter().any(|(s, at)| s.contains("192.168.53.154 is pod:default/canary") && at == &["my.session.json"]), "{told:?}");
}

#[test]
fn a_part_of_a_capture_is_a_capture_and_each_of_its_frames_can_be_read_again_from_near_by() {
    let one = std::fs::read(inputs().join("captures/node2-eth1.pcap")).unwrap();
    let (header, records) = one.split_at(24);
    let file = [header, &records.repeat(20)].concat();
    let mut ingest = Ingest::new("a.pcap");
    let (first, rest) = file.split_at(file.len() / 2 + 5);
    ingest.push(first);
    let part = ingest.so_far().unwrap();
    ingest.push(rest);
    let whole = ingest.finish().remove(0);
    let (Data::Capture(part), Data::Capture(whole)) = (part.data, whole.data) else { panic!("captures") };
    assert!(!part.is_empty() && part.len() < whole.len());
    assert!(part.rows().zip(whole.rows()).all(|(a, b)| (a.time, a.ident, a.stream) == (b.time, b.ident, b.stream)));

    let mut again = 0;
    for row in whole.rows() {
        let number = u64::from(row.row) + 1;
        let (checkpoint, next) = whole.checkpoint_before(number).unwrap();
        let to = next.map_or(file.len(), |n| n as usize);
        let from = checkpoint.offset as usize;
        assert!(to - from < file.len() / 4, "a look at {} bytes for one frame of {}", to - from, file.len());
        let frame = frame_at(&whole.layout, checkpoint, &file[from..to], number).unwrap();
        assert_eq!((frame.number, frame.time_ns), (number, Some(row.time)));
        assert_eq!(&file[frame.offset as usize..][..frame.bytes.len()], frame.bytes);
        again += 1;
    }
    assert_eq!(again, whole.len());
    assert!(whole.checkpoint_before(0).is_none());
}
