//! What the tests of the system share.

pub mod counter;
pub mod daemon;
pub mod lab;
pub mod random;
pub mod recorder;
pub mod studio;
pub mod xvfb;
