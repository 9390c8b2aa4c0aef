//! The presence sockets of this node, counted per user: what to propose when one opens, closes or has been gone.
//!
//! Pure: times come in as milliseconds. A decision and the proposal it asks for belong under one lock, so that
//! proposals stand in the log in the order of the decisions.

use crate::protocol::{Tenant, UserId};
use std::collections::{BTreeSet, HashMap};

/// A user of a tenant.
pub(super) type Who = (Tenant, UserId);

/// Milliseconds on any clock that only ascends.
pub(super) type Millis = u64;

/// All users with presence sockets here, and those whose grace time runs.
#[derive(Debug, Default)]
pub(super) struct Tabs {
    users: HashMap<Who, Tab>,
    leaving: BTreeSet<(Millis, Who)>,
    stays: u64,
}

/// One stay of a user: from the first socket to the end of the grace time after the last.
#[derive(Debug)]
struct Tab {
    stay: u64,
    sockets: u32,
    /// The boot of this node in which the log is known to say that the user is online here: what it says of an earlier
    /// one ends without a word from here.
    announced_in: Option<u64>,
    /// When the grace time ends.
    leaves_at: Option<Millis>,
}

impl Tabs {
    /// A socket has opened in this boot, and the rows say whether the user `is_online`: after an erasure they may not,
    /// whatever was announced. `ComeOnline` is to be proposed if this says for which stay.
    pub(super) fn opened(&mut self, who: &Who, (boot, is_online): (u64, bool)) -> Option<u64> {
        let tab = self.tab(who);
        tab.sockets += 1;
        if let Some(at) = tab.leaves_at.take() {
            self.leaving.remove(&(at, who.clone()));
        }
        let tab = self.tab(who);
        (tab.announced_in != Some(boot) || !is_online).then_some(tab.stay)
    }

    /// The `ComeOnline` of this stay, in this boot, is committed. That of an earlier one, long under way, says nothing: a
    /// `GoOffline` stands behind it in the log.
    pub(super) fn announced(&mut self, who: &Who, (stay, boot): (u64, u64)) {
        if let Some(tab) = self.users.get_mut(who)
            && tab.stay == stay
        {
            tab.announced_in = Some(boot);
        }
    }

    /// A socket has closed; if it was the last, the user leaves at `leaves_at`.
    pub(super) fn closed(&mut self, who: &Who, leaves_at: Millis) {
        let Some(tab) = self.users.get_mut(who) else { return };
        tab.sockets = tab.sockets.saturating_sub(1);
        if tab.sockets == 0 && tab.leaves_at.is_none() {
            tab.leaves_at = Some(leaves_at);
            self.leaving.insert((leaves_at, who.clone()));
        }
    }

    /// A user whose grace time is over at `now`; `GoOffline` is to be proposed.
    pub(super) fn next_gone(&mut self, now: Millis) -> Option<Who> {
        let first = self.leaving.first()?;
        if first.0 > now {
            return None;
        }
        let (_, who) = self.leaving.pop_first()?;
        self.users.remove(&who);
        Some(who)
    }

    /// `GoOffline` was not committed: try again at `at`, unless the user is back.
    pub(super) fn still_here(&mut self, who: &Who, at: Millis) {
        let tab = self.tab(who);
        if tab.sockets == 0 && tab.leaves_at.is_none() {
            tab.leaves_at = Some(at);
            self.leaving.insert((at, who.clone()));
        }
    }

    fn tab(&mut self, who: &Who) -> &mut Tab {
        self.users.entry(who.clone()).or_insert_with(|| {
            self.stays += 1;
            Tab { stay: self.stays, sockets: 0, announced_in: None, leaves_at: None }
        })
    }

