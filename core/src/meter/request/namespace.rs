//! How are function definitions shown to an OpenAI model?
//!
//! As a TypeScript namespace, found out by others from what the API billed (`openai-chat-tokens`,
//! MIT; it gave the billed count in every recorded call). A schema that uses what the rule says
//! nothing about is not written, and its caller counts its JSON instead.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::json::Object;

/// Schemas nested deeper are not written.
const DEPTH_MAX: usize = 32;
/// What the rule covers, or was seen to leave out.
const KNOWN: [&str; 9] = [
    "type",
    "description",
    "properties",
    "required",
    "enum",
    "items",
    "anyOf",
    "const",
    "additionalProperties",
];

/// The text of all `definitions`, or none if one of them is beyond the rule.
pub(super) fn written<'a>(definitions: impl Iterator<Item = &'a Value>) -> Option<String> {
    let mut out = String::from("namespace functions {\n\n");
    for definition in definitions {
        let function = definition.as_object()?;
        let is_known = |key: &String| ["name", "description", "parameters"].contains(&key.as_str());
        if !function.keys().all(is_known) {
            return None;
        }
        let name = function.get("name")?.as_str()?;
        let description = text(function, "description")?;
        if !description.is_empty() {
            let _ = writeln!(out, "// {description}");
        }
        let parameters = match function.get("parameters") {
            None | Some(Value::Null) => None,
            Some(schema) => Some(schema.as_object().filter(|schema| is_covered(schema))?),
        };
        match parameters.filter(|schema| has_properties(schema)) {
            Some(schema) => {
                let _ = writeln!(out, "type {name} = (_: {{");
                properties(schema, 0, DEPTH_MAX, &mut out)?;
                out.push_str("\n}) => any;\n\n");
            }
            None => {
                let _ = write!(out, "type {name} = () => any;\n\n");
            }
        }
    }
    out.push_str("} // namespace functions");
    Some(out)
}

/// A field of text, empty if it is missing; none if it is something else.
fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    match object.get(key) {
        None | Some(Value::Null) => Some(""),
        Some(value) => value.as_str(),
    }
}

fn is_covered(schema: &Object) -> bool {
    let is_closed = schema.get("additionalProperties").is_none_or(Value::is_boolean);
    is_closed && schema.keys().all(|key| KNOWN.contains(&key.as_str()))
}

fn has_properties(schema: &Object) -> bool {
    schema.get("properties").and_then(Value::as_object).is_some_and(|properties| !properties.is_empty())
}

fn properties(schema: &Object, depth: usize, left: usize, out: &mut String) -> Option<()> {
    let Some(fields) = schema.get("properties") else { return Some(()) };
    let required = schema.get("required").and_then(Value::as_array);
    let indent = " ".repeat(2 * depth);
    let mut is_first = true;
    for (name, field) in fields.as_object()? {
        let field = field.as_object()?;
        if !std::mem::take(&mut is_first) {
            out.push('\n');
        }
        // Only the outermost descriptions are shown.
        let description = text(field, "description")?;
        if depth == 0 && !description.is_empty() {
            let _ = writeln!(out, "{indent}// {description}");
        }
        let is_required = required.is_some_and(|names| names.iter().any(|given| given == name));
        let _ = write!(out, "{indent}{name}{}: ", if is_required { "" } else { "?" });
        kind(field, depth, left, out)?;
        out.push(',');
    }
    Some(())
}

/// `depth` indents; `left` bounds how deep a schema is followed.
fn kind(schema: &Object, depth: usize, left: usize, out: &mut String) -> Option<()> {
    if !is_covered(schema) {
        return None;
    }
    let left = left.checked_sub(1)?;
    if let Some(any) = schema.get("anyOf") {
        for (index, one) in any.as_array()?.iter().enumerate() {
            out.push_str(if index > 0 { " | " } else { "" });
            kind(one.as_object()?, depth, left, out)?;
        }
        return Some(());
    }
    let kind = schema.get("type")?.as_str()?;
    let choices = match schema.get("enum") {
        None => None,
        Some(choices) => Some(choices.as_array()?),
    };
    match (kind, choices) {
        ("string", Some(choices)) => {
            joined(choices, |choice| Some(format!("\"{}\"", choice.as_str()?)), out)?;
        }
        ("number" | "integer", Some(choices)) => {
            joined(choices, |choice| Some(choice.to_string()), out)?;
        }
        ("number" | "integer", None) => out.push_str("number"),
        ("string" | "boolean" | "null", None) => out.push_str(kind),
        ("array", None) => {
            match schema.get("items") {
                None => out.push_str("any"),
                Some(items) => self::kind(items.as_object()?, depth, left, out)?,
            }
            out.push_str("[]");
        }
        ("object", None) => {
            out.push_str("{\n");
            properties(schema, depth + 1, left, out)?;
            out.push_str("\n}");
        }
        _ => return None,
    }
    Some(())
}

fn joined(choices: &[Value], show: impl Fn(&Value) -> Option<String>, out: &mut String) -> Option<()> {
    let shown: Option<Vec<String>> = choices.iter().map(show).collect();
    out.push_str(&shown?.join(" | "));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn functions_are_written_as_types() {
        let functions = [
            json!({"name": "now", "description": "The time",
                "parameters": {"type": "object", "properties": {}}}),
            json!({"name": "cook", "parameters": {"type": "object", "required": ["dish"], "properties": {
                "dish": {"type": "string", "description": "What", "enum": ["soup", "cake"]},
                "parts": {"type": "array", "items": {"type": "object", "properties": {
                    "grams": {"type": "integer", "description": "not shown"}}}},
                "for": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            }}}),
        ];
        let text = written(functions.iter()).unwrap();
        assert_eq!(
            text,
            "namespace functions {\n\n// The time\ntype now = () => any;\n\ntype cook = (_: {\n\
             // What\ndish: \"soup\" | \"cake\",\nparts?: {\n  grams?: number,\n}[],\n\
             for?: string | null,\n}) => any;\n\n} // namespace functions"
        );
    }

    #[test]
    fn what_the_rule_says_nothing_about_is_not_written() {
        for parameters in [
            json!({"type": "object", "properties": {"a": {"$ref": "#/a"}}}),
            json!({"type": "object", "properties": {"a": {"type": "string", "default": "x"}}}),
            json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}}),
            json!({"type": "object", "properties": {"a": true}}),
            json!({"type": "object", "properties": {}, "$defs": {}}),
        ] {
            let function = json!({"name": "f", "parameters": parameters});
            assert_eq!(written([&function].into_iter()), None, "{function}");
        }
        let mut deep = json!({"type": "string"});
        for _ in 0..100 {
            deep = json!({"type": "array", "items": deep});
        }
        let function = json!({"name": "f", "parameters": {"type": "object", "properties": {"a": deep}}});
        assert_eq!(written([&function].into_iter()), None);
        assert_eq!(written([&json!({"name": "f", "strict": true})].into_iter()), None);
    }
}
