//! HubSpot's regional hubs: a fixed list, in this one place.

use std::fmt;

/// The hubs that have an API host of their own.
const HUBS: [&str; 5] = ["na1", "na2", "na3", "eu1", "ap1"];

/// A regional HubSpot hub, one of the fixed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hub(&'static str);

impl Hub {
    /// The hub of this name; `None` for everything that is not on the list.
    pub fn parse(name: &str) -> Option<Self> {
        HUBS.into_iter().find(|hub| *hub == name).map(Self)
    }

    /// Every hub.
    pub fn all() -> impl Iterator<Item = Self> {
        HUBS.into_iter().map(Self)
    }

    /// The hub's name, as HubSpot writes it.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hubs_are_those_of_the_list_exactly() {
        for name in HUBS {
            assert_eq!(Hub::parse(name).map(|hub| hub.to_string()).as_deref(), Some(name));
        }
        for name in ["", "EU1", " eu1", "eu1 ", "eu2", "eu1.evil.com/", "eu1\r\nx", "na"] {
            assert_eq!(Hub::parse(name), None, "{name:?}");
        }
    }
}
