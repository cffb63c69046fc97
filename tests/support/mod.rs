//! What the tests of the system share.

pub mod counter;
