//! The carillon server: reads arguments, calls one function.

fn main() {}
