//! Reads the octets of a receipt's text in the alphabets that message centres use. Which one it is cannot be told from
//! `data_coding`: many message centres give a wrong one, or none.

/// An alphabet, by how it turns octets into units of UTF-16. All agree on the Latin letters that receipts are made of.
type Alphabet = fn(&[u8]) -> Vec<u16>;

/// The alphabets, the likeliest first. In all but the right one a receipt has no fields.
const ALPHABETS: [Alphabet; 5] = [
    one_octet,
    big_endian,
    little_endian,
    behind_an_odd_header,
    packed,
];

/// The text as it reads in each alphabet.
pub(super) fn readings(octets: &[u8]) -> impl Iterator<Item = String> {
    ALPHABETS.iter().map(|read| text(&read(octets)))
}

/// ASCII, Latin-1, and the GSM alphabet with one octet for each septet.
fn one_octet(octets: &[u8]) -> Vec<u16> {
    octets.iter().map(|octet| u16::from(*octet)).collect()
}

/// UCS-2 with the higher octet of each unit first, as the standard has it.
fn big_endian(octets: &[u8]) -> Vec<u16> {
    let units = octets.as_chunks().0.iter();
    units.map(|unit| u16::from_be_bytes(*unit)).collect()
}

/// UCS-2 with the octets of each unit in the other order.
fn little_endian(octets: &[u8]) -> Vec<u16> {
    let units = octets.as_chunks().0.iter();
    units.map(|unit| u16::from_le_bytes(*unit)).collect()
}

/// UCS-2 behind a header with an odd number of octets, which nothing announces.
fn behind_an_odd_header(octets: &[u8]) -> Vec<u16> {
    big_endian(octets.get(1..).unwrap_or_default())
}

/// The GSM alphabet as on the air, with eight septets in seven octets (3GPP TS 23.038 §6.1.2.1).
fn packed(octets: &[u8]) -> Vec<u16> {
    let septet = |at: usize| {
        let (octet, bit) = (at * 7 / 8, at * 7 % 8);
        let low = u16::from(octets[octet]);
        let high = octets.get(octet + 1).map_or(0, |next| u16::from(*next));
        ((high << 8 | low) >> bit) & 0x7f
    };
    (0..octets.len() * 8 / 7).map(septet).collect()
}

fn text(units: &[u16]) -> String {
    char::decode_utf16(units.iter().copied())
        .map(|unit| match unit.unwrap_or(char::REPLACEMENT_CHARACTER) {
            // The low line of the GSM alphabet, which ids are made with.
            '\u{11}' => '_',
            // Padding and line ends.
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The text with eight septets in seven octets.
    pub(in super::super) fn pack(text: &str) -> Vec<u8> {
        let bits: Vec<u8> = text
            .bytes()
            .flat_map(|septet| (0..7).map(move |bit| septet >> bit & 1))
            .collect();
        bits.chunks(8)
            .map(|octet| {
                let bits = octet.iter().zip(0..);
                bits.fold(0, |octet, (bit, at)| octet | bit << at)
            })
            .collect()
    }

    #[test]
    fn send_20_one_of_the_readings_is_the_text() {
        let text = "id:AB_1 stat:DELIVRD err:000";
        let wide =
            |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<_>>();
        for octets in [
            text.as_bytes().to_vec(),
            text.replace('_', "\u{11}").into_bytes(),
            wide(u16::to_be_bytes),
            wide(u16::to_le_bytes),
            [&[0], wide(u16::to_be_bytes).as_slice()].concat(),
            pack(text),
        ] {
            let found = readings(&octets).any(|reading| reading.trim() == text);
            assert!(found, "{octets:?}");
        }
        assert!(readings(&[]).all(|reading| reading.is_empty()));
    }
}
