//! The states of a function's files over time.

/// A state of the files. Later states have higher numbers.
pub(super) type Generation = u64;

/// The generations that a pool distinguishes.
#[derive(Debug, Default)]
pub(super) struct Generations {
    /// The generation that serves. Environments of earlier generations end once they are idle.
    serving: Generation,
    /// The current generation. New environments start from it.
    newest: Generation,
    /// Set if no environment of the newest generation could be started.
    newest_failed: bool,
}

impl Generations {
    /// Begins a new generation, because the files have changed.
    pub(super) fn change(&mut self) {
        self.newest += 1;
        self.newest_failed = false;
    }

    /// Returns the generation of an environment that is started now.
    pub(super) fn newest(&self) -> Generation {
        self.newest
    }

    /// Returns the generation that serves.
    pub(super) fn serving(&self) -> Generation {
        self.serving
    }

    /// Returns true if the newest generation is known not to start.
    pub(super) fn newest_failed(&self) -> bool {
        self.newest_failed
    }

    /// Records that an environment of `generation` is ready. Returns true if the generation serves from
    /// now on.
    pub(super) fn ready(&mut self, generation: Generation) -> bool {
        let is_first = generation > self.serving;
        self.serving = self.serving.max(generation);
        is_first
    }

    /// Records that an environment of `generation` failed to start. Returns true if an earlier generation
    /// serves.
    pub(super) fn failed(&mut self, generation: Generation) -> bool {
        let is_new = generation > self.serving;
        self.newest_failed |= is_new && generation == self.newest;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_serves_once_it_is_ready() {
        let mut generations = Generations::default();
        assert!(!generations.ready(0));
        generations.change();
        assert_eq!((generations.serving(), generations.newest()), (0, 1));
        assert!(
            !generations.ready(0),
            "an environment that was already starting"
        );
        assert!(generations.ready(1));
        assert!(!generations.ready(1));
        assert_eq!(generations.serving(), 1);
    }

    #[test]
    fn a_failed_generation_is_not_tried_again() {
        let mut generations = Generations::default();
        assert!(!generations.failed(0), "no earlier generation serves");
        generations.change();
        assert!(generations.failed(1));
        assert!(generations.newest_failed());
        generations.change();
        assert!(!generations.newest_failed());
        assert!(
            generations.failed(1),
            "a late failure of the previous generation"
        );
        assert!(!generations.newest_failed());
    }
}
