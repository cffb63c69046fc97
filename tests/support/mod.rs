//! What the tests of the system share.

pub mod counter;
pub mod lab;
pub mod random;
pub mod recorder;
pub mod xvfb;
