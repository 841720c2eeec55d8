//! Encodes texts: in the GSM alphabet or in UCS-2, in one part or several.

use crate::format::gsm7::septets;

/// Septets of a single message on the air: 160 characters, each of which goes to the message centre in one octet.
const GSM_ONE: usize = 160;
/// Septets of one of several parts; its header takes the space of seven characters.
const GSM_PART: usize = 153;
/// Octets of a single message in UCS-2.
const UCS2_ONE: usize = 140;
/// Octets of one of several parts in UCS-2; its header takes six octets.
const UCS2_PART: usize = 134;
/// Maximum number of parts, which are counted in one octet.
const PARTS_MAX: usize = 255;

/// The alphabet that a message centre expects where a text is not in UCS-2. On the air it is always the GSM alphabet, so a
/// character that is missing in either makes the text UCS-2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultAlphabet {
    /// The GSM alphabet (3GPP TS 23.038), one octet per septet.
    #[default]
    Gsm,
    /// ISO 8859-1, one octet per character.
    Latin1,
    /// ASCII, also called IA5.
    Ascii,
}

/// A text in one encoding, split into parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Coded {
    /// Whether it is in UCS-2, and not in the default alphabet.
    pub(super) is_ucs2: bool,
    /// The octets of each part; at least one. If there are several, each begins with a header.
    pub(super) parts: Vec<Vec<u8>>,
}

/// An encoded character, and the room that it takes on the air: septets, in UCS-2 octets.
struct Character {
    octets: Vec<u8>,
    room: usize,
}

impl DefaultAlphabet {
    /// The character in this alphabet; `None` if it is not in it.
    fn encode(self, character: char) -> Option<Character> {
        let septets = septets(character)?;
        let in_ascii = || u8::try_from(character).ok().filter(u8::is_ascii);
        let octets = match self {
            Self::Gsm => septets.as_slice().to_vec(),
            Self::Latin1 => vec![u8::try_from(character).ok()?],
            Self::Ascii => vec![in_ascii()?],
        };
        Some(Character {
            octets,
            room: septets.as_slice().len(),
        })
    }
}

/// Encodes a text. Its parts carry `number`, by which the telephone joins them. `None` if the
/// text is too long.
pub(super) fn code(text: &str, alphabet: DefaultAlphabet, number: u8) -> Option<Coded> {
    let in_default: Option<Vec<_>> = text.chars().map(|c| alphabet.encode(c)).collect();
    let is_ucs2 = in_default.is_none();
    let (one, part, characters) = match in_default {
        Some(characters) => (GSM_ONE, GSM_PART, characters),
        None => (UCS2_ONE, UCS2_PART, text.chars().map(utf16).collect()),
    };
    let room: usize = characters.iter().map(|character| character.room).sum();
    if room <= one {
        let whole = characters
            .into_iter()
            .flat_map(|character| character.octets);
        return Some(Coded {
            is_ucs2,
            parts: vec![whole.collect()],
        });
    }
    let bodies = split(&characters, part);
    let total = u8::try_from(bodies.len())
        .ok()
        .filter(|total| usize::from(*total) <= PARTS_MAX)?;
    let parts = (1..=total)
        .zip(bodies)
        .map(|(at, body)| [header(number, total, at).as_slice(), &body].concat())
        .collect();
    Some(Coded { is_ucs2, parts })
}

fn utf16(character: char) -> Character {
    let octets: Vec<u8> = character
        .encode_utf16(&mut [0; 2])
        .iter()
        .flat_map(|unit| unit.to_be_bytes())
        .collect();
    Character {
        room: octets.len(),
        octets,
    }
}

/// Splits between characters only: half a surrogate pair means nothing to a telephone.
fn split(characters: &[Character], room: usize) -> Vec<Vec<u8>> {
    let (mut parts, mut used) = (vec![Vec::new()], 0);
    for character in characters {
        used += character.room;
        if used > room {
            parts.push(Vec::new());
            used = character.room;
        }
        if let Some(part) = parts.last_mut() {
            part.extend(&character.octets);
        }
    }
    parts
}

