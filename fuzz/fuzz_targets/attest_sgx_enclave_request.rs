#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| testkit::fuzz::text::attest_sgx_enclave_request(data));
