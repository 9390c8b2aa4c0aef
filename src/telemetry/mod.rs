//! What the server says about itself: logs, counters, and the redaction that both go through.

pub mod logs;
pub mod metrics;
pub mod names;
mod redact;

pub use redact::redact;
