//! The outbox against a plain list that does the same slowly.

use super::*;
use crate::protocol::websocket;
use proptest::prelude::*;

const ROOM: Room = Room { frames: 8, bytes: 200 };

fn chunk(kind: Kind, byte: u8, size: usize) -> Chunk {
    Chunk { bytes: vec![byte; size].into(), frames: 1, kind }
}

fn drain(outbox: &mut Outbox) -> Vec<u8> {
    let (mut scratch, mut all) = (Vec::new(), Vec::new());
    loop {
        let front = outbox.front(&mut scratch).to_vec();
        if front.is_empty() {
            return all;
        }
        outbox.wrote(front.len());
        all.extend(front);
    }
}

#[test]
fn the_greeting_goes_first_and_durable_frames_that_are_in_it_are_not_repeated() {
    let mut outbox = Outbox::new(ROOM);
    for (kind, byte) in [
        (Kind::Durable(Pos(5)), b'a'),
        (Kind::Ephemeral, b'b'),
        (Kind::Durable(Pos(6)), b'c'),
        (Kind::Durable(Pos(7)), b'd'),
    ] {
        assert_eq!(outbox.push(&chunk(kind, byte, 1), 0), Pushed::Behind);
    }
    assert!(!outbox.has_work());
    outbox.open(chunk(Kind::Durable(Pos(6)), b'G', 1), Pos(6), 0);
    assert_eq!(outbox.push(&chunk(Kind::Durable(Pos(6)), b'x', 1), 0), Pushed::Known);
    assert_eq!(outbox.push(&chunk(Kind::Durable(Pos(8)), b'e', 1), 0), Pushed::Behind);
    assert_eq!(drain(&mut outbox), b"Gbde");
    assert_eq!(outbox.push(&chunk(Kind::Ephemeral, b'f', 1), 0), Pushed::First);
}

#[test]
fn without_room_an_ephemeral_frame_is_dropped_and_a_durable_one_ends_the_session() {
    for open in [false, true] {
        let mut outbox = Outbox::new(ROOM);
        if open {
            outbox.open(chunk(Kind::Ephemeral, b'G', 0), Pos(0), 0);
        }
        for _ in 0..8 {
            assert!(matches!(outbox.push(&chunk(Kind::Ephemeral, b'a', 1), 0), Pushed::First | Pushed::Behind));
        }
        assert_eq!(outbox.push(&chunk(Kind::Ephemeral, b'b', 1), 0), Pushed::Dropped);
        assert_eq!(outbox.push(&chunk(Kind::Durable(Pos(9)), b'c', 1), 0), Pushed::Full);
        assert_eq!(outbox.bytes(), 8);
    }
}

#[test]
fn aged_frames_are_dropped_but_never_one_that_has_begun_to_leave_nor_a_durable_one() {
    let mut outbox = Outbox::new(ROOM);
    outbox.open(chunk(Kind::Ephemeral, b'G', 0), Pos(0), 0);
    outbox.push(&chunk(Kind::Ephemeral, b'a', 4), 10);
    outbox.push(&chunk(Kind::Ephemeral, b'b', 4), 10);
    outbox.push(&chunk(Kind::Durable(Pos(1)), b'c', 4), 10);
    outbox.push(&chunk(Kind::Ephemeral, b'd', 4), 11);
    outbox.wrote(1);
    assert_eq!(outbox.drop_aged(70), 0);
    assert_eq!(outbox.drop_aged(71), 1);
    assert_eq!(outbox.drop_aged(72), 1);
    assert_eq!(outbox.drop_aged(500), 0);
    assert_eq!(drain(&mut outbox), b"aaacccc");
}

