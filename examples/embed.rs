//! A program with Carillon inside: its own route beside Carillon's, and a notification sent without HTTP.
//!
//! ```text
//! cargo run --example embed
//! curl -X POST http://127.0.0.1:8000/orders/7/ship
//! ```
