//! Base64 as people and programs write it.

use ::base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Decodes the standard and the URL alphabet, with or without padding and line breaks.
///
/// A blank counts as `+`, which is what a careless URL makes of it.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let plain: String = text
        .chars()
        .filter(|c| !matches!(c, '\r' | '\n' | '\t'))
        .map(|c| match c {
            ' ' | '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    ENGINE.decode(plain).ok()
}

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_same_bytes() {
        for text in ["++//AQ==", "++//AQ", "--__AQ", "  //AQ==", "++//\r\nAQ==\n", "++__AQ=", "++//AR=="] {
            assert_eq!(decode(text), Some(vec![0xfb, 0xef, 0xff, 0x01]), "{text:?}");
        }
        for text in ["a", "é", "a*bc", "a===b"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
