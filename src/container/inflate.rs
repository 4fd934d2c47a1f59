//! Raw deflate (RFC 1951) in pieces: packed bytes → bounded pieces of unpacked ones, with their CRC.
//! Knows flate2; must not know whether a gzip or a zip is around it.

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// Unpacked bytes come in pieces of at most this.
pub(super) const PIECE: usize = 64 << 10;

pub(super) struct Inflate {
    state: Decompress,
    crc: Crc,
    piece: Vec<u8>,
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflate").field("unpacked", &self.state.total_out()).finish_non_exhaustive()
    }
}

impl Default for Inflate {
    fn default() -> Self {
        Self { state: Decompress::new(false), crc: Crc::new(), piece: vec![0; PIECE] }
    }
}

/// What some bytes gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inflated {
    /// All of them were used; more are needed.
    All,
    /// The stream ended after so many of them.
    End(usize),
    /// They are no deflate stream from here on.
    Damaged,
}

impl Inflate {
    pub(super) fn reset(&mut self) {
        self.state.reset(false);
        self.crc = Crc::new();
    }

    /// CRC-32 of what came out, and its length.
    pub(super) fn sums(&self) -> (u32, u64) {
        (self.crc.sum(), self.state.total_out())
    }

    /// Unpacks `packed` and hands each piece over; `piece` says whether to go on.
    pub(super) fn push(&mut self, packed: &[u8], mut piece: impl FnMut(&[u8]) -> bool) -> Inflated {
        let mut rest = packed;
        loop {
            let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(rest, &mut self.piece, FlushDecompress::None);
            // Both are at most the length of their buffer.
            let read = (self.state.total_in() - before_in) as usize;
            let written = (self.state.total_out() - before_out) as usize;
            let out = self.piece.get(..written).unwrap_or_default();
            self.crc.update(out);
            let goes_on = piece(out);
            rest = rest.get(read..).unwrap_or_default();
            match status {
                Ok(Status::StreamEnd) => return Inflated::End(packed.len() - rest.len()),
                Err(_) => return Inflated::Damaged,
                Ok(_) if !goes_on || (rest.is_empty() && written < PIECE) => return Inflated::All,
                // Neither read nor written, with bytes at hand: it would be so forever.
                Ok(_) if read == 0 && written == 0 => return if rest.is_empty() { Inflated::All } else { Inflated::Damaged },
                Ok(_) => {}
            }
        }
    }
}
