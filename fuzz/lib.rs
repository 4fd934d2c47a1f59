//! Sinks for the fuzz targets: they take everything and look at all of it, so that nothing is optimised away.

use std::hint::black_box;
use std::net::IpAddr;

use hopscope::capture::{FrameSink, InterfaceInfo, LinkType, RawFrame};
use hopscope::container::MemberSink;
use hopscope::dissect::{describe, dissect};

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

    fn name(&mut self, ip: IpAddr, name: &str) {
        black_box((ip, name));
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
