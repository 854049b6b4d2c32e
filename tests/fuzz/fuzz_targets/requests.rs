//! Fuzzes the door `requests`.
#![no_main]

use gradgate_tests::doors::Door;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    Door::named("requests").check(bytes);
});
