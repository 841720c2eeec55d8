//! The alphabet of text messages (GSM 03.38): its characters, and the number of septets that each takes.

/// The basic alphabet, ordered by number; U+001B is the escape.
const ALPHABET: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                        abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension: each character with the number that follows an escape.
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
/// The septet before each character of the extension.
const ESCAPE: u8 = 0x1b;

/// An encoded character: one septet, or an escape and one septet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Septets {
    /// A character of the basic alphabet.
    One(u8),
    /// A character of the extension, with its escape.
    Two([u8; 2]),
}

impl Septets {
    /// The septets to send, each below 128.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::One(number) => std::slice::from_ref(number),
            Self::Two(numbers) => numbers,
        }
    }
}

/// Encodes a character; `None` if it is not in the GSM alphabet.
#[must_use]
pub fn septets(character: char) -> Option<Septets> {
    // A shortcut for nearly all characters: letters and digits have their ASCII numbers.
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

/// Latin letters and punctuation outside the alphabet, each with what stands for it there.
const BASE_LETTERS: [(&str, &str); 52] = [
    ("áâãāăą", "a"),
    ("ÁÀÂÃĀĂĄ", "A"),
    ("çćčĉċ", "c"),
    ("ĆČĈĊ", "C"),
    ("ďđð", "d"),
    ("ĎĐÐ", "D"),
    ("êëēĕėęě", "e"),
    ("ÈÊËĒĔĖĘĚ", "E"),
    ("ğĝġģ", "g"),
    ("ĞĜĠĢ", "G"),
    ("ĥħ", "h"),
    ("ĤĦ", "H"),
    ("íîïĩīĭįı", "i"),
    ("ÍÌÎÏĨĪĬĮİ", "I"),
    ("ĵ", "j"),
    ("Ĵ", "J"),
    ("ķ", "k"),
    ("Ķ", "K"),
    ("łĺļľ", "l"),
    ("ŁĹĻĽ", "L"),
    ("ńņň", "n"),
    ("ŃŅŇ", "N"),
    ("óôõōŏő", "o"),
    ("ÓÒÔÕŌŎŐ", "O"),
    ("ŕŗř", "r"),
    ("ŔŖŘ", "R"),
    ("śšşșŝ", "s"),
    ("ŚŠŞȘŜ", "S"),
    ("ťţțŧ", "t"),
    ("ŤŢȚŦ", "T"),
    ("úûũūŭůűų", "u"),
    ("ÚÙÛŨŪŬŮŰŲ", "U"),
    ("ŵ", "w"),
    ("Ŵ", "W"),
    ("ýÿŷ", "y"),
    ("ÝŸŶ", "Y"),
    ("źżž", "z"),
    ("ŹŻŽ", "Z"),
    ("œ", "oe"),
    ("Œ", "OE"),
    ("þ", "th"),
    ("Þ", "Th"),
    ("ĳ", "ij"),
    ("Ĳ", "IJ"),
    ("‘’‚ʼ`´", "'"),
    ("“”„«»", "\""),
    ("‐‑‒–—−", "-"),
    ("…", "..."),
    ("\u{a0}\u{2007}\u{2009}\u{202f}", " "),
    ("·•", "."),
    ("×", "x"),
    ("¢", "c"),
];

/// What stands in the alphabet for a Latin letter or a mark of punctuation that is not in it: `o` for `ó`;
/// `None` if nothing does.
#[must_use]
pub fn base_letters(character: char) -> Option<&'static str> {
    let row = BASE_LETTERS
        .iter()
        .find(|(those, _)| those.contains(character));
    row.map(|(_, base)| *base)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Decodes septets; undefined ones become U+FFFD.
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
    fn base_letters_are_in_the_alphabet_and_stand_for_what_is_not() {
        for (those, base) in BASE_LETTERS {
            assert!(base.chars().all(|c| septets(c).is_some()), "{base}");
            assert!(those.chars().all(|c| septets(c).is_none()), "{those}");
        }
        assert_eq!((base_letters('ó'), base_letters('я')), (Some("o"), None));
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
