//! Messages that hold a picture: `sensor_msgs/msg/Image` and `sensor_msgs/msg/CompressedImage`.

use super::cdr::Cdr;
use crate::error::Problem;
use crate::fit::Raw;
use crate::packed::PixelLayout;
use crate::picture;

/// A type of message with a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageType {
    Plain,
    Compressed,
}

/// A message's stamp in nanoseconds, where it has one, and its picture.
pub(super) struct ImageMessage {
    pub stamp_ns: Option<i64>,
    pub raw: Raw,
}

/// Encodings by the names of ROS (`sensor_msgs/image_encodings.hpp`).
const ENCODINGS: [(&str, PixelLayout); 12] = [
    ("rgb8", PixelLayout::Rgb24),
    ("bgr8", PixelLayout::Bgr24),
    ("rgba8", PixelLayout::Rgba32),
    ("bgra8", PixelLayout::Bgra32),
    ("mono8", PixelLayout::Grey8),
    ("8UC1", PixelLayout::Grey8),
    ("8UC3", PixelLayout::Bgr24),
    ("yuv422", PixelLayout::Uyvy),
    ("uyvy", PixelLayout::Uyvy),
    ("yuv422_yuy2", PixelLayout::Yuyv),
    ("yuyv", PixelLayout::Yuyv),
    ("nv12", PixelLayout::Nv12),
];

impl ImageType {
    /// By the name of the message's type.
    pub fn of(type_name: &str) -> Option<Self> {
        match type_name {
            "sensor_msgs/msg/Image" => Some(ImageType::Plain),
            "sensor_msgs/msg/CompressedImage" => Some(ImageType::Compressed),
            _ => None,
        }
    }

    /// Reads a message with a picture of at most `max_pixels` pixels.
    pub fn read(self, bytes: &[u8], max_pixels: u64) -> Result<ImageMessage, Problem> {
        let mut cdr = Cdr::new(bytes)?;
        let stamp_ns = header(&mut cdr)?;
        let raw = match self {
            ImageType::Plain => plain(&mut cdr, max_pixels)?,
            ImageType::Compressed => {
                // The text says many things about what was before; the bytes say what is.
                cdr.text("format")?;
                picture::decode(cdr.bytes("data")?, max_pixels)?
            }
        };
        Ok(ImageMessage { stamp_ns, raw })
    }
}

/// Reads `std_msgs/msg/Header`; a stamp of zero is none.
fn header(cdr: &mut Cdr<'_>) -> Result<Option<i64>, Problem> {
    let seconds = cdr.u32("header.stamp")? as i32;
    let nanoseconds = cdr.u32("header.stamp")?;
    cdr.text("header.frame_id")?;
    let stamp = i64::from(seconds) * 1_000_000_000 + i64::from(nanoseconds);
    Ok((stamp != 0).then_some(stamp))
}

fn plain(cdr: &mut Cdr<'_>, max_pixels: u64) -> Result<Raw, Problem> {
    let height = cdr.count("height")?;
    let width = cdr.count("width")?;
    let encoding = cdr.text("encoding")?;
    cdr.u8("is_bigendian")?;
    let step = cdr.count("step")?;
    let data = cdr.bytes("data")?;
    let Some((_, layout)) = ENCODINGS.iter().find(|(name, _)| *name == encoding) else {
        let names: Vec<&str> = ENCODINGS.iter().map(|(name, _)| *name).collect();
        let shown: String = encoding.chars().take(40).collect();
        let remedy = format!("these are: {}; convert it before", names.join(", "));
        return Err(Problem::new("", format!("the encoding {shown:?} is not read"), remedy));
    };
    if (width as u64).saturating_mul(height as u64) > max_pixels {
        let what = format!("an image of {width} x {height} pixels");
        return Err(Problem::new("", what, format!("{max_pixels} pixels are the most")));
    }
    layout.read(width, height, Some(step), data).map_err(|what| {
        Problem::new("", what, "the publisher's size, step and data must agree: mend it there")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Pixels;

    /// A `sensor_msgs/msg/Image` in little-endian CDR, written out by hand.
    fn message(
        stamp: [u32; 2],
        width: u32,
        height: u32,
        encoding: &str,
        step: u32,
        data: &[u8],
    ) -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 0];
        let number = |bytes: &mut Vec<u8>, value: u32| {
            bytes.resize(4 + (bytes.len() - 4).next_multiple_of(4), 0);
            bytes.extend(value.to_le_bytes());
        };
        let text = |bytes: &mut Vec<u8>, text: &str| {
            number(bytes, text.len() as u32 + 1);
            bytes.extend(text.bytes());
            bytes.push(0);
        };
        number(&mut bytes, stamp[0]);
        number(&mut bytes, stamp[1]);
        text(&mut bytes, "camera");
        number(&mut bytes, height);
        number(&mut bytes, width);
        text(&mut bytes, encoding);
        bytes.push(1);
        number(&mut bytes, step);
        number(&mut bytes, data.len() as u32);
        bytes.extend(data);
        bytes
    }

    #[test]
    fn pictures_by_their_encodings() {
        type Case<'a> = (&'a str, u32, &'a [u8], usize, &'a [u8]);
        let cases: [Case<'_>; 4] = [
            ("rgb8", 3, &[1, 2, 3, 4, 5, 6], 3, &[1, 2, 3, 4, 5, 6]),
            ("bgr8", 4, &[1, 2, 3, 0, 4, 5, 6, 0], 3, &[3, 2, 1, 6, 5, 4]),
            ("mono8", 1, &[7, 8], 1, &[7, 8]),
            ("8UC1", 2, &[7, 0, 8], 1, &[7, 8]),
        ];
        for (encoding, step, data, channels, expected) in cases {
            let bytes = message([5, 7], 1, 2, encoding, step, data);
            let found = ImageType::Plain.read(&bytes, 10).unwrap();
            assert_eq!(found.stamp_ns, Some(5_000_000_007));
            let pixels = Pixels::U8(expected.to_vec());
            assert_eq!(found.raw, Raw { width: 1, height: 2, channels, pixels }, "{encoding}");
            for length in 0..bytes.len() {
                assert!(ImageType::Plain.read(&bytes[..length], 10).is_err(), "{length}");
            }
        }
        let bytes = message([0, 0], 1, 1, "mono8", 1, &[3]);
        assert_eq!(ImageType::Plain.read(&bytes, 10).unwrap().stamp_ns, None);
        let bytes = message([u32::MAX, 0], 1, 1, "mono8", 1, &[3]);
        let found = ImageType::Plain.read(&bytes, 10).unwrap();
        assert_eq!(found.stamp_ns, Some(-1_000_000_000));
    }

    #[test]
    fn messages_that_lie_are_refused() {
        let cases = [
            (message([1, 1], 1, 1, "mono16", 2, &[0, 0]), "\"mono16\" is not read"),
            (message([1, 1], 9, 9, "mono8", 9, &[0; 81]), "9 x 9"),
            (message([1, 1], u32::MAX, u32::MAX, "mono8", 9, &[]), "pixels"),
            (message([1, 1], 2, 2, "rgb8", 5, &[0; 12]), "rows of 5 bytes"),
            (message([1, 1], 2, 2, "rgb8", u32::MAX, &[0; 12]), "need"),
            (message([1, 1], 0, 2, "rgb8", 3, &[0; 12]), "sides"),
        ];
        for (bytes, says) in cases {
            let Err(error) = ImageType::Plain.read(&bytes, 10) else { panic!("{says}") };
            assert!(error.what.contains(says), "{error:?}");
        }
    }
}
