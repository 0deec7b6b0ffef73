//! Owns [`Tally`]: counts by a name out of a fixed set, for what happens seldom. A name that is not in the set
//! counts as [`OTHER`], so that no label of a metric is ever anything else.

use std::marker::PhantomData;

use super::Counter;

/// What is not in the set.
pub const OTHER: &str = "other";

/// A fixed set of names.
pub trait Names {
    /// All of them but [`OTHER`].
    const NAMES: &'static [&'static str];
}

/// How often each name of a set was counted.
pub struct Tally<T> {
    /// In the order of the names, [`OTHER`] last.
    counts: Box<[Counter]>,
    of: PhantomData<fn(T)>,
}

impl<T: Names> Default for Tally<T> {
    fn default() -> Self {
        Tally {
            counts: (0..=T::NAMES.len()).map(|_| Counter::default()).collect(),
            of: PhantomData,
        }
    }
}

impl<T: Names> Tally<T> {
    /// Counts one more. Only the worker that owns it calls it.
    pub fn count(&self, name: &str) {
        let known = T::NAMES.iter().position(|known| *known == name);
        self.counts[known.unwrap_or(T::NAMES.len())].add(1);
    }

    /// Each name and its figure, [`OTHER`] last.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let names = T::NAMES.iter().copied().chain([OTHER]);
        names.zip(self.counts.iter().map(Counter::get))
    }
}

impl<T: Names> std::fmt::Debug for Tally<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fruit;

    impl Names for Fruit {
        const NAMES: &'static [&'static str] = &["apple", "pear"];
    }

    #[test]
    fn a_name_that_is_not_in_the_set_is_another() {
        let tally = Tally::<Fruit>::default();
        ["pear", "x\ny", "pear"].iter().for_each(|name| tally.count(name));
        assert_eq!(tally.iter().collect::<Vec<_>>(), [("apple", 0), ("pear", 2), (OTHER, 1)]);
    }
}