    /// Presence sockets of a user on this node.
    pub(super) fn sockets(&self, who: &Who) -> u32 {
        self.users.get(who).map_or(0, |tab| tab.sockets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GRACE: Millis = 15;

    fn who(n: u8) -> Who {
        (Tenant::default(), UserId::new(&n.to_string()).expect("id"))
    }

    #[test]
    fn a_reload_proposes_nothing() {
        let mut tabs = Tabs::default();
        let stay = tabs.opened(&who(1), (1, true)).expect("a proposal");
        tabs.announced(&who(1), (stay, 1));
        tabs.closed(&who(1), GRACE);
        assert_eq!(tabs.opened(&who(1), (1, true)), None);
        assert_eq!(tabs.next_gone(1_000), None);
    }

    #[test]
    fn the_last_of_two_tabs_counts_and_only_after_the_grace_time() {
        let mut tabs = Tabs::default();
        let stay = tabs.opened(&who(1), (1, true)).expect("a proposal");
        tabs.announced(&who(1), (stay, 1));
        assert_eq!(tabs.opened(&who(1), (1, true)), None);
        tabs.closed(&who(1), GRACE);
        assert_eq!(tabs.next_gone(1_000), None);
        tabs.closed(&who(1), 20 + GRACE);
        assert_eq!(tabs.next_gone(19 + GRACE), None);
        assert_eq!(tabs.next_gone(20 + GRACE), Some(who(1)));
        assert!(tabs.opened(&who(1), (1, true)).is_some(), "coming back is announced again");
    }

    #[test]
    fn whoever_was_erased_is_announced_again() {
        let mut tabs = Tabs::default();
        let stay = tabs.opened(&who(1), (1, false)).expect("a proposal");
        tabs.announced(&who(1), (stay, 1));
        assert_eq!(tabs.opened(&who(1), (1, false)), Some(stay));
    }

    #[test]
    fn what_was_announced_in_an_earlier_boot_does_not_count() {
        let mut tabs = Tabs::default();
        let stay = tabs.opened(&who(1), (1, true)).expect("a proposal");
        tabs.announced(&who(1), (stay, 1));
        assert_eq!(tabs.opened(&who(1), (2, true)), Some(stay));
        tabs.announced(&who(1), (stay, 2));
        assert_eq!(tabs.opened(&who(1), (2, true)), None);
    }

    #[derive(Clone, Debug)]
    enum Act {
        Open(u8),
        Close(u8),
        Wait(u8),
        /// The log answers the oldest proposal: committed, or not.
        Answer(bool),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            (0u8..3).prop_map(Act::Open),
            (0u8..3).prop_map(Act::Close),
            (0u8..20).prop_map(Act::Wait),
            any::<bool>().prop_map(Act::Answer),
        ];
        proptest::collection::vec(act, 0..80)
    }

    /// The log as one user's online state, and the proposals it has not answered.
    #[derive(Default)]
    struct Log {
        online: std::collections::HashSet<Who>,
        /// A coming with its stay, or a going.
        waiting: std::collections::VecDeque<(Who, Option<u64>)>,
    }

    impl Log {
        fn answer(&mut self, tabs: &mut Tabs, commits: bool, now: Millis, failed: &mut Vec<Who>) {
            let Some((who, comes)) = self.waiting.pop_front() else { return };
            match (comes, commits) {
                (Some(stay), true) => {
                    self.online.insert(who.clone());
                    tabs.announced(&who, (stay, 1));
                }
                // The socket that asked is refused and closes.
                (Some(_), false) => failed.push(who),
                (None, true) => {
                    self.online.remove(&who);
                }
                (None, false) => tabs.still_here(&who, now + 1),
            }
        }
    }

    proptest! {
        /// Whatever tabs and the log do, in the end the log says online exactly for who has a tab.
        #[test]
        fn in_the_end_the_log_agrees_with_the_tabs(acts in acts()) {
            let mut tabs = Tabs::default();
            let mut log = Log::default();
            let mut open: HashMap<Who, u32> = HashMap::new();
            let mut now = 0;
            let mut step = |tabs: &mut Tabs, log: &mut Log, act: &Act| {
                let mut refused = Vec::new();
                match act {
                    Act::Open(n) => {
                        *open.entry(who(*n)).or_default() += 1;
                        if let Some(stay) = tabs.opened(&who(*n), (1, log.online.contains(&who(*n)))) {
                            log.waiting.push_back((who(*n), Some(stay)));
                        }
                    }
                    Act::Close(n) => refused.push(who(*n)),
                    Act::Wait(ms) => now += Millis::from(*ms),
                    Act::Answer(commits) => log.answer(tabs, *commits, now, &mut refused),
                }
                for who in refused {
                    let sockets = open.entry(who.clone()).or_default();
                    if *sockets > 0 {
                        *sockets -= 1;
                        tabs.closed(&who, now + GRACE);
                    }
                }
                while let Some(who) = tabs.next_gone(now) {
                    log.waiting.push_back((who, None));
                }
            };
            for act in &acts {
                step(&mut tabs, &mut log, act);
            }
            for _ in 0..10 {
                while !log.waiting.is_empty() {
                    step(&mut tabs, &mut log, &Act::Answer(true));
                }
                step(&mut tabs, &mut log, &Act::Wait(100));
            }
            for n in 0..3 {
                let has_tab = open.get(&who(n)).is_some_and(|sockets| *sockets > 0);
                prop_assert_eq!(log.online.contains(&who(n)), has_tab);
            }
        }
    }
}
