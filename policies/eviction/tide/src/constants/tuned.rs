//! Values of constants out of the environment, read by the compiler.

/// A decimal number without a sign or an exponent, such as `3` or `0.25`.
///
/// # Panics
/// Where it is none, which ends the compilation.
pub(super) const fn number(text: &str) -> f64 {
    let digits = text.as_bytes();
    let (mut number, mut scale, mut at) = (0.0, 0.0, 0);
    assert!(!digits.is_empty(), "a constant of tide has no value");
    while at < digits.len() {
        match digits[at] {
            digit @ b'0'..=b'9' => {
                number = number * 10.0 + (digit - b'0') as f64;
                scale *= 10.0;
            }
            b'.' if scale == 0.0 => scale = 1.0,
            _ => panic!("a constant of tide is no decimal number"),
        }
        at += 1;
    }
    if scale > 1.0 { number / scale } else { number }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn decimal_numbers_are_read() {
        assert_eq!(["3", "0.25", "1536", ".5", "2."].map(number), [3.0, 0.25, 1536.0, 0.5, 2.0]);
        for wrong in ["", "1.2.3", "-1", "1e3"] {
            assert!(std::panic::catch_unwind(|| number(wrong)).is_err(), "{wrong}");
        }
    }
}
