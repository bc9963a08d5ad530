//! Randomness for back-off: it must spread clients, and nothing depends on it being hard to guess.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Uniform in [0, 1). The standard library seeds each hasher differently.
pub(crate) fn uniform() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    #[allow(clippy::cast_precision_loss)] // 53 bits fit
    let drawn = bits as f64 / (1_u64 << 53) as f64;
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_fill_the_unit_interval() {
        let drawn: Vec<f64> = (0..1000).map(|_| uniform()).collect();
        assert!(drawn.iter().all(|each| (0.0..1.0).contains(each)));
        assert!(drawn.iter().any(|each| *each < 0.1) && drawn.iter().any(|each| *each > 0.9));
    }
}
