//! One case at a time.
