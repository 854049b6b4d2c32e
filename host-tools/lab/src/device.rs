//! Where the laboratory computes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use gradgate_graph::graph::Graph;

use crate::classifier::Classifier;
use crate::error::LabError;
#[cfg(feature = "cuda")]
use crate::executor::BurnClassifier;
use crate::host_classifier::HostClassifier;

/// The backend on the CPU.
pub type Cpu = burn_flex::Flex;
/// The backend on an NVIDIA GPU.
#[cfg(feature = "cuda")]
pub type Cuda = burn_cuda::Cuda;

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// All cores of this machine.
    #[default]
    Cpu,
    /// The first NVIDIA GPU.
    Cuda,
}

impl FromStr for Device {
    type Err = LabError;

    fn from_str(name: &str) -> Result<Self, LabError> {
        match name {
            "cpu" => Ok(Device::Cpu),
            "cuda" => Ok(Device::Cuda),
            other => Err(LabError::Options(format!("device `{other}`: it is cpu or cuda"))),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Device::Cpu => "cpu",
            Device::Cuda => "cuda",
        })
    }
}

impl Device {
    /// Refuses a device that is not there.
    ///
    /// # Errors
    /// When this build knows no GPU, or there is no driver.
    pub fn check(self) -> Result<(), LabError> {
        match self {
            Device::Cpu => Ok(()),
            Device::Cuda if !cfg!(feature = "cuda") => Err(LabError::Device(
                "this build has no GPU support; build it with `--features cuda`, or leave \
                 `--device cuda` out"
                    .to_owned(),
            )),
            Device::Cuda => driver(),
        }
    }
}

/// Burn's CUDA backend panics in a thread of its own without a driver, so it is looked for first.
fn driver() -> Result<(), LabError> {
    let nodes = ["/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg"];
    if nodes.iter().any(|node| std::path::Path::new(node).exists()) {
        return Ok(());
    }
    Err(LabError::Device(
        "no NVIDIA driver on this machine (no /dev/nvidia0); leave `--device cuda` out".to_owned(),
    ))
}

/// A classifier that executes `graph` on `device`.
///
/// # Errors
/// When the device is absent, or the graph holds an operation that cannot be executed in batches.
pub fn open(graph: Arc<Graph>, device: Device) -> Result<Box<dyn Classifier>, LabError> {
    device.check()?;
    match device {
        Device::Cpu => Ok(Box::new(HostClassifier::new(graph)?)),
        #[cfg(feature = "cuda")]
        Device::Cuda => Ok(Box::new(BurnClassifier::<Cuda>::new(graph, Default::default(), 64)?)),
        #[cfg(not(feature = "cuda"))]
        Device::Cuda => Device::Cuda.check().and_then(|()| unreachable_device()),
    }
}

#[cfg(not(feature = "cuda"))]
fn unreachable_device() -> Result<Box<dyn Classifier>, LabError> {
    Err(LabError::Device("this build has no GPU support".to_owned()))
}