#[test]
fn a_reply_leaves_before_what_came_after_its_own_change_however_late_it_is() {
    let mut outbox = Outbox::new(ROOM);
    outbox.open(chunk(Kind::Ephemeral, b'G', 1), Pos(0), 0);
    outbox.push(&chunk(Kind::Durable(Pos(1)), b'a', 1), 0);
    outbox.expect_reply();
    assert_eq!(outbox.push(&chunk(Kind::Durable(Pos(3)), b'c', 1), 0), Pushed::Behind);
    assert_eq!((drain(&mut outbox), outbox.has_work()), (b"Ga".to_vec(), false));
    assert_eq!(outbox.push(&chunk(Kind::Ephemeral, b'd', 1), 0), Pushed::Behind);
    outbox.push_reply(&chunk(Kind::Durable(Pos(u64::MAX)), b'R', 1), 0);
    assert_eq!(drain(&mut outbox), b"Rcd");

    // While events are held back for a resume, the reply is held back among them.
    let mut held = Outbox::new(ROOM);
    held.greet_and_hold(chunk(Kind::Ephemeral, b'G', 1), Pos(1), 0);
    held.push(&chunk(Kind::Durable(Pos(2)), b'a', 1), 0);
    held.expect_reply();
    held.push(&chunk(Kind::Durable(Pos(4)), b'c', 1), 0);
    held.push_reply(&chunk(Kind::Durable(Pos(u64::MAX)), b'R', 1), 0);
    assert_eq!(drain(&mut held), b"G");
    held.release();
    assert_eq!(drain(&mut held), b"aRc");

    let mut silent = Outbox::new(ROOM);
    silent.open(chunk(Kind::Ephemeral, b'G', 1), Pos(0), 0);
    silent.expect_reply();
    silent.push(&chunk(Kind::Durable(Pos(1)), b'a', 1), 0);
    silent.forget_reply();
    assert_eq!(drain(&mut silent), b"Ga");
}

#[test]
fn the_close_frame_is_the_last_and_nothing_follows_it() {
    let mut outbox = Outbox::new(ROOM);
    outbox.open(chunk(Kind::Ephemeral, b'G', 1), Pos(0), 0);
    outbox.push(&chunk(Kind::Ephemeral, b'a', 1), 0);
    assert!(outbox.close(Some(Bytes::from_static(b"X"))));
    assert!(!outbox.close(Some(Bytes::from_static(b"Y"))));
    assert_eq!(outbox.push(&chunk(Kind::Durable(Pos(1)), b'b', 1), 0), Pushed::Ending);
    assert_eq!(drain(&mut outbox), b"GaX");

    let mut never_greeted = Outbox::new(ROOM);
    never_greeted.push(&chunk(Kind::Ephemeral, b'a', 1), 0);
    never_greeted.close(Some(Bytes::from_static(b"X")));
    never_greeted.open(chunk(Kind::Ephemeral, b'G', 1), Pos(0), 0);
    assert_eq!(drain(&mut never_greeted), b"X");
}

#[test]
fn an_empty_outbox_holds_no_memory() {
    let mut outbox = Outbox::new(ROOM);
    outbox.open(chunk(Kind::Ephemeral, b'G', 10), Pos(0), 0);
    for _ in 0..5 {
        outbox.push(&chunk(Kind::Ephemeral, b'a', 10), 0);
    }
    drain(&mut outbox);
    assert_eq!((outbox.queue.capacity(), outbox.bytes(), outbox.frames), (0, 0, 0));
}

#[test]
fn many_small_frames_are_gathered_into_one_write_and_a_large_one_is_not_copied() {
    let mut outbox = Outbox::new(Room { frames: 100, bytes: 1 << 20 });
    outbox.open(chunk(Kind::Ephemeral, b'G', 0), Pos(0), 0);
    let large = Chunk { bytes: websocket::encode(websocket::TEXT, &[b'x'; 50_000]), frames: 1, kind: Kind::Ephemeral };
    for _ in 0..3 {
        outbox.push(&chunk(Kind::Ephemeral, b'a', 100), 0);
    }
    outbox.push(&large, 0);
    outbox.push(&large, 0);
    let mut scratch = Vec::new();
    assert_eq!(outbox.front(&mut scratch).len(), 300 + large.bytes.len());
    outbox.wrote(300);
    let front = outbox.front(&mut scratch);
    assert_eq!((front.len(), front.as_ptr()), (large.bytes.len(), large.bytes.as_ptr()));
}

#[derive(Clone, Debug)]
enum Step {
    Push { durable: bool, size: usize },
    Open,
    Write(usize),
    Wait(u32),
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<bool>(), 1_usize..40).prop_map(|(durable, size)| Step::Push { durable, size }),
        1 => Just(Step::Open),
        4 => (1_usize..300).prop_map(Step::Write),
        2 => (0_u32..50).prop_map(Step::Wait),
        1 => Just(Step::Close),
    ];
    proptest::collection::vec(step, 0..80)
}

