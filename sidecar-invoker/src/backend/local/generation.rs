//! Which state of a function's files its environments were started from.

/// A state of the files; a later one has a higher number.
pub(super) type Generation = u64;

/// The states that matter to a pool.
#[derive(Debug, Default)]
pub(super) struct Generations {
    /// The one that serves: environments of an earlier one end once they are idle.
    serving: Generation,
    /// The current generation. New environments start from it.
    newest: Generation,
    /// Whether the newest could not be started.
    is_refused: bool,
}

impl Generations {
    /// The files have changed.
    pub(super) fn change(&mut self) {
        self.newest += 1;
        self.is_refused = false;
    }

    /// An environment that is started now is of this one.
    pub(super) fn newest(&self) -> Generation {
        self.newest
    }

    /// The one that serves.
    pub(super) fn serving(&self) -> Generation {
        self.serving
    }

    /// Whether to start environments is known to be in vain.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// An environment is ready: whether that makes its generation the one that serves.
    pub(super) fn ready(&mut self, generation: Generation) -> bool {
        let is_first = generation > self.serving;
        self.serving = self.serving.max(generation);
        is_first
    }

    /// An environment could not be started: whether that means that its generation cannot be, while
    /// an earlier one serves.
    pub(super) fn failed(&mut self, generation: Generation) -> bool {
        let is_new = generation > self.serving;
        self.is_refused |= is_new && generation == self.newest;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_serves_once_it_is_ready_and_not_before() {
        let mut generations = Generations::default();
        assert!(!generations.ready(0));
        generations.change();
        assert_eq!((generations.serving(), generations.newest()), (0, 1));
        assert!(!generations.ready(0), "one that was already starting");
        assert!(generations.ready(1));
        assert!(!generations.ready(1));
        assert_eq!(generations.serving(), 1);
    }

    #[test]
    fn what_could_not_be_started_is_not_tried_until_the_next_change() {
        let mut generations = Generations::default();
        assert!(!generations.failed(0), "there is nothing else to serve");
        generations.change();
        assert!(generations.failed(1));
        assert!(generations.is_refused());
        generations.change();
        assert!(!generations.is_refused());
        assert!(generations.failed(1), "a late failure of the one before");
        assert!(!generations.is_refused());
    }
}
