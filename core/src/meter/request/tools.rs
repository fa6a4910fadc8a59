//! How much text do tools and output formats add?
//!
//! Providers render definitions into text of their own. Their JSON and a constant each came out
//! above the billed count in every recorded call we have.

use serde_json::Value;

use super::{
    super::json,
    prompt::{Message, Reading},
};
use crate::error::Result;

/// Round all definitions.
const TOOLS_TOKENS: u64 = 16;
/// Round one definition.
const TOOL_TOKENS: u64 = 8;
/// Round an output format.
const FORMAT_TOKENS: u64 = 32;

/// The message that holds the definitions.
pub(super) fn message<'a>() -> Message<'a> {
    Message::new("tools", TOOLS_TOKENS)
}

/// Adds one definition the caller wrote.
pub(super) fn definition<'a>(
    tool: &'a Value,
    message: &mut Message<'a>,
    reading: &mut Reading<'a, '_>,
) -> Result<()> {
    let object = json::object(tool, "a tool")?;
    let name = json::text(object, "name")?.or(json::text(object, "type")?);
    reading.tools.push(name.unwrap_or_default().to_owned());
    message.json(tool);
    message.frame(TOOL_TOKENS);
    Ok(())
}

/// Adds the schema an answer must have.
pub(super) fn format<'a>(schema: Option<&'a Value>, reading: &mut Reading<'a, '_>) {
    let mut message = Message::new("format", FORMAT_TOKENS);
    if let Some(schema) = schema.filter(|schema| !schema.is_null()) {
        message.json(schema);
    }
    reading.messages.push(message);
}
