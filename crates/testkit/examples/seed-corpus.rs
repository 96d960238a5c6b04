//! Writes the seeds of the fuzzing corpus. Minimised findings beside them, named otherwise, are kept.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (target, name, bytes) in testkit::fuzz::corpus::seeds() {
        let directory = directory.join(target);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("seed-{name}")), bytes)?;
    }
    Ok(())
}
