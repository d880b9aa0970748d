//! JSON numbers as Python reads and writes them: integers of any size, and `float.__repr__`.

use serde_json::Number;

/// More digits than this Python refuses to read (`sys.int_info.default_max_str_digits`).
pub const MAX_INTEGER_DIGITS: usize = 4300;

/// Why Python has no value for a JSON number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// A float beyond the range of a double.
    #[error("the number is beyond the range of a double")]
    OutOfRange,
    /// An integer of more than [`MAX_INTEGER_DIGITS`] digits.
    #[error("the integer has more than {MAX_INTEGER_DIGITS} digits")]
    TooLong,
}

/// Whether Python reads `number` as an `int`.
pub fn is_integer(number: &Number) -> bool {
    !number.as_str().contains(['.', 'e', 'E'])
}

/// Whether Python can hold `number`.
pub fn check(number: &Number) -> Result<(), NumberError> {
    let text = number.as_str();
    if is_integer(number) {
        let digits = text.trim_start_matches('-').len();
        return if digits > MAX_INTEGER_DIGITS { Err(NumberError::TooLong) } else { Ok(()) };
    }
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() => Ok(()),
        _ => Err(NumberError::OutOfRange),
    }
}

/// The text Python writes for `number`, in `str()` and in `json.dumps` alike.
pub fn canonical(number: &Number) -> String {
    let text = number.as_str();
    if is_integer(number) {
        // `int` knows no negative zero.
        return if text == "-0" { "0".to_owned() } else { text.to_owned() };
    }
    text.parse::<f64>().map_or_else(|_| text.to_owned(), float_repr)
}

/// `float.__repr__`: the shortest digits that read back equal, in scientific notation below 1e-4
/// and from 1e16 on.
pub fn float_repr(float: f64) -> String {
    if !float.is_finite() {
        let name = if float.is_nan() { "nan" } else { "inf" };
        return if float < 0.0 { format!("-{name}") } else { name.to_owned() };
    }
    let scientific = format!("{float:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{float}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}
