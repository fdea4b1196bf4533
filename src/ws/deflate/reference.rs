//! A second, slow inflater, written from RFC 1951 alone. The tests hold the real one against it, and ask it what
//! zlib does not tell: how far back the data refers.

/// What [`inflate`] found.
pub(super) struct Inflated {
    pub(super) plain: Vec<u8>,
    /// The largest distance that any match reaches back, in bytes.
    pub(super) distance_max: usize,
    /// Whether some block was marked as the last.
    pub(super) saw_final: bool,
    /// Whether the last block is an empty stored one, as a sync flush leaves it.
    pub(super) ends_with_empty_stored: bool,
}

/// Inflates what a sync flush produced, its last four bytes included; `None` where the data is broken or ends within a block.
/// A final block ends nothing here: its successor begins at the next whole byte and still sees the same window.
pub(super) fn inflate(data: &[u8]) -> Option<Inflated> {
    let mut bits = Bits { data, at: 0 };
    let mut found = Inflated {
        plain: Vec::new(),
        distance_max: 0,
        saw_final: false,
        ends_with_empty_stored: false,
    };
    while bits.at < data.len() * 8 {
        let last = bits.take(1)? == 1;
        let kind = bits.take(2)?;
        let before = found.plain.len();
        match kind {
            0 => stored(&mut bits, &mut found)?,
            1 => {
                let lengths: Vec<u8> = (0..288)
                    .map(|symbol| match symbol {
                        0..144 => 8,
                        144..256 => 9,
                        256..280 => 7,
                        _ => 8,
                    })
                    .collect();
                let (literals, distances) = (Codes::new(&lengths), Codes::new(&[5; 30]));
                compressed(&mut bits, &mut found, &literals, &distances)?;
            }
            2 => {
                let (literals, distances) = dynamic_codes(&mut bits)?;
                compressed(&mut bits, &mut found, &literals, &distances)?;
            }
            _ => return None,
        }
        found.ends_with_empty_stored = kind == 0 && found.plain.len() == before;
        if last {
            found.saw_final = true;
            bits.align();
        }
    }
    Some(found)
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<usize> {
        let mut value = 0;
        for place in 0..count {
            let byte = *self.data.get(self.at / 8)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Some(value)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    fn symbol(&mut self, codes: &Codes) -> Option<usize> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for &count in &codes.counts {
            code |= self.take(1)?;
            if code < first + count {
                return codes.symbols.get(index + code.checked_sub(first)?).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// A canonical Huffman code (§3.2.2).
struct Codes {
    /// How many codes there are of 1, 2, … 15 bits.
    counts: [usize; 15],
    /// The symbols in the order of their codes.
    symbols: Vec<usize>,
}

impl Codes {
    fn new(lengths: &[u8]) -> Self {
        let mut symbols: Vec<usize> = (0..lengths.len())
            .filter(|&symbol| lengths[symbol] > 0)
            .collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        let mut counts = [0; 15];
        for &symbol in &symbols {
            counts[usize::from(lengths[symbol]) - 1] += 1;
        }
        Self { counts, symbols }
    }
}

fn stored(bits: &mut Bits<'_>, found: &mut Inflated) -> Option<()> {
    bits.align();
    let length = bits.take(16)?;
    if bits.take(16)? != length ^ 0xffff {
        return None;
    }
    for _ in 0..length {
        found.plain.push(bits.take(8)? as u8);
    }
    Some(())
}

fn compressed(
    bits: &mut Bits<'_>,
    found: &mut Inflated,
    literals: &Codes,
    distances: &Codes,
) -> Option<()> {
    loop {
        let symbol = bits.symbol(literals)?;
        let length = match symbol {
            0..256 => {
                found.plain.push(symbol as u8);
                continue;
            }
            256 => return Some(()),
            257..265 => symbol - 254,
            265..285 => {
                let extra = (symbol - 261) / 4;
                3 + ((4 + (symbol - 265) % 4) << extra) + bits.take(extra as u32)?
            }
            285 => 258,
            _ => return None,
        };
        let symbol = bits.symbol(distances)?;
        let distance = match symbol {
            0..4 => symbol + 1,
            4..30 => {
                let extra = symbol / 2 - 1;
                1 + ((2 + symbol % 2) << extra) + bits.take(extra as u32)?
            }
            _ => return None,
        };
        found.distance_max = found.distance_max.max(distance);
        for _ in 0..length {
            let from = found.plain.len().checked_sub(distance)?;
            found.plain.push(found.plain[from]);
        }
    }
}

/// The codes of a dynamic block (§3.2.7).
fn dynamic_codes(bits: &mut Bits<'_>) -> Option<(Codes, Codes)> {
    const ORDER: [usize; 19] = [
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
    ];
    let literals = 257 + bits.take(5)?;
    let distances = 1 + bits.take(5)?;
    let mut code_lengths = [0; 19];
    for &place in &ORDER[..4 + bits.take(4)?] {
        code_lengths[place] = bits.take(3)? as u8;
    }
    let code_lengths = Codes::new(&code_lengths);
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (value, times) = match bits.symbol(&code_lengths)? {
            16 => (*lengths.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length as u8, 1),
        };
        lengths.resize(lengths.len() + times, value);
    }
    if lengths.len() > literals + distances {
        return None;
    }
    let (literals, distances) = lengths.split_at(literals);
    Some((Codes::new(literals), Codes::new(distances)))
}
