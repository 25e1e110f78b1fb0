//! The bytes of a state, one after the other, to be hashed at once.

use std::hash::Hasher;

/// More than a state has.
const ROOM: usize = 256;

/// Takes what a value would have hashed. All values of the type have one shape: the lengths of arrays say nothing.
pub(crate) struct Packed {
    room: [u8; ROOM],
    used: usize,
}

impl Default for Packed {
    fn default() -> Self {
        Self { room: [0; ROOM], used: 0 }
    }
}

impl Packed {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.room[..self.used]
    }
}

impl Hasher for Packed {
    fn write(&mut self, bytes: &[u8]) {
        self.room[self.used..][..bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }

    fn write_u8(&mut self, byte: u8) {
        self.room[self.used] = byte;
        self.used += 1;
    }

    /// The length of an array.
    fn write_usize(&mut self, _: usize) {}

    /// Which case of an enumeration it is.
    fn write_isize(&mut self, case: isize) {
        self.write_u8(u8::try_from(case).expect("an enumeration of few cases"));
    }

    fn finish(&self) -> u64 {
        unreachable!("the bytes are hashed, not this")
    }
}
