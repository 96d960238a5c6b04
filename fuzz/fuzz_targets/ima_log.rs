#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| testkit::fuzz::tpm::ima_log(data));
