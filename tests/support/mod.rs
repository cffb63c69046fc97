//! What the tests of the system share.

pub mod counter;
pub mod random;
pub mod recorder;
pub mod xvfb;
