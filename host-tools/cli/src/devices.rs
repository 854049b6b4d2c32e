//! What a device of each class is assumed to hold; a real board may hold more or less.

use anyhow::{Result, bail};
use gradgate_bundle::manifest::DeviceClass;

use crate::output::bytes;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Memory that is assumed for a class, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// The class.
    pub class: DeviceClass,
    /// Contiguous RAM for the arena and one frame.
    pub ram: u64,
    /// Flash for one bundle.
    pub flash: u64,
    /// A chip of the class with at least this much.
    pub example: &'static str,
}

/// Common mid-range chips of each class, the smallest first; `any` promises nothing and limits
/// nothing.
pub const DEVICES: [Device; 5] = [
    Device { class: DeviceClass::CortexM4F, ram: 256 * KIB, flash: MIB, example: "nRF52840" },
    Device { class: DeviceClass::CortexM33, ram: 512 * KIB, flash: 2 * MIB, example: "STM32U585" },
    Device { class: DeviceClass::CortexM7, ram: 512 * KIB, flash: 2 * MIB, example: "STM32H743" },
    Device { class: DeviceClass::CortexM55, ram: 2 * MIB, flash: 4 * MIB, example: "Ensemble E3" },
    Device { class: DeviceClass::Linux, ram: 1024 * MIB, flash: 4096 * MIB, example: "Jetson" },
];

/// What a bundle needs of a device, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Arena and one frame.
    pub ram: u64,
    /// The file.
    pub flash: u64,
}

impl Device {
    /// The class's row; `None` for `any`.
    pub fn of(class: DeviceClass) -> Option<&'static Device> {
        DEVICES.iter().find(|device| device.class == class)
    }

    /// The smallest class that holds a bundle; `None` where none does.
    pub fn smallest(needs: &Needs) -> Option<&'static Device> {
        DEVICES.iter().find(|device| device.fits(needs))
    }

    /// Whether a bundle fits.
    pub fn fits(&self, needs: &Needs) -> bool {
        needs.ram <= self.ram && needs.flash <= self.flash
    }

    /// Refuses a bundle that does not fit, with the figures.
    pub fn check(&self, needs: &Needs) -> Result<()> {
        let name = self.class.name();
        let advice = "choose a larger --device-class, or fewer taps at `features`";
        for (what, need, have) in [("RAM", needs.ram, self.ram), ("flash", needs.flash, self.flash)]
        {
            if need > have {
                bail!(
                    "needs {} of {what}, a {name} is assumed to have {}: {advice}",
                    bytes(need),
                    bytes(have)
                );
            }
        }
        Ok(())
    }
}

/// The smallest class that holds a bundle, with what it is assumed to have, for people.
pub fn smallest_text(needs: &Needs) -> String {
    let short = |n: u64| bytes(n).split(" (").next().unwrap_or_default().to_owned();
    match Device::smallest(needs) {
        Some(Device { class, ram, flash, example: _ }) => {
            format!("{} ({} of RAM, {} of flash assumed)", class.name(), short(*ram), short(*flash))
        }
        None => "none: it is too large for every class".to_owned(),
    }
}

/// The class of a name on the command line.
pub fn parse_class(name: &str) -> Result<DeviceClass> {
    match DeviceClass::from_name(name) {
        Some(class) => Ok(class),
        None => {
            let known: Vec<&str> = DeviceClass::ALL.iter().map(|class| class.name()).collect();
            bail!("unknown device class {name:?}; choose one of {}", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_decide() {
        let device = Device::of(DeviceClass::CortexM4F).expect("listed");
        let cases = [
            (256 * KIB, MIB, None),
            (256 * KIB + 1, MIB, Some("RAM")),
            (1, MIB + 1, Some("flash")),
        ];
        for (ram, flash, missing) in cases {
            let needs = Needs { ram, flash };
            assert_eq!(device.fits(&needs), missing.is_none());
            let error = device.check(&needs).err().map(|e| e.to_string());
            assert_eq!(error.is_some(), missing.is_some());
            assert!(error.unwrap_or_default().contains(missing.unwrap_or_default()));
        }
        assert!(Device::of(DeviceClass::Any).is_none());
    }

    #[test]
    fn the_smallest_class_by_table() {
        for (ram, flash, class) in [
            (256 * KIB, MIB, Some(DeviceClass::CortexM4F)),
            (256 * KIB + 1, 1, Some(DeviceClass::CortexM33)),
            (1, MIB + 1, Some(DeviceClass::CortexM33)),
            (513 * KIB, 1, Some(DeviceClass::CortexM55)),
            (3 * MIB, 1, Some(DeviceClass::Linux)),
            (2048 * MIB, 1, None),
        ] {
            let needs = Needs { ram, flash };
            assert_eq!(Device::smallest(&needs).map(|device| device.class), class, "{ram} {flash}");
            let name = class.map_or("none", DeviceClass::name);
            assert!(smallest_text(&needs).starts_with(name), "{}", smallest_text(&needs));
        }
        // A later row is never smaller than an earlier one.
        assert!(DEVICES.is_sorted_by(|a, b| a.ram <= b.ram && a.flash <= b.flash));
    }

    #[test]
    fn unknown_classes_are_refused() {
        assert!(parse_class("cortex-m0").unwrap_err().to_string().contains("cortex-m7"));
    }
}
