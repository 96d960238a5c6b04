//! `JsonToClaimValue`.

use crate::budget::Budget;
use crate::error::Fault;
use crate::json::{Json, Number};
use crate::value::{Text, Val, Values};

/// The claim values of a JSON value: one for a string, boolean or integer, one for each element of an
/// array of those, none for null.
pub(crate) fn to_values<'a>(json: &Json, budget: &mut Budget) -> Result<Values<'a>, Fault> {
    let Json::Array(elements) = json else {
        return Ok(scalar(json, "an object")?.map_or_else(|| Values::Many(Vec::new()), Values::One));
    };
    budget.charge(elements.len())?;
    let mut values = Vec::with_capacity(elements.len());
    for element in elements.iter() {
        values.extend(scalar(element, "an array with objects inside")?);
    }
    Ok(Values::Many(values))
}

fn scalar<'a>(json: &Json, object: &'static str) -> Result<Option<Val<'a>>, Fault> {
    Ok(match json {
        Json::Null => None,
        Json::Boolean(value) => Some(Val::Boolean(*value)),
        Json::Number(Number::Integer(value)) => Some(Val::Integer(*value)),
        Json::Text(text) => Some(Val::Text(Text::Shared(text.clone()))),
        Json::Number(Number::Float(_)) => {
            return Err(Fault::NotAClaimValue { found: "a number with a fraction or exponent" });
        }
        Json::Object(_) => return Err(Fault::NotAClaimValue { found: object }),
        Json::Array(_) => return Err(Fault::NotAClaimValue { found: "an array with arrays inside" }),
    })
}
