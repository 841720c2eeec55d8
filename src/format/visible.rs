//! Which texts a reader can see in full, by the properties of the Unicode Character Database.
//!
//! Source: the Unicode Standard, chapter 4 and annex #44; the joiners by RFC 5892, appendix A.1 and A.2, as far as they
//! change what is seen; the number of marks by Unicode Technical Standard #39, section 5.4. The data is that of the
//! crate `icu_properties`, which the domain names of addresses need already. A character that is newer than this
//! data counts as unassigned.

use std::fmt;

use icu_properties::{
    CodePointMapData, CodePointMapDataBorrowed, CodePointSetData, CodePointSetDataBorrowed,
    props::{
        BidiClass, CanonicalCombiningClass, DefaultIgnorableCodePoint, ExtendedPictographic,
        GeneralCategory, JoiningType, PrependedConcatenationMark,
    },
};

/// Most nonspacing marks on one character (UTS #39 §5.4).
const MARKS_MAX: usize = 4;

const CATEGORY: CodePointMapDataBorrowed<'static, GeneralCategory> = CodePointMapData::new();
const JOINING: CodePointMapDataBorrowed<'static, JoiningType> = CodePointMapData::new();
const COMBINING: CodePointMapDataBorrowed<'static, CanonicalCombiningClass> =
    CodePointMapData::new();
const DIRECTION: CodePointMapDataBorrowed<'static, BidiClass> = CodePointMapData::new();
const IGNORABLE: CodePointSetDataBorrowed<'static> =
    CodePointSetData::new::<DefaultIgnorableCodePoint>();
const PICTOGRAPHIC: CodePointSetDataBorrowed<'static> =
    CodePointSetData::new::<ExtendedPictographic>();
const SHOWN_FORMAT: CodePointSetDataBorrowed<'static> =
    CodePointSetData::new::<PrependedConcatenationMark>();

/// The first character of a text that its reader would not see, or not as what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// Its place, in characters from 1.
    pub at: usize,
    /// The character that was found there.
    pub character: char,
    /// What is wrong with it.
    pub why: Why,
}

/// Why a character is not seen as what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is never drawn, or has no meaning that readers share.
    Hidden,
    /// A joiner or a variation selector at a place where it changes nothing.
    Joiner,
    /// A combining mark without a character that carries it.
    Bare,
    /// One more combining mark than a reader can tell apart.
    Heaped,
}

impl fmt::Display for Unseen {
    /// The end of a sentence that begins with the name of the field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::Hidden => "which cannot be seen",
            Why::Joiner => "which changes nothing there, so it cannot be seen",
            Why::Bare => "a combining mark with no character before it to stand on",
            Why::Heaped => "a combining mark too many on one character",
        };
        let (number, at) = (u32::from(self.character), self.at);
        write!(f, "has U+{number:04X} as character {at}, {why}")
    }
}

/// Finds the first character of a text that cannot be seen; `None` if all can.
#[must_use]
pub fn unseen(text: &str) -> Option<Unseen> {
    let characters: Vec<char> = text.chars().collect();
    let mut marks = Marks::default();
    characters.iter().enumerate().find_map(|(at, &character)| {
        let (before, after) = (&characters[..at], &characters[at + 1..]);
        let why = match character {
            ZWNJ if parts(before, after) => None,
            ZWJ if joins(before, after) => None,
            '\u{fe0e}' | '\u{fe0f}' if ends_in_pictograph(before) => None,
            ZWNJ | ZWJ | '\u{fe0e}' | '\u{fe0f}' => Some(Why::Joiner),
            _ if is_hidden(character) => Some(Why::Hidden),
            _ => marks.add(character),
        };
        let at = at + 1;
        why.map(|why| Unseen { at, character, why })
    })
}

/// Whether a character is never drawn, or has no meaning that readers share: controls, changes of direction, tags,
/// fillers, variation selectors, annotations, joiners, private use, unassigned, and the ends of lines.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    // Drawn is, for example, the Arabic number sign, around the digits after it.
    let is_format =
        || CATEGORY.get(character) == GeneralCategory::Format && !SHOWN_FORMAT.contains(character);
    is_meaningless(character) || is_format() || IGNORABLE.contains(character) || is_blank(character)
}

