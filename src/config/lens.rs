//! Owns [`Lens`] and [`Words`]: the way from an entry of the table to its part of [`Config`].

use super::Config;
use super::word::Word;

/// A way to one part of the configuration and back.
pub(super) struct Lens<T: 'static> {
    pub(super) get: fn(&Config) -> &T,
    pub(super) get_mut: fn(&mut Config) -> &mut T,
}

/// A [`Lens`] on `config.a.b`.
macro_rules! lens {
    ($($path:tt)+) => {
        $crate::config::lens::Lens {
            get: |config| &config.$($path)+,
            get_mut: |config| &mut config.$($path)+,
        }
    };
}
pub(super) use lens;

/// A [`Lens`] on an enum whose values are words.
pub(super) struct Words {
    pub(super) words: fn() -> Vec<&'static str>,
    pub(super) get: fn(&Config) -> &'static str,
    /// `false` where there is no such word.
    pub(super) set: fn(&mut Config, &str) -> bool,
}

/// The `Field::Word` of `config.a.b`.
macro_rules! word {
    ($($path:tt)+) => {
        $crate::config::field::Field::Word($crate::config::lens::Words {
            words: || $crate::config::lens::words_of(&$crate::config::Config::default().$($path)+),
            get: |config| $crate::config::lens::word_of(config.$($path)+),
            set: |config, word| $crate::config::lens::set_word(&mut config.$($path)+, word),
        })
    };
}
pub(super) use word;

pub(super) fn word_of<T: Word>(value: T) -> &'static str {
    T::WORDS.iter().find(|(_, one)| *one == value).map_or("", |(word, _)| word)
}

pub(super) fn set_word<T: Word>(place: &mut T, word: &str) -> bool {
    let found = T::WORDS.iter().find(|(one, _)| *one == word);
    found.map(|(_, value)| *place = *value).is_some()
}

pub(super) fn words_of<T: Word>(_: &T) -> Vec<&'static str> {
    T::WORDS.iter().map(|(word, _)| *word).collect()
}
