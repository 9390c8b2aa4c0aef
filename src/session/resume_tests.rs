//! The switch from what was missed to what happens, in every order of commits, deliveries, pages and writes.

use super::super::outbox::{Chunk, Kind, Outbox, Room};
use crate::protocol::Pos;
use proptest::prelude::*;

/// What a test does next.
#[derive(Clone, Debug)]
enum Step {
    /// An event is committed: the journal has it from now on.
    Commit,
    /// The broker delivers the next committed event.
    Deliver,
    /// The client asks to resume from the nth committed event; a resume under way is finished first.
    Resume(prop::sample::Index),
    /// A resume under way reads its next page.
    Page,
    /// The client said something else, or nothing in time.
    Release,
    /// So many bytes leave.
    Write(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Commit),
        6 => Just(Step::Deliver),
        2 => any::<prop::sample::Index>().prop_map(Step::Resume),
        4 => Just(Step::Page),
        1 => Just(Step::Release),
        4 => (1_usize..60).prop_map(Step::Write),
    ];
    proptest::collection::vec(step, 0..120)
}

/// Events in a page.
const PAGE: usize = 2;

/// Tells the frames of a greeting or a `resumed` from events, whose numbers are small.
const MARK: u64 = 1 << 32;

struct Scene {
    outbox: Outbox,
    committed: u64,
    delivered: u64,
    /// A resume under way: where its next page begins.
    after: Option<u64>,
    sent: Vec<u8>,
}

impl Scene {
    /// Greeted at the position that was committed by then, with deliveries still on their way.
    fn new(committed: u64, delivered: u64) -> Self {
        let mut outbox = Outbox::new(Room { frames: 10_000, bytes: 1 << 20 });
        outbox.greet_and_hold(frames(&[MARK + committed]), Pos(committed), 0);
        Self { outbox, committed, delivered, after: None, sent: Vec::new() }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Commit => self.committed += 1,
            Step::Deliver if self.delivered < self.committed => {
                self.delivered += 1;
                let chunk = Chunk { kind: Kind::Durable(Pos(self.delivered)), ..frames(&[self.delivered]) };
                self.outbox.push(&chunk, 0);
            }
            Step::Resume(from) => {
                self.finish();
                let from = from.index(usize::try_from(self.committed).expect("small") + 1) as u64;
                self.outbox.skip();
                self.outbox.push(&frames(&[2 * MARK + from]), 0);
                self.after = Some(from);
            }
            Step::Page => self.page(),
            Step::Release if self.after.is_none() => self.outbox.release(),
            Step::Write(bytes) => self.write(*bytes),
            Step::Deliver | Step::Release => {}
        }
    }

    /// As `resume::step` does it.
    fn page(&mut self) {
        let Some(after) = self.after else { return };
        self.outbox.hold();
        let page: Vec<u64> = (after + 1..=self.committed).take(PAGE).collect();
        let last = page.last().copied().unwrap_or(after);
        if last < self.committed {
            self.outbox.skip();
            self.outbox.push(&frames(&page), 0);
            self.after = Some(last);
        } else {
            self.outbox.open(frames(&page), Pos(self.committed), 0);
            self.after = None;
        }
    }

    fn finish(&mut self) {
        while self.after.is_some() {
            self.page();
        }
    }

    fn write(&mut self, most: usize) {
        let mut scratch = Vec::new();
        let front = self.outbox.front(&mut scratch);
        let bytes = front.len().min(most);
        self.sent.extend_from_slice(&front[..bytes]);
        self.outbox.wrote(bytes);
    }

    /// All frames that the client has got once everything has come to rest.
    fn received(mut self) -> Vec<u64> {
        self.finish();
        self.outbox.release();
        while self.delivered < self.committed {
            self.step(&Step::Deliver);
        }
        while self.outbox.has_work() {
            self.write(usize::MAX);
        }
        self.sent.chunks_exact(8).map(|bytes| u64::from_be_bytes(bytes.try_into().expect("eight"))).collect()
    }
}

fn frames(numbers: &[u64]) -> Chunk {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    let count = u32::try_from(numbers.len()).expect("few");
    Chunk { bytes: bytes.into(), frames: count, kind: Kind::Durable(Pos(u64::MAX)) }
}

proptest! {
    /// After its greeting and after each `resumed` a client gets every later event once, in order: up to the next
    /// resume, or to the end.
    #[test]
    fn whoever_resumes_gets_everything_after_the_cursor_once_and_in_order(
        before in 0_u64..10, late in 0_u64..10, steps in steps(),
    ) {
        let mut scene = Scene::new(before, before.saturating_sub(late));
        for step in &steps {
            scene.step(step);
        }
        let last = scene.committed;
        let received = scene.received();
        let mut next = None;
        for number in received {
            if number >= MARK {
                next = Some(number % MARK + 1);
            } else {
                prop_assert_eq!(Some(number), next);
                next = Some(number + 1);
            }
        }
        prop_assert_eq!(next, Some(last + 1));
    }
}
