//! Owns [`spark`]: figures as a line of small bars.

/// Bars of eight heights; a terminal that cannot show them gets signs of ASCII that look like it.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 9] = [' ', '.', ':', '-', '=', '+', '*', '%', '#'];

/// The last figures, one a column, the newest at the right; the largest of them is the highest bar.
pub(super) fn spark(figures: &[f64], width: usize, unicode: bool) -> String {
    let bars = if unicode { BARS } else { ASCII };
    let shown = &figures[figures.len().saturating_sub(width)..];
    let largest = shown.iter().copied().fold(0.0, f64::max);
    let bar = |figure: &f64| {
        // Whatever is not nothing shows.
        let height = if *figure > 0.0 { (figure / largest * 8.0).ceil() as usize } else { 0 };
        bars[height.min(8)]
    };
    let left = width - shown.len();
    " ".repeat(left).chars().chain(shown.iter().map(bar)).collect()
}

/// Whether the terminal shows Unicode, as far as the environment says.
pub(super) fn shows_unicode() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_the_highest_and_whatever_is_not_nothing_shows() {
        assert_eq!(spark(&[0.0, 1.0, 50.0, 100.0], 6, true), "   ▁▄█");
        assert_eq!(spark(&[9.0, 0.0, 8.0, 1.0], 3, false), " #.");
        assert_eq!(spark(&[0.0; 3], 3, true), "   ");
        assert_eq!(spark(&[], 2, true), "  ");
    }
}