/// What an outbox should be, said as simply as possible: a list of frames, each a run of its own byte.
#[derive(Default)]
struct Model {
    queue: Vec<(Kind, u32, Vec<u8>, bool)>,
    open: bool,
    closing: bool,
    /// The first of the queue is the greeting, which takes no room.
    greets: bool,
    floor: u64,
    sent: Vec<u8>,
}

impl Model {
    fn push(&mut self, kind: Kind, bytes: Vec<u8>, now: u32) -> &'static str {
        let known = matches!(kind, Kind::Durable(Pos(pos)) if self.open && pos <= self.floor);
        let waiting: Vec<_> = self.queue.iter().skip(usize::from(self.greets)).collect();
        let fits = waiting.len() < 8 && waiting.iter().map(|w| w.2.len()).sum::<usize>() + bytes.len() <= 200;
        match kind {
            _ if self.closing => "ending",
            _ if known => "known",
            Kind::Ephemeral if !fits => "dropped",
            Kind::Durable(_) if !fits => "full",
            _ => {
                self.queue.push((kind, now, bytes, false));
                if self.open && self.queue.len() == 1 { "first" } else { "behind" }
            }
        }
    }

    fn write(&mut self, mut n: usize) {
        while n > 0 && self.open && !self.queue.is_empty() {
            let front = &mut self.queue[0];
            let part = n.min(front.2.len());
            self.sent.extend(front.2.drain(..part));
            front.3 = true;
            n -= part;
            if front.2.is_empty() {
                self.greets = false;
                self.queue.remove(0);
            }
        }
    }
}

proptest! {
    #[test]
    fn it_agrees_with_a_plain_list(steps in steps()) {
        let (mut outbox, mut model) = (Outbox::new(ROOM), Model::default());
        let (mut now, mut pos, mut byte, mut sent) = (0, 0, 0_u8, Vec::<u8>::new());
        for step in steps {
            match step {
                Step::Push { durable, size } => {
                    byte = byte.wrapping_add(1);
                    pos += u64::from(durable);
                    let kind = if durable { Kind::Durable(Pos(pos)) } else { Kind::Ephemeral };
                    let got = match outbox.push(&chunk(kind, byte, size), now) {
                        Pushed::First => "first",
                        Pushed::Behind => "behind",
                        Pushed::Known => "known",
                        Pushed::Dropped => "dropped",
                        Pushed::Full => "full",
                        Pushed::Ending => "ending",
                    };
                    prop_assert_eq!(got, model.push(kind, vec![byte; size], now));
                }
                Step::Open => {
                    let at = pos / 2;
                    outbox.open(chunk(Kind::Durable(Pos(at)), b'G', 500), Pos(at), now);
                    if !model.open && !model.closing {
                        model.open = true;
                        model.floor = at;
                        model.queue.retain(|(kind, ..)| !matches!(kind, Kind::Durable(Pos(p)) if *p <= at));
                        model.queue.insert(0, (Kind::Durable(Pos(at)), now, vec![b'G'; 500], false));
                        model.greets = true;
                    }
                }
                Step::Write(n) => {
                    let mut scratch = Vec::new();
                    let front = outbox.front(&mut scratch).to_vec();
                    let n = n.min(front.len());
                    sent.extend(&front[..n]);
                    outbox.wrote(n);
                    model.write(n);
                }
                Step::Wait(seconds) => {
                    now += seconds;
                    let dropped = outbox.drop_aged(now);
                    if model.open {
                        let before = model.queue.len();
                        model.queue.retain(|(kind, since, _, begun)| *kind != Kind::Ephemeral || *begun || now - since <= 60);
                        prop_assert_eq!(dropped as usize, before - model.queue.len());
                    } else {
                        prop_assert_eq!(dropped, 0);
                    }
                }
                Step::Close => {
                    let first = outbox.close(Some(Bytes::from_static(b"bye")));
                    prop_assert_eq!(first, !model.closing);
                    if first {
                        if !model.open { model.queue.clear(); }
                        (model.closing, model.open) = (true, true);
                        model.queue.push((Kind::Durable(Pos(u64::MAX)), now, b"bye".to_vec(), false));
                    }
                }
            }
            prop_assert_eq!(&sent, &model.sent);
            let waiting: usize = model.queue.iter().map(|(_, _, bytes, _)| bytes.len()).sum();
            prop_assert_eq!(outbox.bytes() as usize, waiting);
            prop_assert_eq!(outbox.has_work(), model.open && !model.queue.is_empty());
        }
    }
}
