//! Encodes texts: in the GSM alphabet or in UCS-2, in one part or several.

use rusmpp::values::DataCoding;

use crate::format::gsm7::septets;

/// Octets of a single message: 160 characters, one octet each, which the message
/// centre packs into septets.
const GSM_ONE: usize = 160;
/// Octets of one of several parts; its header takes the space of seven characters.
const GSM_PART: usize = 153;
/// Octets of a single message in UCS-2.
const UCS2_ONE: usize = 140;
/// Octets of one of several parts in UCS-2; its header takes six octets.
const UCS2_PART: usize = 134;
/// Maximum number of parts, which are counted in one octet.
const PARTS_MAX: usize = 255;

/// A text in one encoding, split into parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Coded {
    pub(super) coding: DataCoding,
    /// The octets of each part; at least one. If there are several, each begins with a header.
    pub(super) parts: Vec<Vec<u8>>,
}

/// Encodes a text. Its parts carry `number`, by which the telephone joins them. `None` if the
/// text is too long.
pub(super) fn code(text: &str, number: u8) -> Option<Coded> {
    let gsm: Option<Vec<_>> = text.chars().map(septets).collect();
    let (coding, one, part, characters) = match gsm {
        // Zero means the message centre's default alphabet: GSM, one octet per septet.
        Some(all) => (
            DataCoding::McSpecific,
            GSM_ONE,
            GSM_PART,
            all.iter()
                .map(|septets| septets.as_slice().to_vec())
                .collect(),
        ),
        None => (
            DataCoding::Ucs2,
            UCS2_ONE,
            UCS2_PART,
            text.chars().map(utf16).collect::<Vec<_>>(),
        ),
    };
    if characters.iter().map(Vec::len).sum::<usize>() <= one {
        return Some(Coded {
            coding,
            parts: vec![characters.concat()],
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
    Some(Coded { coding, parts })
}

fn utf16(character: char) -> Vec<u8> {
    character
        .encode_utf16(&mut [0; 2])
        .iter()
        .flat_map(|unit| unit.to_be_bytes())
        .collect()
}

/// Splits between characters only: half a surrogate pair means nothing to a telephone.
fn split(characters: &[Vec<u8>], room: usize) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    for character in characters {
        let is_full = parts
            .last()
            .is_some_and(|part: &Vec<u8>| part.len() + character.len() > room);
        if is_full {
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.extend(character);
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
            if coded.coding == DataCoding::McSpecific {
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
        for (text, parts, coding) in [
            (String::new(), 1, DataCoding::McSpecific),
            ("a".repeat(160), 1, DataCoding::McSpecific),
            ("a".repeat(161), 2, DataCoding::McSpecific),
            ("€".repeat(80), 1, DataCoding::McSpecific),
            // 76 of them fit into a part of 153.
            ("€".repeat(153), 3, DataCoding::McSpecific),
            ("ó".repeat(70), 1, DataCoding::Ucs2),
            ("ó".repeat(71), 2, DataCoding::Ucs2),
            ("😀".repeat(35), 1, DataCoding::Ucs2),
            // 33 of them fit into a part of 67 units.
            ("😀".repeat(67), 3, DataCoding::Ucs2),
        ] {
            let coded = code(&text, 7).unwrap();
            assert_eq!((coded.parts.len(), coded.coding), (parts, coding), "{text}");
            assert_eq!(read(&coded), text);
        }
        assert_eq!(
            code("€{}", 7).unwrap().parts,
            [vec![0x1b, 0x65, 0x1b, 0x28, 0x1b, 0x29]]
        );
        assert!(code(&"a".repeat(153 * 255), 7).is_some());
        assert_eq!(code(&"a".repeat(153 * 255 + 1), 7), None);
    }

    proptest! {
        #[test]
        fn what_goes_out_reads_as_what_was_written(text in "[ -_a-~€\n]{0,700}", foreign in any::<String>()) {
            prop_assert_eq!(read(&code(&text, 7).unwrap()), text.clone());
            let both = text + &foreign;
            prop_assert_eq!(read(&code(&both, 7).unwrap()), both);
        }
    }
}
