//! A retention curve in the terminal.

/// Lines of the chart.
const HEIGHT: u32 = 10;
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws a curve of ratios, one column each: 1.0 is everybody.
pub(super) fn curve(ratios: &[f64]) -> String {
    let top = ratios.iter().copied().fold(1.0, f64::max);
    let mut text = String::new();
    for line in (0..HEIGHT).rev() {
        let label = 100.0 * top * f64::from(line + 1) / f64::from(HEIGHT);
        text.push_str(&format!("{label:5.0} % │"));
        text.extend(
            ratios.iter().map(|ratio| block(ratio / top * f64::from(HEIGHT) - f64::from(line))),
        );
        text.push('\n');
    }
    let width = ratios.len();
    text.push_str(&format!("        └{}\n", "─".repeat(width)));
    text.push_str(&format!("         0 %{:>1$}\n", "100 % of the video", width.saturating_sub(3)));
    text
}

/// How much of a cell is filled.
fn block(filled: f64) -> char {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is 0 to 8")]
    let eighths = (filled.clamp(0.0, 1.0) * 8.0).round() as usize;
    EIGHTHS[eighths]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_falls_from_left_to_right() {
        let text = curve(&[1.0, 0.5, 0.0]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "  100 % │█  ");
        assert_eq!(lines[5], "   50 % │██ ");
    }
}
