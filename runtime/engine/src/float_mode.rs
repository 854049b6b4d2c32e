//! Whether the floating-point unit rounds as the numerics demand.

use core::hint::black_box;

/// Whether subnormals survive as operands and results, and rounding is to nearest, ties to even.
///
/// Found by arithmetic on values that the compiler cannot see through, so no register is read.
pub fn is_exact() -> bool {
    // (a, b, a * b): an underflowing result, then a subnormal operand.
    let products = [(0x0080_0000, 0x3F00_0000, 0x0040_0000), (1, 0x4000_0000, 2)];
    // (a, b, a + b): 1 + 2^-24 is a tie; 3 * 2^-25 lies above it; 1 + 2^-23 + 2^-24 ties upwards.
    let sums = [
        (0x3F80_0000, 0x3380_0000, 0x3F80_0000),
        (0xBF80_0000, 0xB380_0000, 0xBF80_0000),
        (0x3F80_0000, 0x33C0_0000, 0x3F80_0001),
        (0xBF80_0000, 0xB3C0_0000, 0xBF80_0001),
        (0x3F80_0001, 0x3380_0000, 0x3F80_0002),
    ];
    let value = |bits: u32| f32::from_bits(black_box(bits));
    let exact = |found: f32, bits: u32| black_box(found).to_bits() == bits;
    let products = products.map(|(a, b, bits)| exact(value(a) * value(b), bits));
    let sums = sums.map(|(a, b, bits)| exact(value(a) + value(b), bits));
    products.iter().chain(&sums).all(|&holds| holds)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_rounds_as_it_should() {
        assert!(super::is_exact());
    }
}
