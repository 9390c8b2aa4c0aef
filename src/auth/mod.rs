//! Who is it: tokens and API keys; may it: origin, staff, tenant, scope.

mod door;
mod identity;

pub use door::{Admission, Door, Refusal};
pub use identity::Identity;
