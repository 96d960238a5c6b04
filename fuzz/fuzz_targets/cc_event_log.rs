#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| testkit::fuzz::tpm::cc_event_log(data));
