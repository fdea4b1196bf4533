//! What is wrong with a setting's values.

/// What is wrong with the values that a source gives to a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// The value that it is about, from 0, if it is about one of several.
    pub(super) nth: Option<usize>,
    /// What is wrong and what is allowed, in one sentence.
    pub(super) why: String,
}

impl Mistake {
    /// A mistake that is not about one value of several.
    pub(super) fn whole(why: impl Into<String>) -> Mistake {
        Mistake {
            nth: None,
            why: why.into(),
        }
    }
}
