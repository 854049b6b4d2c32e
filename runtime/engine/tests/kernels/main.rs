//! Every kernel against naive loops: in f64 with a tolerance, in f32 bit for bit.

mod conv;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod conv_speed;
mod elementwise;
mod in_place;
mod input_gradient;
mod pixel_gram;
mod pools;
mod support;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vector;