/// Whether a character has no place in any text for people, not even to control how the rest is shown: controls,
/// overrides of the direction, private use, unassigned, ends of lines, and the signs that stand for a lost character.
#[must_use]
pub fn is_meaningless(character: char) -> bool {
    match CATEGORY.get(character) {
        GeneralCategory::Control
        | GeneralCategory::PrivateUse
        | GeneralCategory::Surrogate
        | GeneralCategory::Unassigned
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => true,
        _ => matches!(
            character,
            '\u{202a}'..='\u{202e}' | '\u{fff9}'..='\u{fffd}' | '\u{e0001}'..='\u{e007f}'
        ),
    }
}

/// Characters that are letters, symbols or marks by their category but are drawn as nothing; no property names them.
const fn is_blank(character: char) -> bool {
    matches!(
        character,
        '\u{2800}' // Braille pattern blank
            | '\u{13441}' | '\u{13442}' // Egyptian hieroglyph full blank and half blank
            | '\u{16fe4}' // Khitan small script filler
            | '\u{1d159}' // musical symbol null notehead
    )
}

const ZWNJ: char = '\u{200c}';
const ZWJ: char = '\u{200d}';

/// Whether a non-joiner between these changes what is seen: it parts two letters that would join, or stops a conjunct.
fn parts(before: &[char], after: &[char]) -> bool {
    before.last().is_some_and(|c| is_virama(*c)) || (joins_on(before) && joins_back(after))
}

/// Whether a joiner between these changes what is seen: it makes a conjunct, gives a letter a joined form that it would
/// not have, or makes one picture of two.
fn joins(before: &[char], after: &[char]) -> bool {
    let Some(last) = before.last() else {
        return joins_back(after);
    };
    let makes_conjunct = is_virama(*last) || after.first().is_some_and(|c| is_virama(*c));
    let makes_picture = || {
        let next = after.first();
        ends_in_pictograph(before) && next.is_some_and(|c| PICTOGRAPHIC.contains(*c))
    };
    makes_conjunct || joins_on(before) != joins_back(after) || makes_picture()
}

fn is_virama(character: char) -> bool {
    COMBINING.get(character) == CanonicalCombiningClass::Virama
}

/// Whether the last letter joins with one after it.
fn joins_on(before: &[char]) -> bool {
    let mut shapes = before.iter().rev().map(|c| JOINING.get(*c));
    let shape = shapes.find(|shape| is_opaque(*shape));
    matches!(
        shape,
        Some(JoiningType::DualJoining | JoiningType::LeftJoining)
    )
}

/// Whether the first letter joins with one before it.
fn joins_back(after: &[char]) -> bool {
    let mut shapes = after.iter().map(|c| JOINING.get(*c));
    let shape = shapes.find(|shape| is_opaque(*shape));
    matches!(
        shape,
        Some(JoiningType::DualJoining | JoiningType::RightJoining)
    )
}

/// Whether it is no mark, which letters join across.
fn is_opaque(shape: JoiningType) -> bool {
    shape != JoiningType::Transparent
}

