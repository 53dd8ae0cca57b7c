//! What every field of its kind must hold to.

use super::super::answer::{ErrorCode, ToolError};

/// At most so many bytes.
pub(super) fn sized(field: &str, text: &str, max: usize) -> Result<(), ToolError> {
    if text.len() > max {
        return Err(ToolError::field(field, format_args!("has {} bytes, want at most {max}", text.len())));
    }
    Ok(())
}

/// Text that a C string can hold.
pub(super) fn no_nul(field: &str, text: &str) -> Result<(), ToolError> {
    if text.contains('\0') { Err(ToolError::field(field, "contains a NUL character")) } else { Ok(()) }
}

/// A name: not empty, bounded, no control characters.
pub(super) fn word(field: &str, text: &str, max: usize) -> Result<(), ToolError> {
    if text.trim().is_empty() {
        return Err(ToolError::field(field, "is empty"));
    }
    if text.chars().count() > max {
        return Err(ToolError::field(field, format_args!("is longer than {max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(ToolError::field(field, "contains a control character"));
    }
    Ok(())
}

/// A number in its bounds.
pub(super) fn within(field: &str, value: u64, min: u64, max: u64) -> Result<(), ToolError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(ToolError::new(ErrorCode::ValidationError, format!("`{field}`: is {value}, want {min} to {max}")))
    }
}
