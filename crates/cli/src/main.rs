//! The `vouchsafe` command line.

fn main() {}
