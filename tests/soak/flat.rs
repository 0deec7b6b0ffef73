//! Whether memory grows. The first ten minutes, or the first third of what is shorter than half an hour, are
//! for warming up: pools fill, tables grow to what is needed, and the allocator comes to hold what is let go. The rest is
//! cut into five windows; of each the median counts, which no single peak moves. None may be more than two in a hundred
//! above an earlier one. Less is no fault: in an hour the allocator gave half a mebibyte back, once, after 25 minutes.

use std::time::Duration;

/// Memory is held against its bound where the whole takes so long at least: in runs of 25 minutes the heap took up to
/// seven to find its level.
pub(crate) const LEAST: Duration = Duration::from_secs(30 * 60);
const WARM_UP: Duration = Duration::from_secs(10 * 60);
const WINDOWS: usize = 5;
const BOUND: f64 = 0.02;

/// The median of each window, and by how much one rises at most above an earlier one, as a fraction of that. `None` where
/// a window is empty.
pub(crate) fn windows(samples: &[(Duration, f64)], whole: Duration) -> Option<(Vec<f64>, f64)> {
    let warm = WARM_UP.min(whole / 3);
    let width = (whole - warm) / WINDOWS as u32;
    let mut windows = vec![Vec::new(); WINDOWS];
    for (at, value) in samples.iter().filter(|(at, _)| *at >= warm) {
        let window = (at.saturating_sub(warm).as_secs_f64() / width.as_secs_f64()) as usize;
        windows[window.min(WINDOWS - 1)].push(*value);
    }
    let medians: Option<Vec<f64>> = windows.into_iter().map(median).collect();
    let medians = medians?;
    let mut least = f64::MAX;
    let mut risen = 0.0_f64;
    for median in &medians {
        least = least.min(*median);
        risen = risen.max(median / least - 1.0);
    }
    Some((medians, risen))
}

pub(crate) fn is_flat(risen: f64) -> bool {
    risen <= BOUND
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn risen(value: impl Fn(f64) -> f64) -> f64 {
    let samples: Vec<_> =
        (0..3600).map(|second| (Duration::from_secs(second), value(second as f64))).collect();
    windows(&samples, Duration::from_secs(3600)).expect("samples in each window").1
}

#[test]
fn a_slow_leak_is_seen_and_neither_a_warm_up_nor_peaks_are() {
    assert!(is_flat(risen(|_| 20_000.0)));
    // A megabyte more within ten minutes, and up to four at times.
    let warms_up = |second: f64| 19_000.0 + (second / 600.0).min(1.0) * 1000.0;
    let peaks = |second: f64| if second % 5.0 < 2.0 { second % 7.0 * 500.0 } else { 0.0 };
    assert!(is_flat(risen(|second| warms_up(second) + peaks(second))));
    // Ten bytes for each of fifty connections a second.
    assert!(!is_flat(risen(|second| warms_up(second) + peaks(second) + second * 0.5)));
    // What falls is no leak, and one that begins lower is.
    let falls = |second: f64| if second < 1500.0 { 20_000.0 } else { 19_000.0 };
    assert!(is_flat(risen(falls)));
    assert!(!is_flat(risen(|second| falls(second) + (second - 1500.0).max(0.0) * 0.5)));
    // A pool that grows to the middle of it and no more is no leak, and not flat.
    assert!(!is_flat(risen(|second| 20_000.0 + (second / 1800.0).min(1.0) * 1000.0)));
}
