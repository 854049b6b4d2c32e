//! Cosine between a weight's gradient and the reference of the predicted class.

use gradgate_bundle::op::ConvAlignmentParams;
use gradgate_bundle::shape::{ConvShape, Parameters};
use gradgate_engine::kernels::conv_alignment::Alignment;

use crate::error::TractError;
use crate::slice_op::SliceOp;
use crate::wires::Site;

/// Adds the cosine; it reads a norm that an earlier step gives.
pub fn wire(site: &mut Site<'_, '_, '_>, p: &ConvAlignmentParams) -> Result<(), TractError> {
    let s = ConvShape::new(&p.conv).map_err(|_| site.unsupported("this geometry"))?;
    let wanted = p.norm.get();
    let place = |features: &[u16; 4]| features.iter().position(|feature| *feature == wanted);
    let norms = &site.wires.features;
    let norm = norms.iter().find_map(|(outlet, features)| Some((*outlet, place(features)?)));
    let (norms, place) = norm.ok_or_else(|| site.unsupported("a norm before it is written"))?;
    let inputs = [site.value(0)?, site.value(1)?, site.value(4)?, norms];
    let (u, v) = (site.constant(2)?, site.constant(3)?);
    let op = SliceOp::new("ConvAlignment", &[1], move |inputs, cosine| {
        let [x, g, logits, norms] = inputs else { return None };
        let alignment = Alignment { s: &s, x, g, u: &u, v: &v, logits };
        let mut scratch = vec![0.0; s.output[0] * s.output[1]];
        cosine.fill(alignment.cosine(*norms.get(place)?, &mut scratch)?);
        Some(())
    });
    site.features(Parameters::ConvAlignment(p).features(), op, &inputs)
}
