//! The alphabet of text messages (GSM 03.38): which characters it has, and how much room each takes.

/// Its characters, each at its number; the escape stands where it does.
const ALPHABET: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                        abcdefghijklmnopqrstuvwxyzäöñüà";
/// The characters of its extension, each with its number after an escape.
const EXTENSION: [(char, u8); 10] = [
    ('\u{c}', 0x0a),
    ('^', 0x14),
    ('{', 0x28),
    ('}', 0x29),
    ('\\', 0x2f),
    ('[', 0x3c),
    ('~', 0x3d),
    (']', 0x3e),
    ('|', 0x40),
    ('€', 0x65),
];
/// Announces a character of the extension.
const ESCAPE: u8 = 0x1b;

/// A character as it is sent: one number, or an escape and one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Septets {
    /// One of the alphabet itself.
    One(u8),
    /// One of its extension.
    Two([u8; 2]),
}

impl Septets {
    /// The numbers, each below 128.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::One(number) => std::slice::from_ref(number),
            Self::Two(numbers) => numbers,
        }
    }
}

/// How a character is sent; `None` if the alphabet has it not.
#[must_use]
pub fn septets(character: char) -> Option<Septets> {
    // Letters and digits are nearly all that is asked for, and have the same number in ASCII.
    if character.is_ascii_alphanumeric() {
        return u8::try_from(character).ok().map(Septets::One);
    }
    if let Some((_, number)) = EXTENSION
        .iter()
        .find(|(of_extension, _)| *of_extension == character)
    {
        return Some(Septets::Two([ESCAPE, *number]));
    }
    let number = ALPHABET
        .chars()
        .position(|of_alphabet| of_alphabet == character)?;
    u8::try_from(number)
        .ok()
        .filter(|number| *number != ESCAPE)
        .map(Septets::One)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The text of these numbers; what nobody defined is a replacement character.
    pub(crate) fn decode(numbers: &[u8]) -> String {
        let mut numbers = numbers.iter();
        let mut text = String::new();
        while let Some(&number) = numbers.next() {
            let character = if number == ESCAPE {
                let next = numbers.next();
                EXTENSION
                    .iter()
                    .find(|(_, number)| Some(number) == next)
                    .map(|(character, _)| *character)
            } else {
                ALPHABET.chars().nth(number.into())
            };
            text.push(character.unwrap_or('\u{fffd}'));
        }
        text
    }

    #[test]
    fn the_alphabet_has_128_characters_each_at_its_number() {
        assert_eq!(ALPHABET.chars().count(), 128);
        for (number, character) in (0_u8..).zip(ALPHABET.chars()) {
            let expected = (number != ESCAPE).then_some(Septets::One(number));
            assert_eq!(septets(character), expected, "{character:?}");
        }
        for (character, number) in [
            ('@', 0),
            ('\n', 0x0a),
            (' ', 0x20),
            ('¤', 0x24),
            ('A', 0x41),
            ('ü', 0x7e),
            ('à', 0x7f),
        ] {
            assert_eq!(
                septets(character),
                Some(Septets::One(number)),
                "{character:?}"
            );
        }
        assert_eq!(septets('€'), Some(Septets::Two([0x1b, 0x65])));
        for foreign in ['`', 'ó', 'ç', '\t', '\0', '\u{1b}', '😀'] {
            assert_eq!(septets(foreign), None, "{foreign:?}");
        }
    }
}
