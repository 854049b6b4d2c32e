//! hello
#![no_std]
#![no_main]
use cortex_m as _;
use cortex_m_rt::entry;
mod host;

#[repr(C, align(16))]
struct Aligned<const N: usize>([u8; N]);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { semihosting::process::exit(101) }
#[entry]
fn main() -> ! {
    static mut BUNDLE: Aligned<{ 1536 * 1024 }> = Aligned([0; _]);
    let (b, _f) = host::arguments().unwrap();
    let bytes = host::read(&b, &mut BUNDLE.0).unwrap();
    semihosting::println!("{} {:p} {:02x?}", bytes.len(), bytes, &bytes[..4]); semihosting::process::exit(0) }
