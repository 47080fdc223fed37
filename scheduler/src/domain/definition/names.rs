//! Enumerations whose values have names in documents.

/// Has a name for each of its values.
pub trait Named: Copy + PartialEq + Sized + 'static {
    /// What it is, as in 'is no type'.
    const WHAT: &'static str;
    /// All values and their names.
    const ALL: &'static [(&'static str, Self)];

    /// The value of a name.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The name of the value.
    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, value)| *value == self).map_or("", |(name, _)| name)
    }

    /// Why a text is none of the names.
    fn refusal(text: &str) -> String {
        let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
        let (quoted, what) = (super::report::quote_text(text), Self::WHAT);
        format!("{quoted} is no {what}: use {}", names.join(", "))
    }
}

macro_rules! named {
    (
        $(#[$doc:meta])* $enum:ident, $what:literal:
        $($(#[$value_doc:meta])* $value:ident = $name:literal,)+
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $enum {
            $($(#[$value_doc])* $value,)+
        }

        impl $crate::domain::definition::names::Named for $enum {
            const WHAT: &'static str = $what;
            const ALL: &'static [(&'static str, Self)] = &[$(($name, Self::$value),)+];
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($crate::domain::definition::names::Named::name(*self))
            }
        }
    };
}

pub(in crate::domain) use named;
