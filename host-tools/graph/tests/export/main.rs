//! The ONNX exporter against onnxruntime, with the f64 interpreter and float64 references as judges.

mod cases;
mod networks;
mod ops;
mod support;
mod windows;
