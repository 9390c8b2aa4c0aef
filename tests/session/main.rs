//! Sessions over real sockets: who is let in, what is delivered, how it ends.

mod delivery;
mod door;
mod ending;
mod harness;
mod reading;
mod strict;
mod tls;
