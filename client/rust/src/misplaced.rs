//! A secret that was given where the name of its file, or a target, belongs. No message may show it.

/// Whether it may be a key or a token. A secret in a file ends with a new line; no path and no target has one.
pub(crate) fn looks_secret(text: &str) -> bool {
    text.starts_with("mok_") // an API key of mintonced
        || text.starts_with("eyJ") // a JWT
        || text.contains("-----BEGIN")
        || text.contains("PRIVATE KEY")
        || text.chars().any(|c| c.is_ascii_control())
}
