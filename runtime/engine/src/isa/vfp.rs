//! The floating-point unit of 32-bit Arm (Cortex-M4F, M7, M33, M55): the inner loops of the
//! convolutions, 4 by 4 sums in s0 to s15, and of depthwise ones 4 sums in s0 to s3.
//!
//! VLDM loads several values and moves its pointer in one instruction; no compiler was seen to
//! choose registers so that it could be used (figures in docs/performance.md).
//!
//! VMLA rounds the product, then the sum (Armv7-M manual): the bits of NUMERICS.md. VFMA rounds
//! once and must not stand here.
#![allow(unsafe_code)]

use core::arch::asm;

use crate::kernels::grid::Grid;

/// 4 by 4 sums, row by row.
pub type Tile = [f32; 16];

/// `sum += x * w`, rounded twice.
macro_rules! add_product {
    ($sum:literal, $x:literal, $w:literal) => {
        concat!("vmla.f32 ", $sum, ", ", $x, ", ", $w, "\n")
    };
}

/// One value's products by four weights, added to a row of sums.
macro_rules! row {
    ($s0:literal, $s1:literal, $s2:literal, $s3:literal, $x:literal,
     $w0:literal, $w1:literal, $w2:literal, $w3:literal) => {
        concat!(
            add_product!($s0, $x, $w0),
            add_product!($s1, $x, $w1),
            add_product!($s2, $x, $w2),
            add_product!($s3, $x, $w3),
        )
    };
}

/// All sixteen products of four values by four weights.
macro_rules! outer {
    ($x0:literal, $x1:literal, $x2:literal, $x3:literal,
     $w0:literal, $w1:literal, $w2:literal, $w3:literal) => {
        concat!(
            row!("s0", "s1", "s2", "s3", $x0, $w0, $w1, $w2, $w3),
            row!("s4", "s5", "s6", "s7", $x1, $w0, $w1, $w2, $w3),
            row!("s8", "s9", "s10", "s11", $x2, $w0, $w1, $w2, $w3),
            row!("s12", "s13", "s14", "s15", $x3, $w0, $w1, $w2, $w3),
        )
    };
}

/// `asm!` that may change s0 to s31 and uses no stack.
macro_rules! asm_all_registers {
    ($($body:tt)*) => {
        asm!(
            $($body)*
            out("d0") _, out("d1") _, out("d2") _, out("d3") _,
            out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            out("d8") _, out("d9") _, out("d10") _, out("d11") _,
            out("d12") _, out("d13") _, out("d14") _, out("d15") _,
            options(nostack),
        )
    };
}

/// `sums[p][l] += x[at[p] + k] * w[k * step + l]` over `count` values k, ascending. `None` where x
/// or w is shorter.
///
/// Two steps to a turn, 42 instructions for 32 multiply-adds; an odd one comes first.
#[inline(always)]
pub fn accumulate(
    sums: &mut Tile,
    (x, at): (&[f32], [usize; 4]),
    (w, step): (&[f32], usize),
    count: usize,
) -> Option<()> {
    if count == 0 {
        return Some(());
    }
    if w.len() < reach(count, step)? {
        return None;
    }
    let [x0, x1, x2, x3] = pointers(x, at, count)?;
    // SAFETY: x holds `count` values from each of four pointers on, and w four at each of `count`
    // places `step` apart; nothing else is read. The sums alone are written. The registers named
    // below are all that change.
    unsafe {
        asm_all_registers!(
            "vldmia {sums}, {{s0-s15}}",
            "lsrs {count}, {count}, #1",
            "bcc 2f",
            "vldmia {w}, {{s16-s19}}",
            "add {w}, {w}, {step}",
            "vldmia {x0}!, {{s24}}",
            "vldmia {x1}!, {{s25}}",
            "vldmia {x2}!, {{s26}}",
            "vldmia {x3}!, {{s27}}",
            outer!("s24", "s25", "s26", "s27", "s16", "s17", "s18", "s19"),
            "cmp {count}, #0",
            "beq 3f",
            "2:",
            "vldmia {w}, {{s16-s19}}",
            "add {w}, {w}, {step}",
            "vldmia {x0}!, {{s24-s25}}",
            "vldmia {x1}!, {{s26-s27}}",
            "vldmia {x2}!, {{s28-s29}}",
            "vldmia {x3}!, {{s30-s31}}",
            "vldmia {w}, {{s20-s23}}",
            "add {w}, {w}, {step}",
            outer!("s24", "s26", "s28", "s30", "s16", "s17", "s18", "s19"),
            "subs {count}, {count}, #1",
            outer!("s25", "s27", "s29", "s31", "s20", "s21", "s22", "s23"),
            "bne 2b",
            "3:",
            "vstmia {sums}, {{s0-s15}}",
            sums = in(reg) sums.as_mut_ptr(),
            count = inout(reg) count => _,
            step = in(reg) step.wrapping_mul(size_of::<f32>()),
            w = inout(reg) w.as_ptr() => _,
            x0 = inout(reg) x0 => _,
            x1 = inout(reg) x1 => _,
            x2 = inout(reg) x2 => _,
            x3 = inout(reg) x3 => _,
        );
    }
    Some(())
}

