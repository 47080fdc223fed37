//! Errors that come again and again while something is away.

/// Tells an error from the one before, so that the log says it once.
#[derive(Debug, Default)]
pub(super) struct Repeated(String);

impl Repeated {
    /// Whether the last one was another, or there was none.
    pub fn is_new(&mut self, error: &impl std::fmt::Display) -> bool {
        let error = error.to_string();
        let new = self.0 != error;
        self.0 = error;
        new
    }

    /// It went well: the next error is new.
    pub fn over(&mut self) {
        self.0.clear();
    }
}
