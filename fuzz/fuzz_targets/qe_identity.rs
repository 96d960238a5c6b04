#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| testkit::fuzz::sgx::qe_identity(data));
