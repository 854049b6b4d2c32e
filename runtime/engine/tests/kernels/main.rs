//! Every kernel against naive loops: in f64 with a tolerance, in f32 bit for bit.

mod conv;
mod conv_speed;
mod elementwise;
mod in_place;
mod input_gradient;
mod pixel_gram;
mod pools;
mod support;
mod vector;
