//! Seeded mutations: what a fuzzer's first minutes would try, the same on every run.

/// A small generator (xorshift64*, Marsaglia 2003): fast, seeded, not for secrets.
#[derive(Debug, Clone)]
pub struct Generator(u64);

impl Generator {
    /// Starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("64 bits hold a length").max(1);
        usize::try_from((self.next_u64() >> 16) % bound).expect("below a length")
    }

    fn byte(&mut self) -> u8 {
        self.next_u64().to_be_bytes()[0]
    }
}

/// Bytes that often sit at the edge of a rule.
const EDGES: [&[u8]; 14] = [
    &[0x00],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0x7f],
    &[0x00, 0x00, 0x00, 0x80],
    &[0xff; 8],
    b"\"",
    b"\\u0000",
    b"[[[[[[[[[[[[[[[[",
    b"-----BEGIN CERTIFICATE-----\n",
    b"99999999999999999999",
];

/// One to four random edits of `seed`.
#[must_use]
pub fn mutate(seed: &[u8], random: &mut Generator) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let length = random.below(32.min(bytes.len().saturating_sub(at)) + 1);
        match random.below(8) {
            0 => flip(&mut bytes, random),
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.byte();
                }
            }
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..at + length)),
            4 => {
                let copy = bytes[at..at + length].to_vec();
                let to = random.below(bytes.len() + 1);
                drop(bytes.splice(to..to, copy));
            }
            5 => {
                let edge = EDGES[random.below(EDGES.len())];
                drop(bytes.splice(at..at, edge.iter().copied()));
            }
            6 => {
                let edge = EDGES[random.below(EDGES.len())];
                let end = (at + edge.len()).min(bytes.len());
                drop(bytes.splice(at..end, edge.iter().copied()));
            }
            _ => {
                for _ in 0..random.below(8) {
                    flip(&mut bytes, random);
                }
            }
        }
    }
    bytes
}

fn flip(bytes: &mut [u8], random: &mut Generator) {
    let (at, bit) = (random.below(bytes.len()), random.below(8));
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_mutations() {
        let run = || {
            let mut random = Generator::new(7);
            (0..50).map(|_| mutate(b"evidence", &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        assert!(run().iter().any(|bytes| bytes != b"evidence"));
        assert!(mutate(b"", &mut Generator::new(1)).len() < 200);
    }
}
