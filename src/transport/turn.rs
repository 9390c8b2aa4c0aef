//! Whose turn it is on a connection: the peer's, that is to send a request, or the server's, that is answering one.

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Context,
};

/// Shared by the stream and by what answers its requests.
#[derive(Default)]
pub(super) struct Turn {
    begun: AtomicU64,
    is_upgraded: AtomicBool,
    busy: Mutex<Weak<Busy>>,
    waker: AtomicWaker,
}

/// Held by the body of a request and by that of its answer.
pub(super) struct Busy {
    turn: Arc<Turn>,
}

impl Turn {
    /// A request is there. It is being answered until the last clone is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Arc<Busy> {
        let busy = Arc::new(Busy { turn: self.clone() });
        *self.busy.lock() = Arc::downgrade(&busy);
        self.begun.fetch_add(1, Ordering::AcqRel);
        busy
    }

    /// The connection speaks something else than HTTP from now on.
    pub(super) fn upgrade(&self) {
        self.is_upgraded.store(true, Ordering::Release);
    }

    /// Whether it does.
    pub(super) fn is_upgraded(&self) -> bool {
        self.is_upgraded.load(Ordering::Acquire)
    }

    /// How many requests there were.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// Whether the last one is being answered; if so, the task is woken when that is over.
    pub(super) fn is_busy(&self, context: &mut Context<'_>) -> bool {
        let is_busy = || self.is_upgraded() || self.busy.lock().strong_count() > 0;
        if !is_busy() {
            return false;
        }
        self.waker.register(context.waker());
        is_busy()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.turn.waker.wake();
    }
}
