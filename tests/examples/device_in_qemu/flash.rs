//! The board's flash as the firmware leaves it, made here by the same code: an upload through the
//! emulated port, a byte at a time, takes a minute for a bundle of 400 KiB.

use gradgate_bundle::align::AlignedBytes;
use gradgate_bundle::manifest::DeviceClass;
use gradgate_device::flash::{Flash, FlashError, Layout, Region};
use gradgate_device::self_test::EngineTest;
use gradgate_device::settings::{Given, Name, Settings};
use gradgate_device::slots::Slots;
use gradgate_device::upload::Progress;
use gradgate_device::verify::Trust;
use toml::Table;

use crate::bundle::trusted;

const BOARD: &str = include_str!("../../../firmware/boards/mps2-an500/board.toml");
/// Length of the memory that holds the emulated flash.
pub const FLASH_BYTES: usize = 16 * 1024 * 1024;
/// Key of the board's link.
pub const LINK_KEY: [u8; 32] = [7; 32];
/// Elements of the largest arena that a test wants.
const ARENA_ELEMENTS: usize = 1 << 18;

/// A number of board.toml.
fn number(section: &str, name: &str) -> u32 {
    let board: Table = BOARD.parse().expect("board.toml");
    let number = board[section][name].as_integer().expect("a number");
    u32::try_from(number).expect("32 bits")
}

/// Where journal and slots lie on the board.
pub fn layout() -> Layout {
    let sector_bytes = number("flash", "sector_bytes");
    let region = |sector, sectors| Region { address: sector * sector_bytes, sector_bytes, sectors };
    let journal = number("flash", "settings_sectors");
    let slots = journal + number("flash", "journal_sectors");
    let sectors = number("flash", "slot_sectors");
    Layout::new(
        number("flash", "word_bytes"),
        0xFF,
        [region(journal, 1), region(journal + 1, 1)],
        [region(slots, sectors), region(slots + sectors, sectors)],
    )
    .and_then(|layout| layout.with_settings([region(0, 1), region(1, 1)]))
    .expect("the board's layout")
}

/// A flash in memory.
struct Memory(Vec<u8>);

impl Flash for Memory {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let from = address as usize;
        bytes.copy_from_slice(&self.0[from..from + bytes.len()]);
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let from = address as usize;
        self.0[from..from + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashError> {
        self.0[address as usize..(address + length) as usize].fill(0xFF);
        Ok(())
    }
}

/// The flash of a provisioned board with this bundle confirmed.
pub fn confirmed(bundle: &[u8]) -> Vec<u8> {
    let trust = Trust {
        key: trusted(),
        device_class: DeviceClass::CortexM7,
        counter_floor: 0,
        arena_bytes_max: number("memory", "arena_bytes"),
    };
    let mut memory = AlignedBytes::zeroed(bundle.len());
    let mut arena = vec![0.0; ARENA_ELEMENTS];
    let mut test = EngineTest::new(&mut memory, &mut arena);
    let mut flash = Memory(vec![0; FLASH_BYTES]);
    let name = Name::new("emulated").expect("a short name");
    let given = Given { name, signer: trusted().to_bytes(), link_key: LINK_KEY };
    let mut settings = Settings::open(&mut flash, &layout(), 1);
    settings.provision(&mut flash, given).expect("no faults of flash");
    let mut slots = Slots::boot(flash, layout(), trust, &mut test);
    let mut progress = slots.begin(bundle.first_chunk().expect("a prefix")).expect("a bundle");
    while progress != Progress::Finish {
        progress = match progress {
            Progress::Write { offset } => slots.write(offset, &bundle[offset as usize..]),
            _ => slots.prepare(),
        }
        .expect("no faults of flash");
    }
    slots.finish().expect("a whole bundle");
    slots.activate(&mut test).expect("a self-test that passes");
    slots.confirm().expect("a trial");
    slots.into_flash().0
}
