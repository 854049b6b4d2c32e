//! The ONNX exporter in onnxruntime, judged by the f64 interpreter and float64 references.

mod cases;
mod networks;
mod ops;
mod support;
mod windows;