/// `sums[c][l] += x[p][c] * g[p][l]` over the pixels p of two grids, in raster order; nothing where
/// x has none. `None` where g has another number of them, or a grid does not hold its values.
///
/// Two pixels to a turn, 42 instructions for 32 multiply-adds; with an odd number of columns a
/// row's first turn begins at its second half.
#[inline(always)]
pub fn accumulate_pixels(sums: &mut Tile, x: Grid<'_>, g: Grid<'_>) -> Option<()> {
    if x.rows == 0 || x.columns == 0 {
        return Some(());
    }
    let (x, g) = (Course::new(&x)?, Course::new(&g)?);
    if (x.rows, x.columns) != (g.rows, g.columns) {
        return None;
    }
    // SAFETY: both grids hold four values at every pixel, of which there is one at least, as the
    // loops end behind their turns; nothing else is read, as the pointers move by their steps and
    // jumps alone. The sums alone are written. The registers named below are all that change.
    unsafe {
        asm_all_registers!(
            "vldmia {sums}, {{s0-s15}}",
            "1:",
            "adds {left}, {columns}, #1",
            "lsrs {left}, {left}, #1",
            "bcc 3f",
            "2:",
            "vldmia {x}, {{s16-s19}}",
            "add {x}, {x}, {step_x}",
            "vldmia {g}, {{s20-s23}}",
            "add {g}, {g}, {step_g}",
            outer!("s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23"),
            "3:",
            "vldmia {x}, {{s24-s27}}",
            "add {x}, {x}, {step_x}",
            "vldmia {g}, {{s28-s31}}",
            "add {g}, {g}, {step_g}",
            "subs {left}, {left}, #1",
            outer!("s24", "s25", "s26", "s27", "s28", "s29", "s30", "s31"),
            "bne 2b",
            "add {x}, {x}, {jump_x}",
            "add {g}, {g}, {jump_g}",
            "subs {rows}, {rows}, #1",
            "bne 1b",
            "vstmia {sums}, {{s0-s15}}",
            sums = in(reg) sums.as_mut_ptr(),
            rows = inout(reg) x.rows => _,
            columns = in(reg) x.columns,
            left = out(reg) _,
            step_x = in(reg) x.step,
            step_g = in(reg) g.step,
            jump_x = in(reg) x.jump,
            jump_g = in(reg) g.jump,
            x = inout(reg) x.first => _,
            g = inout(reg) g.first => _,
        );
    }
    Some(())
}

