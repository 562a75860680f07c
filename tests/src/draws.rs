//! Means over seeds, for results that depend on a random draw.

/// The means of the numbers that `draw` gives for the seeds from 1 to `draws`.
///
/// ```
/// assert_eq!(sandbar_tests::draws::mean(3, |seed| [seed as f64, 1.0]), [2.0, 1.0]);
/// ```
pub fn mean<const N: usize>(draws: u64, draw: impl Fn(u64) -> [f64; N]) -> [f64; N] {
    let drawn: Vec<[f64; N]> = (1..=draws).map(draw).collect();
    std::array::from_fn(|which| drawn.iter().map(|draw| draw[which]).sum::<f64>() / draws as f64)
}
