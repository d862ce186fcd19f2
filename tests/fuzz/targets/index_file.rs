#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lob_fuzz::index_file::run(data));
