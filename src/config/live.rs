//! A value that is replaced as a whole while others read it: settings after a reload, keys after a refresh.

use parking_lot::RwLock;
use std::sync::Arc;

/// Handles share one value. A reader takes the whole of it and goes on with that, whatever is set meanwhile; the lock
/// is held for the copy of a pointer.
#[derive(Debug, Default)]
pub struct Live<T>(Arc<RwLock<Arc<T>>>);

impl<T> Live<T> {
    /// A value to begin with.
    pub fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    /// The value of now.
    pub fn get(&self) -> Arc<T> {
        self.0.read().clone()
    }

    /// Replaces it.
    pub fn set(&self, value: T) {
        *self.0.write() = Arc::new(value);
    }

    /// Replaces it by what `change` makes of it; nobody else changes it in between. `change` must be short.
    pub fn update(&self, change: impl FnOnce(&T) -> T) {
        let mut value = self.0.write();
        *value = Arc::new(change(&value));
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
