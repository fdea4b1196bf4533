//! Looking things up in the header fields of a head. The HTTP beside the handshake uses it too.

use super::Header;

/// The values of every header line called `name`.
pub(crate) fn values<'h>(headers: &'h [Header<'h>], name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// The value of the header line called `name`, if there is exactly one.
pub(crate) fn only<'h>(headers: &'h [Header<'h>], name: &str) -> Option<&'h [u8]> {
    let mut values = values(headers, name);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// The elements of the list that all header lines called `name` make together (RFC 9110 §5.6.1: empty ones do not count).
pub(crate) fn list<'h>(headers: &'h [Header<'h>], name: &str) -> impl Iterator<Item = &'h [u8]> {
    values(headers, name)
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// Whether that list has `token` in it, in any case.
pub(crate) fn has_token(headers: &[Header<'_>], name: &str, token: &str) -> bool {
    list(headers, name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_runs_over_several_lines_in_any_case_and_without_its_empty_elements() {
        let headers = [
            Header {
                name: "connection",
                value: b"keep-alive, ,",
            },
            Header {
                name: "CONNECTION",
                value: b"\tuPGRADE ",
            },
        ];
        let elements: Vec<_> = list(&headers, "Connection").collect();
        assert_eq!(elements, [b"keep-alive".as_slice(), b"uPGRADE"]);
        assert!(has_token(&headers, "Connection", "upgrade"));
        assert!(!has_token(&headers, "Connection", "keep"));
    }
}
