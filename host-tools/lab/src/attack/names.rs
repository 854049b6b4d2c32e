//! Options that are one word of a list.

/// Gives an enum its words: `FromStr` with an error that lists them, and `Display`.
macro_rules! named {
    ($type:ident, $what:literal, $($variant:ident = $word:literal),+) => {
        impl $type {
            /// All of them.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            /// Its word.
            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::error::LabError;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|one| one.name() == word).ok_or_else(|| {
                    let words: Vec<&str> = Self::ALL.iter().map(|one| one.name()).collect();
                    let words = words.join(", ");
                    let text = format!("{} `{word}`: it is one of {words}", $what);
                    $crate::error::LabError::Options(text)
                })
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use named;
