//! Decimals of any size as text, with all their digits.

use super::meaning::Wanted;

/// Bytes of a decimal at most: 154 digits. No format has more than 76, and to write a number takes a
/// time that grows with the square of its length.
const BYTES_MAX: usize = 64;
/// Zeros that a scale may add.
const SCALE_MAX: usize = 1000;

/// The digits of a whole number in bytes, the highest first, of which the first bit is the sign;
/// `None` if there are too many, or no bytes.
pub(super) fn digits(bytes: &[u8]) -> Option<String> {
    let is_negative = bytes.first()? & 0x80 != 0;
    let filler = if is_negative { 0xff } else { 0 };
    let start = bytes.iter().position(|byte| *byte != filler).unwrap_or(bytes.len());
    let bytes = &bytes[start..];
    if bytes.len() > BYTES_MAX {
        return None;
    }
    // Of a negative number each bit is turned, and one is added.
    let mut rest: Vec<u8> = bytes.iter().map(|byte| byte ^ filler).collect();
    if is_negative {
        let mut carry = true;
        for byte in rest.iter_mut().rev() {
            let (sum, over) = byte.overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, over);
        }
        if carry {
            rest.insert(0, 1);
        }
    }
    let mut digits = Vec::new();
    while rest.iter().any(|byte| *byte != 0) {
        let mut remainder = 0_u32;
        for byte in &mut rest {
            let value = remainder << 8 | u32::from(*byte);
            *byte = u8::try_from(value / 10).unwrap_or(u8::MAX);
            remainder = value % 10;
        }
        digits.push(char::from_digit(remainder, 10).unwrap_or('0'));
    }
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    if is_negative {
        digits.push('-');
    }
    Some(digits.into_iter().rev().collect())
}

/// All digits, with a point before so many of them: text where the contract has text, else a number,
/// without a fraction of nothing but zeros where the contract has whole numbers.
pub(super) fn push_decimal(digits: &str, scale: i32, wanted: Wanted, out: &mut Vec<u8>) {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let places = usize::try_from(scale.unsigned_abs()).unwrap_or(SCALE_MAX).min(SCALE_MAX);
    let zeros = |n: usize| "0".repeat(n);
    let (whole, fraction) = if scale > 0 {
        let all = format!("{}{digits}", zeros((places + 1).saturating_sub(digits.len())));
        let (whole, fraction) = all.split_at(all.len() - places);
        (whole.to_owned(), fraction.to_owned())
    } else if digits == "0" {
        ("0".to_owned(), String::new())
    } else {
        (format!("{digits}{}", zeros(places)), String::new())
    };
    let is_whole = wanted == Wanted::Whole && fraction.bytes().all(|digit| digit == b'0');
    let quote = if wanted == Wanted::Text { "\"" } else { "" };
    let point = if fraction.is_empty() || is_whole { "" } else { "." };
    let fraction = if is_whole { "" } else { &fraction };
    for part in [quote, sign, &whole, point, fraction, quote] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(digits: &str, scale: i32, wanted: Wanted) -> String {
        let mut out = Vec::new();
        push_decimal(digits, scale, wanted, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bytes_are_the_number_that_they_are_in_every_length() {
        for number in [0, 1, -1, 127, 128, -128, -129, 255, 256, -256, i128::MAX, i128::MIN] {
            let bytes = number.to_be_bytes();
            assert_eq!(digits(&bytes).unwrap(), number.to_string());
            let filler = if number < 0 { 0xff } else { 0 };
            let long = [vec![filler; 100], bytes.to_vec()].concat();
            assert_eq!(digits(&long).unwrap(), number.to_string(), "with a sign that goes on");
        }
        assert_eq!(digits(&[0x80]).unwrap(), "-128");
        assert_eq!(digits(&[]), None);
        let large = [&[1][..], &[0; 31]].concat();
        let two_to_248 =
            "452312848583266388373324160190187140051835877600158453279131187530910662656";
        assert_eq!(digits(&large).unwrap(), two_to_248);
        assert_eq!(digits(&[1; 65]), None);
    }

    #[test]
    fn the_point_stands_where_the_scale_says() {
        assert_eq!(decimal("12345", 2, Wanted::Any), "123.45");
        assert_eq!(decimal("-5", 2, Wanted::Text), "\"-0.05\"");
        assert_eq!(decimal("0", 2, Wanted::Any), "0.00");
        assert_eq!(decimal("-500", 2, Wanted::Whole), "-5");
        assert_eq!(decimal("-501", 2, Wanted::Whole), "-5.01");
        assert_eq!(decimal("7", 0, Wanted::Any), "7");
        assert_eq!(decimal("7", -3, Wanted::Any), "7000");
        assert_eq!(decimal("0", -3, Wanted::Any), "0");
    }
}
