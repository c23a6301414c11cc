//! A sieve for names: rules out nearly every name that is none of a given set, without comparing it.
//!
//! Invariant: a name of the set is never ruled out, nor is one that is longer than the sieve knows. What is not ruled out
//! must be compared.

/// Names of this length or longer are never ruled out.
const LONG: usize = 32;

/// Which first letters there are among the names of each length.
#[derive(Clone, Copy, Debug)]
pub struct Sieve([u32; LONG]);

impl Sieve {
    /// A sieve for these names, which are in lower case.
    pub const fn of(names: &[&str]) -> Self {
        let mut sieve = Self([0; LONG]);
        let mut at = 0;
        while at < names.len() {
            sieve = sieve.and(names[at]);
            at += 1;
        }
        sieve
    }

    /// A sieve for one name more.
    pub const fn and(self, name: &str) -> Self {
        self.and_lengths(name, name.len(), name.len())
    }

    /// A sieve for names that begin with this one, too.
    pub const fn and_beginning(self, beginning: &str) -> Self {
        self.and_lengths(beginning, beginning.len(), LONG - 1)
    }

    const fn and_lengths(mut self, name: &str, from: usize, to: usize) -> Self {
        let mut length = from;
        while length <= to && length < LONG && !name.is_empty() {
            self.0[length] |= bit(name.as_bytes()[0]);
            length += 1;
        }
        self
    }

    /// Whether the name may be one of them; a name in lower case.
    pub fn may_hold(&self, name: &str) -> bool {
        match (self.0.get(name.len()), name.as_bytes().first()) {
            (Some(letters), Some(first)) => letters & bit(*first) != 0,
            (None, _) => true,
            (_, None) => false,
        }
    }
}

/// Letters have a bit each; what is no letter shares one with some letter.
const fn bit(letter: u8) -> u32 {
    1 << (letter & 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_set_pass_and_most_others_do_not() {
        let names = ["te", "connection", "x-token", "7", "a-name-that-is-longer-than-the-sieve-knows"];
        let sieve = Sieve::of(&names).and_beginning("x-forwarded-");
        for name in names.iter().chain(&["x-forwarded-", "x-forwarded-for-somebody-else-entirely"]) {
            assert!(sieve.may_hold(name), "{name}");
        }
        for name in ["", "t", "tea", "host", "accept", "user-agent", "a-token", "x-toke", "x-forwarded"] {
            assert!(!sieve.may_hold(name), "{name}");
        }
    }
}
