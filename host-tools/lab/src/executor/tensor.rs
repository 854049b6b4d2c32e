//! Between numbers on the host and Burn's tensors, and between a graph's shapes and a batch's.

use burn_backend::tensor::FloatTensor;
use burn_backend::{Backend, Shape, TensorData, TensorMetadata};
use gradgate_graph::graph::Tensor;

use crate::array::Array;
use crate::error::LabError;

/// A host array on the device.
pub(crate) fn upload<B: Backend>(array: &Array, device: &B::Device) -> FloatTensor<B> {
    let data = TensorData::new(array.data().to_vec(), array.shape().to_vec());
    B::float_from_data(data, device)
}

/// A graph's constant on the device; a scalar becomes `[1]`.
pub(crate) fn upload_tensor<B: Backend>(tensor: &Tensor, device: &B::Device) -> FloatTensor<B> {
    let shape = if tensor.shape.is_empty() { vec![1] } else { tensor.shape.clone() };
    B::float_from_data(TensorData::new(tensor.data.to_vec(), shape), device)
}

/// A tensor on the host.
///
/// # Errors
/// When the device fails.
pub(crate) fn download<B: Backend>(tensor: FloatTensor<B>) -> Result<Array, LabError> {
    let shape = dims::<B>(&tensor);
    let data = burn_backend::read_sync(B::float_into_data(tensor))
        .map_err(|error| LabError::Device(format!("reading from the device: {error:?}")))?;
    let data = data
        .into_vec::<f32>()
        .map_err(|error| LabError::Device(format!("reading from the device: {error:?}")))?;
    Ok(Array::new(shape, data))
}

/// Length of every axis.
pub(crate) fn dims<B: Backend>(tensor: &FloatTensor<B>) -> Vec<usize> {
    tensor.shape().iter().copied().collect()
}

/// As a tensor of `shape`.
pub(crate) fn reshape<B: Backend>(tensor: FloatTensor<B>, shape: &[usize]) -> FloatTensor<B> {
    B::float_reshape(tensor, Shape::from(shape.to_vec()))
}

/// A per-channel vector `[C]` as `[1, C, 1, ..]` of a rank.
pub(crate) fn per_channel<B: Backend>(vector: FloatTensor<B>, rank: usize) -> FloatTensor<B> {
    let mut shape = vec![1; rank];
    shape[1] = dims::<B>(&vector)[0];
    reshape::<B>(vector, &shape)
}

/// Reshapes from the graph's shape `from` to `to`, the batch staying in axis 0 of a frame value.
pub(crate) fn reshape_frames<B: Backend>(
    tensor: FloatTensor<B>,
    from: &[usize],
    to: &[usize],
) -> FloatTensor<B> {
    let elements: usize = from.iter().product();
    let batch = dims::<B>(&tensor).iter().product::<usize>() / elements.max(1);
    let mut shape = to.to_vec();
    if let Some(first) = shape.first_mut() {
        *first *= batch;
    }
    reshape::<B>(tensor, &shape)
}
