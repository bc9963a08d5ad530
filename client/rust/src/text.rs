//! Text from a server, made fit for logs and terminals.

const CUT: &str = "...";

/// The text with everything that a terminal would obey as an escape; cut to `limit` characters, with dots then.
pub(crate) fn visible(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().take(limit + 1) {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    if shown.chars().count() <= limit {
        return shown;
    }
    let mut cut: String = shown.chars().take(limit.saturating_sub(CUT.len())).collect();
    cut.push_str(CUT);
    cut
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn plain_text_stays() {
        assert_eq!(
            visible("it's \"here\", für 3 €\\", 100),
            "it's \"here\", für 3 €\\"
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(visible("a\x1b[31m\n\u{202e}b", 100), "a\\u{1b}[31m\\n\\u{202e}b");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(visible("abcdefgh", 6), "abc...");
        assert_eq!(visible("abcdef", 6), "abcdef");
    }
}
