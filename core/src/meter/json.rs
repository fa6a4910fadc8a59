//! How is a field of somebody else's JSON read?
//!
//! A field that is missing or null is absent; one of another type than we need is `InvalidInput`
//! that names it. Nothing is guessed.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A JSON object.
pub(super) type Object = Map<String, Value>;

/// The field, unless missing or null.
pub(super) fn given<'a>(object: &'a Object, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| !value.is_null())
}

/// A text field, or nothing.
pub(super) fn text<'a>(object: &'a Object, key: &str) -> Result<Option<&'a str>> {
    read(object, key, "text", Value::as_str)
}

/// A whole number that is not negative, or nothing.
pub(super) fn count(object: &Object, key: &str) -> Result<Option<u64>> {
    read(object, key, "a whole number", Value::as_u64)
}

/// A yes or no; no if missing.
pub(super) fn flag(object: &Object, key: &str) -> Result<bool> {
    Ok(read(object, key, "true or false", Value::as_bool)?.unwrap_or(false))
}

/// The items of a list; none if missing.
pub(super) fn list<'a>(object: &'a Object, key: &str) -> Result<&'a [Value]> {
    Ok(read(object, key, "a list", Value::as_array)?.map_or(&[], Vec::as_slice))
}

/// A nested object, or nothing.
pub(super) fn nested<'a>(object: &'a Object, key: &str) -> Result<Option<&'a Object>> {
    read(object, key, "an object", Value::as_object)
}

/// The value as an object.
pub(super) fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Object> {
    value.as_object().ok_or_else(|| Error::invalid(format!("{what} is `{}`, not an object", shown(value))))
}

/// The start of a value, for a message.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => other.to_string().chars().take(40).collect(),
    }
}

fn read<'a, T>(
    object: &'a Object,
    key: &str,
    what: &str,
    take: impl Fn(&'a Value) -> Option<T>,
) -> Result<Option<T>> {
    let Some(value) = given(object, key) else { return Ok(None) };
    let taken =
        take(value).ok_or_else(|| Error::invalid(format!("`{key}` is `{}`, not {what}", shown(value))));
    taken.map(Some)
}
