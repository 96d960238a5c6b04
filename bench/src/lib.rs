//! What the stage bench measures with: rounds in turn, medians, and the HTTPS stack without the service.

pub mod floor;
pub mod process;
pub mod rounds;
