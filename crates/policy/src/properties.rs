//! The properties that the service knows, and what they may be set to.

use crate::claim::Kind;

/// Minutes of one year, the longest a token may live.
const MAX_VALIDITY_MINUTES: i128 = 525_600;
/// Bits for the 24 platform configuration registers of a TPM.
const ALL_PCRS: i128 = 0x00ff_ffff;

/// What a value is to a property.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given {
    Integer(i128),
    Of(Kind),
}

/// A known property that a value does not suit, and what would.
pub(crate) type Unsuitable = (&'static str, &'static str);

/// Checks a value for the property `name`; any value suits unknown properties.
pub(crate) fn check(name: &str, given: Given) -> Result<(), Unsuitable> {
    let (property, expected, suits) = match name {
        "omit_x5c" => ("omit_x5c", "a boolean", is(given, Kind::Boolean)),
        "report_validity_in_minutes" => (
            "report_validity_in_minutes",
            "an integer from 1 to 525600",
            matches!(given, Given::Integer(1..=MAX_VALIDITY_MINUTES)),
        ),
        "require_valid_aik_cert" => ("require_valid_aik_cert", "a boolean", is(given, Kind::Boolean)),
        "required_pcr_mask" => (
            "required_pcr_mask",
            "an integer from 0 to 16777215",
            matches!(given, Given::Integer(0..=ALL_PCRS)),
        ),
        "x-ms-sgx-tcbidentifier" => ("x-ms-sgx-tcbidentifier", "a string", is(given, Kind::String)),
        _ => return Ok(()),
    };
    if suits { Ok(()) } else { Err((property, expected)) }
}

fn is(given: Given, kind: Kind) -> bool {
    match given {
        Given::Integer(_) => kind == Kind::Integer,
        Given::Of(found) => found == kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_the_known_properties() {
        for (name, given, suits) in [
            ("report_validity_in_minutes", Given::Integer(525_600), true),
            ("report_validity_in_minutes", Given::Integer(525_601), false),
            ("report_validity_in_minutes", Given::Integer(0), false),
            ("report_validity_in_minutes", Given::Of(Kind::String), false),
            ("required_pcr_mask", Given::Integer(15), true),
            ("required_pcr_mask", Given::Integer(-1), false),
            ("required_pcr_mask", Given::Integer(0x0100_0000), false),
            ("omit_x5c", Given::Of(Kind::Boolean), true),
            ("omit_x5c", Given::Integer(1), false),
            ("require_valid_aik_cert", Given::Of(Kind::String), false),
            ("x-ms-sgx-tcbidentifier", Given::Of(Kind::String), true),
            ("x-ms-sgx-tcbidentifier", Given::Integer(11), false),
            ("anything else", Given::Integer(11), true),
        ] {
            assert_eq!(check(name, given).is_ok(), suits, "{name} {given:?}");
        }
    }
}