/// `sums[p][l] += (g[at[p] + o] * scale[o]) * w[l][o]` over the channels o of `scale`, ascending,
/// an even number of them; rows of w are as many long. `None` where their number is odd, or g or w
/// shorter.
///
/// Two channels to a turn, 51 instructions for 32 multiply-adds: g is scaled anew for each tile of
/// input channels, as only the sums have room in registers.
#[inline(always)]
pub fn accumulate_scaled(
    sums: &mut Tile,
    (g, at): (&[f32], [usize; 4]),
    w: &[f32],
    scale: &[f32],
) -> Option<()> {
    let count = scale.len();
    if count % 2 != 0 {
        return None;
    }
    if count == 0 {
        return Some(());
    }
    let [g0, g1, g2, g3] = pointers(g, at, count)?;
    let [w0, w1, w2, w3] = pointers(w, [0, count, 2 * count, 3 * count], count)?;
    // SAFETY: g, w and scale hold `count` values from each of their pointers on, an even number
    // above 0, at which the loop ends; nothing else is read. The sums alone are written. The
    // registers named below are all that change.
    unsafe {
        asm_all_registers!(
            "vldmia {sums}, {{s0-s15}}",
            "2:",
            "vldmia {scale}!, {{s24-s25}}",
            "vldmia {w0}!, {{s16-s17}}",
            "vldmia {w1}!, {{s18-s19}}",
            "vldmia {w2}!, {{s20-s21}}",
            "vldmia {w3}!, {{s22-s23}}",
            "vldmia {g0}!, {{s26-s27}}",
            "vldmia {g1}!, {{s28-s29}}",
            "vldmia {g2}!, {{s30-s31}}",
            "vmul.f32 s26, s26, s24",
            "vmul.f32 s27, s27, s25",
            "vmul.f32 s28, s28, s24",
            "vmul.f32 s29, s29, s25",
            "vmul.f32 s30, s30, s24",
            "vmul.f32 s31, s31, s25",
            row!("s0", "s1", "s2", "s3", "s26", "s16", "s18", "s20", "s22"),
            row!("s0", "s1", "s2", "s3", "s27", "s17", "s19", "s21", "s23"),
            "vldmia {g3}!, {{s26-s27}}",
            row!("s4", "s5", "s6", "s7", "s28", "s16", "s18", "s20", "s22"),
            "vmul.f32 s26, s26, s24",
            "vmul.f32 s27, s27, s25",
            row!("s8", "s9", "s10", "s11", "s30", "s16", "s18", "s20", "s22"),
            row!("s12", "s13", "s14", "s15", "s26", "s16", "s18", "s20", "s22"),
            row!("s4", "s5", "s6", "s7", "s29", "s17", "s19", "s21", "s23"),
            "subs {count}, {count}, #2",
            row!("s8", "s9", "s10", "s11", "s31", "s17", "s19", "s21", "s23"),
            row!("s12", "s13", "s14", "s15", "s27", "s17", "s19", "s21", "s23"),
            "bne 2b",
            "vstmia {sums}, {{s0-s15}}",
            sums = in(reg) sums.as_mut_ptr(),
            count = inout(reg) count => _,
            scale = inout(reg) scale.as_ptr() => _,
            w0 = inout(reg) w0 => _,
            w1 = inout(reg) w1 => _,
            w2 = inout(reg) w2 => _,
            w3 = inout(reg) w3 => _,
            g0 = inout(reg) g0 => _,
            g1 = inout(reg) g1 => _,
            g2 = inout(reg) g2 => _,
            g3 = inout(reg) g3 => _,
        );
    }
    Some(())
}

