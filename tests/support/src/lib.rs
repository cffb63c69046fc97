//! Test equipment that several test programs share. It runs the real programs and judges them from outside.
//! Equipment of only one test program is in that program's folder.

#![allow(clippy::new_without_default)] // Tests name the things they make.

pub mod counter;
pub mod daemon;
pub mod paths;
pub mod ports;
pub mod postgres;
pub mod program;
pub mod random;
pub mod recorder;
pub mod s3;
pub mod scenario_file;
pub mod sealed_recording;
pub mod server;
pub mod tls;
pub mod upload_server;