/// Whether the text ends in an emoji, with its variation selector or skin tone.
fn ends_in_pictograph(before: &[char]) -> bool {
    let is_variant = |c: &&char| matches!(**c, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
    let mut last = before.iter().rev().skip_while(is_variant);
    last.next().is_some_and(|c| PICTOGRAPHIC.contains(*c))
}

/// The combining marks on the latest character.
#[derive(Default)]
struct Marks {
    has_base: bool,
    count: usize,
    latest: Option<char>,
}

impl Marks {
    /// Adds a character that can be seen by itself, or on the one before it.
    fn add(&mut self, character: char) -> Option<Why> {
        match CATEGORY.get(character) {
            GeneralCategory::NonspacingMark
            | GeneralCategory::EnclosingMark
            | GeneralCategory::SpacingMark
                if !self.has_base =>
            {
                Some(Why::Bare)
            }
            GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark => {
                self.count += 1;
                let is_repeat = self.latest.replace(character) == Some(character);
                (is_repeat || self.count > MARKS_MAX).then_some(Why::Heaped)
            }
            GeneralCategory::SpacingMark => {
                self.latest = None;
                None
            }
            _ => {
                *self = Self {
                    has_base: !character.is_whitespace(),
                    ..Self::default()
                };
                None
            }
        }
    }
}

/// Whether a text is written from right to left, by its first character that has a direction.
#[must_use]
pub fn is_right_to_left(text: &str) -> bool {
    let strong = text.chars().find_map(|c| match DIRECTION.get(c) {
        BidiClass::LeftToRight => Some(false),
        BidiClass::RightToLeft | BidiClass::ArabicLetter => Some(true),
        _ => None,
    });
    strong.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<(usize, Why)> {
        unseen(text).map(|unseen| (unseen.at, unseen.why))
    }

    #[test]
    fn bind_12_each_kind_of_character_that_cannot_be_seen_is_found_with_its_place() {
        let ranges = [
            ("controls", 0x00..=0x1f),
            ("controls of the upper half", 0x7f..=0x9f),
            ("soft hyphen", 0xad..=0xad),
            ("grapheme joiner", 0x34f..=0x34f),
            ("Arabic letter mark", 0x61c..=0x61c),
            ("Hangul fillers", 0x115f..=0x1160),
            ("Khmer inherent vowels", 0x17b4..=0x17b5),
            ("Mongolian selectors and separator", 0x180b..=0x180f),
            ("zero-width space", 0x200b..=0x200b),
            ("direction marks", 0x200e..=0x200f),
            ("line and paragraph separator", 0x2028..=0x2029),
            ("embeddings and overrides", 0x202a..=0x202e),
            (
                "word joiner, operators, isolates, deprecated",
                0x2060..=0x206f,
            ),
            ("Braille blank", 0x2800..=0x2800),
            ("Hangul filler", 0x3164..=0x3164),
            ("private use", 0xe000..=0xf8ff),
            ("noncharacters", 0xfdd0..=0xfdef),
            ("text variants", 0xfe00..=0xfe0d),
            ("byte order mark", 0xfeff..=0xfeff),
            ("half-width filler", 0xffa0..=0xffa0),
            ("ignorable and unassigned", 0xfff0..=0xfff8),
            ("annotations and replacements", 0xfff9..=0xfffd),
            ("hieroglyph format", 0x13430..=0x1343f),
            ("shorthand format", 0x1bca0..=0x1bca3),
            ("musical format", 0x1d173..=0x1d17a),
            ("tags", 0xe0000..=0xe007f),
            ("more text variants", 0xe0100..=0xe01ef),
            ("private planes", 0xf0000..=0xf00ff),
        ];
        for (name, range) in ranges {
            for number in range {
                let hidden = char::from_u32(number).unwrap();
                for (text, at) in [("ab", 1), ("ab", 2), ("ab", 3)] {
                    let mut text: Vec<char> = text.chars().collect();
                    text.insert(at - 1, hidden);
                    let text = String::from_iter(text);
                    assert_eq!(
                        found(&text),
                        Some((at, Why::Hidden)),
                        "{name} U+{number:04X}"
                    );
                }
            }
        }
        for plane in 0..=16 {
            for end in [0xfffe, 0xffff] {
                let noncharacter = char::from_u32((plane << 16) | end).unwrap();
                assert!(is_hidden(noncharacter), "{noncharacter:?}");
            }
        }
    }

    #[test]
    fn bind_12_what_people_write_in_their_script_can_be_seen() {
        for text in [
            "EUR 1\u{202f}234,00 \u{20ac} \u{2013} \u{201c}ACME\u{201d} & S\u{f8}n's (50%)",
            "Nguye\u{302}\u{303}n Va\u{306}n Th\u{1ee9}c",
            "\u{141}ukasz \u{17b}\u{f3}\u{142}\u{107}",
            "\u{411}\u{430}\u{43d}\u{43a} \u{397}\u{3bb}\u{3b9}\u{3bf}\u{3c2}",
            // Thai with a vowel and a tone on one letter, Lao, Khmer, Burmese, Tibetan.
            "\u{e17}\u{e35}\u{e48}\u{e2d}\u{e22}\u{e39}\u{e48} \u{e01}\u{e33}",
            "\u{1780}\u{17d2}\u{1793}\u{17bb}\u{1784}",
            "\u{1000}\u{103b}\u{103d}\u{1014}\u{103a}\u{102f}\u{1015}\u{103a}",
            "\u{f62}\u{f92}\u{fb1}\u{f74}",
            // Hindi with a joiner and a non-joiner after its virama, Sinhala, Bengali with a joiner before it.
            "\u{930}\u{94d}\u{200d}\u{92f} \u{915}\u{94d}\u{200c}\u{937}",
            "\u{dc1}\u{dca}\u{200d}\u{dbb}\u{dd3}",
            "\u{9b0}\u{200d}\u{9cd}\u{9af}\u{9be}\u{9ac}",
            // Persian with a non-joiner between letters, Arabic with vowel signs, Hebrew with points.
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            "\u{6f1}\u{6f3} \u{647}\u{200d}",
            "\u{645}\u{64f}\u{62d}\u{64e}\u{645}\u{651}\u{64e}\u{62f}",
            "\u{5e9}\u{5c1}\u{5b8}\u{5dc}\u{5d5}\u{5b9}\u{5dd} \u{5d1}\u{5e2}\u{5f4}\u{5de}",
            "\u{601}\u{661}",
            "\u{4f8b}\u{3048}\u{3000}\u{682a}\u{5f0f}\u{4f1a}\u{793e} \u{d55c}\u{ad6d}\u{c740}\u{d589} \u{304b}\u{3099}",
            // Emoji: with a selector, a skin tone, a flag, a family, a heart on fire.
            "\u{2764}\u{fe0f} \u{1f44d}\u{1f3fd} \u{1f1f3}\u{1f1f1}",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{2764}\u{fe0f}\u{200d}\u{1f525}",
            "\u{1f469}\u{1f3fd}\u{200d}\u{1f680}",
        ] {
            assert_eq!(unseen(text), None, "{text}");
        }
    }

    #[test]
    fn bind_12_a_joiner_or_a_variant_that_changes_nothing_is_hidden() {
        for (text, at) in [
            ("Jan\u{200d}sen", 4),
            ("Jan\u{200c}sen", 4),
            ("\u{200d}\u{915}", 1),
            ("\u{915}\u{200d}", 2),
            ("\u{200d}\u{94d}", 1),
            ("\u{1f525}\u{200d}", 2),
            ("\u{1f525}\u{200d}a", 2),
            ("a\u{200d}\u{1f525}", 2),
            // Two letters that join anyway, and a letter that never joins the next one.
            ("\u{633}\u{200d}\u{644}", 2),
            ("\u{627}\u{200c}\u{644}", 2),
            ("\u{645}\u{6cc}\u{200c}\u{200c}\u{62e}", 3),
            ("Jan\u{fe0f}sen", 4),
            ("1\u{fe0f}00", 2),
            ("\u{fe0e}", 1),
        ] {
            assert_eq!(found(text), Some((at, Why::Joiner)), "{text:?}");
        }
    }

    #[test]
    fn bind_12_marks_stand_on_a_character_and_are_not_heaped() {
        for (text, at) in [
            ("\u{301}a", 1),
            ("a \u{301}", 3),
            ("\u{20dd}", 1),
            ("\u{93f}\u{915}", 1),
            ("a\u{3000}\u{e31}", 3),
        ] {
            assert_eq!(found(text), Some((at, Why::Bare)), "{text:?}");
        }
        let four = "z\u{300}\u{301}\u{302}\u{303}";
        assert_eq!(found(four), None);
        assert_eq!(found(&format!("{four}\u{304}")), Some((6, Why::Heaped)));
        assert_eq!(found("100\u{338}\u{338}"), Some((5, Why::Heaped)));
        assert_eq!(found("e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}"), None);
    }

    #[test]
    fn the_message_names_the_character_and_its_place() {
        for (text, says) in [
            (
                "ab\u{202e}",
                "has U+202E as character 3, which cannot be seen",
            ),
            (
                "\u{e9}\u{e0041}",
                "has U+E0041 as character 2, which cannot be seen",
            ),
            (
                "\u{301}",
                "has U+0301 as character 1, a combining mark with no character before it to stand on",
            ),
        ] {
            assert_eq!(unseen(text).unwrap().to_string(), says);
        }
    }

    #[test]
    fn a_text_has_the_direction_of_its_first_letter() {
        for (text, is) in [
            ("\u{5e9}\u{5dc}", true),
            ("\u{645}\u{631} ACME", true),
            ("12: \u{645}", true),
            ("ACME \u{645}", false),
            ("123", false),
            ("", false),
        ] {
            assert_eq!(is_right_to_left(text), is, "{text}");
        }
    }
}