/// `sums[l] += (a[p][l] * scale[l]) * b[p][l]` over the places p of two grids, in raster order;
/// nothing where a has none. `None` where b has another number of them, or a grid does not hold its
/// values.
///
/// 14 instructions for 4 multiply-adds.
#[inline(always)]
pub fn accumulate_lanes(
    sums: &mut [f32; 4],
    a: Grid<'_>,
    scale: &[f32; 4],
    b: Grid<'_>,
) -> Option<()> {
    if a.rows == 0 || a.columns == 0 {
        return Some(());
    }
    let (a, b) = (Course::new(&a)?, Course::new(&b)?);
    if (a.rows, a.columns) != (b.rows, b.columns) {
        return None;
    }
    // SAFETY: both grids hold four values at every place, of which there is one at least, as the
    // loops end behind their turns; so does the scale. Nothing else is read, as the pointers move
    // by their steps and jumps alone. The sums alone are written. The registers named below are all
    // that change.
    unsafe {
        asm!(
            "vldmia {sums}, {{s0-s3}}",
            "vldmia {scale}, {{s12-s15}}",
            "1:",
            "mov {left}, {columns}",
            "2:",
            "vldmia {a}, {{s4-s7}}",
            "add {a}, {a}, {step_a}",
            "vldmia {b}, {{s8-s11}}",
            "add {b}, {b}, {step_b}",
            "subs {left}, {left}, #1",
            "vmul.f32 s4, s4, s12",
            "vmul.f32 s5, s5, s13",
            "vmul.f32 s6, s6, s14",
            "vmul.f32 s7, s7, s15",
            add_product!("s0", "s4", "s8"),
            add_product!("s1", "s5", "s9"),
            add_product!("s2", "s6", "s10"),
            add_product!("s3", "s7", "s11"),
            "bne 2b",
            "add {a}, {a}, {jump_a}",
            "add {b}, {b}, {jump_b}",
            "subs {rows}, {rows}, #1",
            "bne 1b",
            "vstmia {sums}, {{s0-s3}}",
            sums = in(reg) sums.as_mut_ptr(),
            scale = in(reg) scale.as_ptr(),
            rows = inout(reg) a.rows => _,
            columns = in(reg) a.columns,
            left = out(reg) _,
            step_a = in(reg) a.step,
            step_b = in(reg) b.step,
            jump_a = in(reg) a.jump,
            jump_b = in(reg) b.jump,
            a = inout(reg) a.first => _,
            b = inout(reg) b.first => _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _,
            out("d4") _, out("d5") _, out("d6") _, out("d7") _,
            options(nostack),
        );
    }
    Some(())
}

/// How a pointer passes a grid that has a place, and four values at each.
struct Course {
    first: *const f32,
    rows: usize,
    columns: usize,
    /// Bytes to the next column.
    step: isize,
    /// Bytes from behind a row's last column to the next row.
    jump: isize,
}

impl Course {
    /// `None` for a grid that does not hold them, or has no place.
    #[inline(always)]
    fn new(grid: &Grid<'_>) -> Option<Course> {
        let &Grid { values, start, rows, columns, step, row_step } = grid;
        if !grid.holds(4) {
            return None;
        }
        let bytes = |values: isize| values.wrapping_mul(size_of::<f32>() as isize);
        let jump = bytes(row_step.wrapping_sub(step.wrapping_mul(columns as isize)));
        let first = values.as_ptr().wrapping_add(start);
        Some(Course { first, rows, columns, step: bytes(step), jump })
    }
}

/// Where the four runs of `count` values at `at` begin; `None` where one of them leaves the slice.
#[inline(always)]
fn pointers(values: &[f32], at: [usize; 4], count: usize) -> Option<[*const f32; 4]> {
    let last = values.len().checked_sub(count)?;
    let [a, b, c, d] = at;
    if a > last || b > last || c > last || d > last {
        return None;
    }
    let first = values.as_ptr();
    Some([
        first.wrapping_add(a),
        first.wrapping_add(b),
        first.wrapping_add(c),
        first.wrapping_add(d),
    ])
}

/// Values of a run that holds four at each of `count` places, `step` apart; `None` where no memory
/// has so many.
#[inline(always)]
fn reach(count: usize, step: usize) -> Option<usize> {
    (count - 1).checked_mul(step)?.checked_add(4)
}
