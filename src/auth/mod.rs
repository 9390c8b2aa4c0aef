//! Who is it: tokens and API keys; may it: origin, staff, tenant, scope.

mod identity;

pub use identity::Identity;
