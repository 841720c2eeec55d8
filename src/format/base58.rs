//! Base58 with a fixed width: every number has exactly one spelling.

/// Bitcoin's alphabet: without 0, O, I and l, which are easily confused.
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// The value of each character; `NONE` if it is not in the alphabet.
const VALUES: [u8; 256] = values();
const NONE: u8 = u8::MAX;
/// Digits converted per division: 58^5 is the largest power of 58 below 2^32.
const STEP: usize = 5;
const POWERS: [u32; STEP + 1] = [
    1,
    58,
    58_u32.pow(2),
    58_u32.pow(3),
    58_u32.pow(4),
    58_u32.pow(5),
];
/// The largest number of 32-bit words in a number: 320 bits.
const WORDS_MAX: usize = 10;

const fn values() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        #[expect(clippy::cast_possible_truncation, reason = "there are 58")]
        (values[ALPHABET[value] as usize] = value as u8);
        value += 1;
    }
    values
}

/// Encodes at most 40 bytes, a multiple of four, as `DIGITS` characters. A number that does not fit is truncated.
#[must_use]
pub fn encode<const DIGITS: usize>(raw: &[u8]) -> [u8; DIGITS] {
    let mut words = [0; WORDS_MAX];
    let (bytes, _) = raw.as_chunks();
    let mut left = &mut words[..bytes.len()];
    left.iter_mut()
        .zip(bytes)
        .for_each(|(word, bytes)| *word = u32::from_be_bytes(*bytes));
    let mut digits = [ALPHABET[0]; DIGITS];
    for step in digits.rchunks_mut(STEP) {
        let mut rest = divide(left, POWERS[STEP]);
        for digit in step.iter_mut().rev() {
            *digit = ALPHABET[(rest % 58) as usize];
            rest /= 58;
        }
        while let [0, shorter @ ..] = left {
            left = shorter;
        }
    }
    digits
}

/// Decodes characters; `None` if a character is not in the alphabet, or if the number does not fit into `BYTES`.
#[must_use]
pub fn decode<const BYTES: usize>(digits: &[u8]) -> Option<[u8; BYTES]> {
    let mut words = [0; WORDS_MAX];
    let words = &mut words[..BYTES / 4];
    for step in digits.chunks(STEP) {
        let mut value = 0;
        for digit in step {
            let digit = VALUES[usize::from(*digit)];
            if digit == NONE {
                return None;
            }
            value = value * 58 + u32::from(digit);
        }
        if multiply_add(words, POWERS[step.len()], value) != 0 {
            return None;
        }
    }
    let mut raw = [0; BYTES];
    let (bytes, _) = raw.as_chunks_mut();
    bytes
        .iter_mut()
        .zip(words)
        .for_each(|(bytes, word)| *bytes = word.to_be_bytes());
    Some(raw)
}

/// Divides a number, most significant word first, in place; returns the remainder.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a quotient of two words by a divisor above the higher one is one word"
)]
fn divide(words: &mut [u32], by: u32) -> u32 {
    let mut rest = 0;
    for word in words {
        let number = (rest << 32) | u64::from(*word);
        *word = (number / u64::from(by)) as u32;
        rest = number % u64::from(by);
    }
    rest as u32
}

/// Multiplies a number in place and adds to it; returns the overflow.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the lower word stays, and the higher one is carried on"
)]
fn multiply_add(words: &mut [u32], by: u32, add: u32) -> u64 {
    words.iter_mut().rev().fold(u64::from(add), |carry, word| {
        let number = u64::from(*word) * u64::from(by) + carry;
        *word = number as u32;
        number >> 32
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_writes_as_others_do_and_reads_what_it_wrote(raw: [u8; 32], zeros in 0_usize..32) {
            let mut raw = raw;
            raw[..zeros].fill(0);
            let others = bs58::encode(&raw[zeros..]).into_string();
            let digits: [u8; 44] = encode(&raw);
            let text = std::str::from_utf8(&digits).unwrap();
            prop_assert_eq!(text.trim_start_matches('1'), others.trim_start_matches('1'));
            prop_assert_eq!(decode(&digits), Some(raw));
            let short: [u8; 16] = raw[16..].try_into().unwrap();
            prop_assert_eq!(decode(&encode::<22>(&short)), Some(short));
        }

        #[test]
        fn what_it_reads_it_writes_the_same(digits in "[1-9A-HJ-NP-Za-km-z]{44}") {
            if let Some(raw) = decode::<32>(digits.as_bytes()) {
                prop_assert_eq!(&encode::<44>(&raw)[..], digits.as_bytes());
            }
        }
    }

    #[test]
    fn the_greatest_number_fits_and_the_next_does_not() {
        let mut digits: [u8; 22] = encode(&[255; 16]);
        assert_eq!(decode(&digits), Some([255; 16]));
        assert_eq!(
            &digits[..],
            bs58::encode([255; 16]).into_string().as_bytes()
        );
        digits[21] += 1;
        assert_eq!(decode::<16>(&digits), None);
    }

    #[test]
    fn what_is_no_digit_is_refused() {
        for other in ["0", "O", "I", "l", " ", "é", "+"] {
            assert_eq!(
                decode::<16>(format!("{other:1>22}").as_bytes()),
                None,
                "{other}"
            );
        }
    }
}
