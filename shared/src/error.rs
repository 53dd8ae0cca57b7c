//! Errors in logs: the whole chain on one line, nothing said twice.

use std::error::Error;
use std::fmt;

/// An error followed by its sources, joined by `: `. A source that its parent already quotes is left out
/// (some libraries print their source as part of their own text).
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        #[source]
        source: Option<Box<Layer>>,
    }

    #[test]
    fn a_chain_says_each_thing_once() {
        let error = Layer {
            text: "could not save",
            source: Some(Box::new(Layer {
                text: "write failed: disk full",
                source: Some(Box::new(Layer { text: "disk full", source: None })),
            })),
        };
        assert_eq!(Chain(&error).to_string(), "could not save: write failed: disk full");
    }
}
