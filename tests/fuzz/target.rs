//! What is fuzzed, in one shape: a target makes cases, runs them, and says what they came to.

use crate::dice::Dice;

/// What became of the records or texts of a case. A hunt in which one of them stays near 0 does not
/// reach deep.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
}

/// Something that takes bytes from others.
pub(crate) trait Target {
    /// What one run is given.
    type Case;
    /// What came of it.
    type Came;

    /// Makes a case; the same dice, the same case.
    fn case(&mut self, dice: &mut Dice) -> Self::Case;

    /// The case as files, to be looked at by hand.
    fn files(case: &Self::Case) -> Vec<(String, &[u8])>;

    /// Runs a case: this is what may take memory by its bound.
    ///
    /// # Errors
    /// Which promise is broken.
    fn run(&mut self, case: &Self::Case) -> Result<Self::Came, String>;

    /// Holds what came to what must.
    ///
    /// # Errors
    /// Which promise is broken.
    fn judge(&mut self, case: &Self::Case, came: Self::Came) -> Result<Outcome, String>;

    /// Bytes of memory that a case may take beside its own.
    fn memory(&self, case: &Self::Case) -> usize;
}
