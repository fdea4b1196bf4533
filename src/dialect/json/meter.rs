//! Counts what decoding costs, in steps that do not depend on the machine.
//!
//! A step stands for about one instruction: each place in the walk has the weight that it has in machine code on
//! x86-64, as callgrind counts it (`benches/json_cost.rs` compares the two). The server decodes with [`Free`], which
//! compiles to nothing.

/// Is told what the walk does.
pub(super) trait Meter {
    /// So many steps were taken.
    fn add(&mut self, steps: u64);
}

/// Counts nothing.
pub(super) struct Free;

impl Meter for Free {
    #[inline(always)]
    fn add(&mut self, _: u64) {}
}

/// The sum of all steps.
#[derive(Default)]
pub(super) struct Steps(pub(super) u64);

impl Meter for Steps {
    fn add(&mut self, steps: u64) {
        self.0 += steps;
    }
}
