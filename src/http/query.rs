//! What stands behind the `?`.

use std::borrow::Cow;

use super::target::percent_decode;

/// The parameters of a request's query, as they were written.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// Of the text behind the `?`, if there is one.
    pub fn new(query: Option<&'a str>) -> Self {
        Self(query.unwrap_or_default())
    }

    /// The value of the first parameter of this name, its percent-encoding taken off.
    ///
    /// # Errors
    /// What is wrong with the value, as a sentence.
    pub fn text(self, name: &str) -> Result<Option<Cow<'a, str>>, String> {
        let values = self.0.split('&').filter_map(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (key == name).then_some(value)
        });
        let Some(value) = values.into_iter().next() else {
            return Ok(None);
        };
        match percent_decode(value) {
            Ok(value) => Ok(Some(value)),
            Err(why) => Err(format!("The parameter {name} cannot be read: {why}")),
        }
    }

    /// The same, as a number.
    ///
    /// # Errors
    /// The value is not a number below 2^64, as a sentence.
    pub fn number(self, name: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.text(name)? else {
            return Ok(None);
        };
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        match value.parse() {
            Ok(number) if is_number => Ok(Some(number)),
            _ => Err(format!(
                "The parameter {name} is not a whole number from 0 on."
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_by_its_whole_name_and_the_first_of_that_name_counts() {
        let query = Query::new(Some("at=1&last=2&last=3&since=a%3A4&x"));
        assert_eq!(query.number("last"), Ok(Some(2)));
        assert_eq!(query.text("since"), Ok(Some("a:4".into())));
        assert_eq!(query.text("x"), Ok(Some("".into())));
        assert_eq!(query.text("t"), Ok(None));
        assert_eq!(Query::new(None).text(""), Ok(Some("".into())));
    }

    #[test]
    fn what_is_no_number_is_refused_with_the_parameters_name() {
        for value in ["", "-1", "+1", "1.0", "x", "99999999999999999999"] {
            let text = format!("last={value}");
            let error = Query::new(Some(&text)).number("last").unwrap_err();
            assert!(error.contains("last"), "{error}");
        }
        assert!(Query::new(Some("since=%G1")).text("since").is_err());
    }
}
