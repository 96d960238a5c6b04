#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| testkit::fuzz::text::attest_open_enclave_request(data));
