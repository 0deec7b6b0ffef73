//! Owns [`Word`]: an enum whose values are words in the configuration.

/// An enum each value of which has one word.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// Each word with its value, in the order in which they are listed to a reader.
    const WORDS: &'static [(&'static str, Self)];
}

/// Gives an enum its words, and a `Display` that writes them.
macro_rules! words {
    ($name:ident { $($value:ident = $word:literal),+ $(,)? }) => {
        impl $crate::config::word::Word for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$value)),+];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$value => $word),+ })
            }
        }
    };
}
pub(super) use words;
