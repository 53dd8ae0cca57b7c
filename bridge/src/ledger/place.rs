//! Where a message is stored, as one number that grows.

/// A stream sequence, and in which life of the stream it was given.
///
/// In the first life a place is the sequence itself; a stream that was deleted and made anew counts from 1 again, and
/// its places follow those of the life before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) epoch: u16,
    pub(crate) seq: u64,
}

/// At 40,000 events a second these last for 200 years.
const SEQ_BITS: u32 = 48;
const SEQ_MASK: u64 = (1 << SEQ_BITS) - 1;

impl Place {
    pub(crate) const fn new(epoch: u16, seq: u64) -> Self {
        Self { epoch, seq: seq & SEQ_MASK }
    }

    /// As it stands in the tables. Epochs from 32,768 on do not exist: the ledger refuses to open one.
    pub(crate) fn pos(self) -> i64 {
        (i64::from(self.epoch) << SEQ_BITS) | self.seq.cast_signed()
    }

    pub(crate) fn of(pos: i64) -> Self {
        let pos = pos.cast_unsigned();
        Self { epoch: u16::try_from(pos >> SEQ_BITS).unwrap_or(u16::MAX), seq: pos & SEQ_MASK }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn places_are_read_back_and_keep_their_order(
            a in (0_u16..0x7fff, 0..=SEQ_MASK), b in (0_u16..0x7fff, 0..=SEQ_MASK)
        ) {
            let (one, two) = (Place::new(a.0, a.1), Place::new(b.0, b.1));
            prop_assert_eq!(Place::of(one.pos()), one);
            prop_assert_eq!(one.pos().cmp(&two.pos()), a.cmp(&b));
        }
    }

    #[test]
    fn a_first_life_counts_as_the_stream_does() {
        assert_eq!(Place::new(0, 42).pos(), 42);
    }
}
