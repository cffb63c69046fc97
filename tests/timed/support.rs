//! Test equipment that only these tests use.

pub mod fake_logind;
pub mod lab;
pub mod studio;
pub mod xvfb;
