//! Machines with TPMs that are none: everything a request for attestation has, each piece a field that a test can
//! spoil before it is signed.
//!
//! - what was measured at boot: [`BootLog`].
//! - who quotes it, and the message that carries it: [`Machine`], [`Request`].
//! - what Windows adds: [`vbs`].
//! - the bytes: [`structures`].

mod log;
mod machine;
mod request;
pub mod structures;
pub mod vbs;

pub use log::{BootLog, Measured, tag};
pub use machine::{Machine, Makers};
pub use request::{Binding, Request, Version};
