//! Whose turn it is: strict order of the tiers, with a bounded share for the lower ones.

use vp_shared::tier::Tier;

/// One slot in so many goes to a lower tier, so nothing starves and nothing urgent is passed over more often.
const SHARE: usize = 8;

/// Which tiers may have entries, in the order of [`Tier::ALL`].
pub(crate) type Open = [bool; Tier::ALL.len()];

/// What to ask next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    /// The tier's index in [`Tier::ALL`].
    pub(crate) tier: usize,
    /// For how many entries at most.
    pub(crate) at_most: usize,
    /// It is the lower tiers' share.
    share: bool,
}

/// The count by which turns are given.
#[derive(Debug)]
pub(crate) struct Turns {
    until_share: usize,
    favoured: usize,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { until_share: SHARE - 1, favoured: 0 }
    }

    /// What to ask next, with `free` slots. `None`: no tier may have entries, or no slot is free.
    pub(crate) fn next(&self, open: Open, free: usize) -> Option<Ask> {
        let first = open.iter().position(|open| *open)?;
        if free == 0 {
            return None;
        }
        match self.lower(open, first) {
            None => Some(Ask { tier: first, at_most: free, share: false }),
            Some(tier) if self.until_share == 0 => Some(Ask { tier, at_most: 1, share: true }),
            Some(_) => Some(Ask { tier: first, at_most: free.min(self.until_share), share: false }),
        }
    }

    /// An ask has brought `entries`.
    pub(crate) fn granted(&mut self, ask: Ask, entries: usize) {
        if !ask.share {
            self.until_share = self.until_share.saturating_sub(entries);
        } else if entries > 0 {
            self.until_share = SHARE - 1;
            self.favoured = ask.tier;
        }
    }

    /// The lower tier whose turn is next, after the one that was favoured last.
    fn lower(&self, open: Open, first: usize) -> Option<usize> {
        let lower = |tier: &usize| *tier > first && open[*tier];
        (self.favoured + 1..open.len()).find(lower).or_else(|| (0..open.len()).find(lower))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves one slot at a time out of full queues, as the lane loop does.
    struct Lane {
        turns: Turns,
        waiting: [usize; 4],
        served: Vec<Tier>,
    }

    impl Lane {
        fn new(waiting: [usize; 4]) -> Self {
            Self { turns: Turns::new(), waiting, served: Vec::new() }
        }

        fn serve(&mut self, mut free: usize) {
            while free > 0 {
                let open = self.waiting.map(|waiting| waiting > 0);
                let Some(ask) = self.turns.next(open, free) else { return };
                let entries = ask.at_most.min(self.waiting[ask.tier]);
                assert!(entries > 0 && entries <= free);
                self.waiting[ask.tier] -= entries;
                self.served.extend(std::iter::repeat_n(Tier::ALL[ask.tier], entries));
                self.turns.granted(ask, entries);
                free -= entries;
            }
        }
    }

    #[test]
    fn urgent_overtakes_a_thousand_low() {
        let mut lane = Lane::new([0, 0, 0, 1000]);
        lane.serve(20);
        lane.waiting[0] = 1;
        let before = lane.served.len();
        lane.serve(2);
        assert!(lane.served[before..].contains(&Tier::Urgent), "{:?}", &lane.served[before..]);
    }

    #[test]
    fn each_lower_tier_gets_a_bounded_share() {
        for slots in [1, 3, 16, 100] {
            let mut lane = Lane::new([10_000; 4]);
            while lane.served.len() < 4_800 {
                lane.serve(slots);
            }
            let count = |tier| lane.served.iter().take(4_800).filter(|served| **served == tier).count();
            assert_eq!(count(Tier::Urgent), 4_200, "{slots} slots");
            for tier in [Tier::High, Tier::Normal, Tier::Low] {
                assert_eq!(count(tier), 200, "{slots} slots, {tier}");
            }
            assert!(lane.served.windows(2).all(|two| two.contains(&Tier::Urgent)), "{slots} slots");
        }
    }

    #[test]
    fn a_lonely_tier_gets_all_slots_at_once() {
        let turns = Turns::new();
        let ask = turns.next([false, false, true, false], 16).unwrap();
        assert_eq!((ask.tier, ask.at_most), (2, 16));
    }

    #[test]
    fn an_empty_lower_tier_does_not_use_up_the_share() {
        let mut turns = Turns { until_share: 0, favoured: 0 };
        let ask = turns.next([true, false, true, true], 4).unwrap();
        assert_eq!((ask.tier, ask.at_most), (2, 1));
        turns.granted(ask, 0);
        let ask = turns.next([true, false, false, true], 4).unwrap();
        assert_eq!((ask.tier, ask.at_most), (3, 1));
    }

    #[test]
    fn without_slots_or_tiers_nothing_is_asked() {
        assert_eq!(Turns::new().next([true; 4], 0), None);
        assert_eq!(Turns::new().next([false; 4], 4), None);
    }
}
