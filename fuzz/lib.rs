//! What the fuzz targets do with bytes, and what must hold. They take everything and look at all of it, so that nothing is optimised away.
//! `tests/mutations.rs` does the same with fewer bytes, where there is no cargo-fuzz.

use std::hint::black_box;
use std::net::IpAddr;

use hopscope::analysis::analyze;
use hopscope::capture::{CaptureReader, FrameSink, InterfaceInfo, LinkType, RawFrame};
use hopscope::container::{Container, ContainerKind, Limits, MemberSink};
use hopscope::dissect::{describe, dissect};
use hopscope::ingest::Ingest;
use hopscope::redact::redact;
use hopscope::report::Report;
use hopscope::views::{self, Selection};

/// Any bytes as a capture, in one chunk and in many: the same end, every frame dissected and described.
pub fn capture(data: &[u8]) {
    let ends = [usize::MAX, 1 + data.len() % 97].map(|chunk| {
        let (mut reader, mut sink) = (CaptureReader::new(), Dissecting::default());
        data.chunks(chunk).for_each(|part| reader.push(part, &mut sink));
        reader.finish(&mut sink)
    });
    assert_eq!(ends[0], ends[1]);
}

/// Any bytes as each kind of container, in one chunk and in many: the same members, within the limits.
pub fn container(data: &[u8]) {
    for kind in [ContainerKind::Gzip, ContainerKind::Zstd, ContainerKind::Tar, ContainerKind::Zip] {
        let [a, b] = [usize::MAX, 1 + data.len() % 97].map(|chunk| {
            let mut sink = Counting::default();
            let mut container = Container::new(kind, Limits { total: 8 << 20, ..Limits::default() });
            data.chunks(chunk).for_each(|part| container.push(part, &mut sink));
            (container.finish(&mut sink).bytes, sink)
        });
        assert!(a.0 <= 8 << 20 && (a == b || a.0.max(b.0) > 7 << 20), "{kind:?}: {a:?} {b:?}");
    }
}

/// Any bytes as a dropped file of unknown name, in one chunk and in two: recognised, read or rejected, and the same both times.
pub fn import(data: &[u8]) {
    let [a, b] = [0, data.len() / 3].map(|cut| {
        let mut ingest = Ingest::new("unknown");
        [&data[..cut], &data[cut..]].iter().for_each(|part| ingest.push(part));
        ingest.finish().iter().map(|i| i.to_bytes()).collect::<Vec<_>>()
    });
    assert_eq!(a, b);
}

/// Any bytes, best a tar of several inputs, down the whole road: read, analysed, drawn in every view, redacted too, in either order of inputs.
pub fn pipeline(data: &[u8]) {
    let mut ingest = Ingest::new("unknown");
    ingest.push(data);
    let mut inputs = ingest.finish();
    let report = analyze(&inputs);
    inputs.reverse();
    assert_eq!(report, analyze(&inputs));
    let selection = Selection::default();
    black_box((views::text(&report), views::mermaid(&report, &selection), views::dot(&report, &selection)));
    let redacted = redact(&report, "key");
    assert_eq!(redacted.paths.len(), report.paths.len());
    black_box((views::csv(&redacted), views::text(&redacted)));
    black_box((views::graphml(&report, &selection), views::svg(&report, &selection, views::Theme::Auto), views::html(&report)));
}

/// A digest of a real capture with octets changed: each three octets of `data` are a place (from its end, where what describes the rest
/// stands) and a value. It is read or refused, and what is read is analysed.
pub fn digest(data: &[u8]) {
    let mut ingest = Ingest::new("a.pcap");
    ingest.push(include_bytes!("../tests/formats/captures/tcpdump-4.99.3/any-sll2.pcap"));
    let mut bytes = Vec::new();
    for one in ingest.finish() {
        one.write_digest(&mut |part| bytes.extend_from_slice(part));
    }
    for change in data.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        let at = bytes.len() - 1 - at;
        bytes[at] = change[2];
    }
    let mut ingest = Ingest::new("a.pcap.parquet");
    ingest.push(&bytes);
    black_box(analyze(&ingest.finish()));
}

/// Any bytes as a saved report, which the page and the command line show as they show their own: in every view, redacted too, one path and all.
pub fn report(data: &[u8]) {
    let Ok(report) = serde_json::from_slice::<Report>(data) else { return };
    for report in [&report, &redact(&report, "key")] {
        let first = report.paths.first().map_or(Selection::all(), |p| Selection::path(&p.id));
        for chosen in [&Selection::all(), &first] {
            black_box((views::svg(report, chosen, views::Theme::Auto), views::mermaid(report, chosen)));
            black_box((views::dot(report, chosen), views::graphml(report, chosen)));
        }
        black_box((views::text(report), views::html(report), views::csv(report)));
    }
}

/// Dissects and describes every frame, as Ethernet where the link type is none that is read.
#[derive(Debug, Default)]
pub struct Dissecting(Vec<Option<LinkType>>);

impl FrameSink for Dissecting {
    fn interface(&mut self, info: &InterfaceInfo) {
        if info.index as usize == self.0.len() {
            self.0.push(info.link_type);
        }
    }

    fn frame(&mut self, frame: RawFrame<'_>) {
        let link_type = self.0[frame.interface as usize].unwrap_or(LinkType::ETHERNET);
        black_box(dissect(link_type, frame.bytes, frame.original_len));
        for layer in describe(link_type, frame.bytes, frame.original_len) {
            assert!(layer.fields.iter().all(|field| field.start + field.len <= frame.bytes.len()));
        }
    }

    fn name(&mut self, ip: IpAddr, name: &str, offset: u64) {
        black_box((ip, name, offset));
    }
}

/// Counts members and their bytes; members begin and end in turn.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counting {
    /// Name and length of each.
    pub members: Vec<(String, u64)>,
    is_open: bool,
}

impl MemberSink for Counting {
    fn member(&mut self, name: &str) {
        assert!(!self.is_open && !name.split('/').any(|part| part == "..") && !name.starts_with('/'));
        self.is_open = true;
        self.members.push((name.to_owned(), 0));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        assert!(self.is_open);
        self.members.last_mut().expect("a member is open").1 += bytes.len() as u64;
    }

    fn end(&mut self) {
        assert!(self.is_open);
        self.is_open = false;
    }
}
