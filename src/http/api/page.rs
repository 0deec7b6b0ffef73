//! One page of a list, of the parts that the workers have of it.

use crate::connection::survey::Part;

/// A page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<T, K> {
    /// What stands on it, in order.
    pub(super) found: Vec<T>,
    /// How many there are on all pages.
    pub(super) total: usize,
    /// The last that it covers, where there are more behind it.
    pub(super) next: Option<K>,
}

/// Merges parts. `key` is what they are in the order of, `same` merges two of one key.
pub(super) fn merge<T, K: Ord + Clone>(
    parts: Vec<Part<T, K>>,
    limit: usize,
    key: impl Fn(&T) -> K,
    same: impl Fn(&mut T, T),
) -> Page<T, K> {
    let total = parts.iter().map(|part| part.total).sum();
    // Behind the nearest horizon some worker may have more than it has told.
    let mut next = parts.iter().filter_map(|part| part.horizon.clone()).min();
    let mut all: Vec<T> = parts.into_iter().flat_map(|part| part.found).collect();
    all.sort_by_key(&key);
    let mut found: Vec<T> = Vec::with_capacity(all.len().min(limit));
    for item in all {
        if next.as_ref().is_some_and(|horizon| key(&item) > *horizon) {
            break;
        }
        let is_full = found.len() == limit;
        match found.last_mut() {
            Some(last) if key(last) == key(&item) => same(last, item),
            Some(last) if is_full => {
                next = Some(key(last));
                break;
            }
            _ => found.push(item),
        }
    }
    Page { found, total, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every page of so many numbers on so many workers, each of which has those that it is asked for.
    fn pages(workers: &[Vec<u32>], limit: usize) -> Vec<Vec<(u32, u32)>> {
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let parts = workers
                .iter()
                .map(|numbers| {
                    let behind = numbers.iter().filter(|n| after.is_none_or(|after| **n > after));
                    let found: Vec<_> = behind.clone().take(limit).map(|n| (*n, 1)).collect();
                    let more = behind.count() > limit;
                    let horizon = found.last().filter(|_| more).map(|(n, _)| *n);
                    Part { found, total: numbers.len(), horizon }
                })
                .collect();
            let page = merge(parts, limit, |(n, _)| *n, |last, item| last.1 += item.1);
            assert!(page.found.len() <= limit);
            assert_eq!(page.total, workers.iter().map(Vec::len).sum::<usize>());
            pages.push(page.found);
            after = page.next;
            if after.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn whatever_the_workers_have_each_stands_on_one_page() {
        let mut seed = 7_u32;
        let mut random = |below: u32| {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            (seed >> 16) % below
        };
        for _ in 0..300 {
            let workers: Vec<Vec<u32>> = (0..1 + random(4))
                .map(|_| {
                    let mut numbers: Vec<u32> = (0..random(12)).map(|_| random(20)).collect();
                    numbers.sort_unstable();
                    numbers.dedup();
                    numbers
                })
                .collect();
            let mut expected = std::collections::BTreeMap::new();
            for number in workers.iter().flatten() {
                *expected.entry(*number).or_insert(0) += 1;
            }
            for limit in 1..6 {
                let told: Vec<(u32, u32)> = pages(&workers, limit).concat();
                assert_eq!(told, expected.clone().into_iter().collect::<Vec<_>>(), "{workers:?}");
            }
        }
    }
}