/// The header: its length, then one element for concatenation with a reference of 8 bits
/// (3GPP TS 23.040 §9.2.3.24.1).
fn header(number: u8, total: u8, at: u8) -> [u8; 6] {
    [5, 0, 3, number, total, at]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::gsm7::tests::decode;

    fn gsm(text: &str) -> Option<Coded> {
        code(text, DefaultAlphabet::Gsm, 7)
    }

    /// The text as a telephone reassembles it.
    fn read(coded: &Coded) -> String {
        let total = coded.parts.len();
        let bodies = coded.parts.iter().zip(1..).map(|(part, at)| {
            if total == 1 {
                return part.as_slice();
            }
            assert_eq!(part[..6], [5, 0, 3, 7, u8::try_from(total).unwrap(), at]);
            &part[6..]
        });
        // Each part is decoded separately: a telephone would show a split character as two wrong
        // ones.
        let text = bodies.map(|body| {
            if !coded.is_ucs2 {
                assert!(body.len() <= 160 && (total == 1 || body.len() <= 153));
                return decode(body);
            }
            assert!(body.len() <= 140 && (total == 1 || body.len() <= 134));
            let units: Vec<_> = body
                .chunks(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect();
            String::from_utf16(&units).unwrap()
        });
        text.collect()
    }

    #[test]
    fn a_text_takes_as_many_parts_as_on_the_air() {
        for (text, parts, is_ucs2) in [
            (String::new(), 1, false),
            ("a".repeat(160), 1, false),
            ("a".repeat(161), 2, false),
            ("€".repeat(80), 1, false),
            // 76 of them fit into a part of 153.
            ("€".repeat(153), 3, false),
            ("ó".repeat(70), 1, true),
            ("ó".repeat(71), 2, true),
            ("😀".repeat(35), 1, true),
            // 33 of them fit into a part of 67 units.
            ("😀".repeat(67), 3, true),
        ] {
            let coded = gsm(&text).unwrap();
            assert_eq!(
                (coded.parts.len(), coded.is_ucs2),
                (parts, is_ucs2),
                "{text}"
            );
            assert_eq!(read(&coded), text);
        }
        assert_eq!(
            gsm("€{}").unwrap().parts,
            [vec![0x1b, 0x65, 0x1b, 0x28, 0x1b, 0x29]]
        );
        assert!(gsm(&"a".repeat(153 * 255)).is_some());
        assert_eq!(gsm(&"a".repeat(153 * 255 + 1)), None);
    }

    #[test]
    fn a_message_centre_gets_the_alphabet_that_it_expects() {
        use DefaultAlphabet::{Ascii, Gsm, Latin1};
        for (text, alphabet, octets) in [
            ("@_[ä", Gsm, Some(vec![0x00, 0x11, 0x1b, 0x3c, 0x7b])),
            ("@_[ä", Latin1, Some(vec![0x40, 0x5f, 0x5b, 0xe4])),
            ("@_[", Ascii, Some(vec![0x40, 0x5f, 0x5b])),
            ("ä", Ascii, None),
            // In Latin-1 but not on the air, and the reverse.
            ("ó", Latin1, None),
            ("€", Latin1, None),
            ("`", Ascii, None),
        ] {
            let coded = code(text, alphabet, 7).unwrap();
            assert_eq!(coded.is_ucs2, octets.is_none(), "{text} {alphabet:?}");
            if let Some(octets) = octets {
                assert_eq!(coded.parts, [octets], "{text} {alphabet:?}");
            }
        }
        // Eighty brackets are 160 septets on the air, whatever they are before.
        for (count, parts) in [(80, 1), (81, 2)] {
            let coded = code(&"[".repeat(count), Latin1, 7).unwrap();
            assert_eq!(coded.parts.len(), parts);
        }
    }

    proptest! {
        #[test]
        fn what_goes_out_reads_as_what_was_written(text in "[ -_a-~€\n]{0,700}", foreign in any::<String>()) {
            prop_assert_eq!(read(&gsm(&text).unwrap()), text.clone());
            let both = text + &foreign;
            prop_assert_eq!(read(&gsm(&both).unwrap()), both);
        }
    }
}
