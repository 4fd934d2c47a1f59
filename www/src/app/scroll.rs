//! Where a list is scrolled to, of which only the rows in sight are drawn, and which may be longer than an element can be high.
//! Knows pixels; must not know what a row shows.

/// Browsers lay out no element that is higher than some 17 million pixels (Firefox; Chromium 33 million); a longer list is scrolled by a
/// proportion.
const TALLEST: f64 = 12_000_000.0;

/// So many rows are drawn before and after those in sight.
const MORE: u32 = 2;

/// Where the list is, in pixels of all its rows, which may be more than the element that scrolls can have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scroll {
    /// Of the element.
    pub element: f64,
    /// Of the rows.
    pub rows: f64,
    /// Of what is in sight.
    pub height: f64,
}

impl Default for Scroll {
    fn default() -> Self {
        Self { element: 0.0, rows: 0.0, height: 600.0 }
    }
}

/// How high the element is whose rows are `all` pixels high.
pub fn tall(all: f64) -> f64 {
    all.min(TALLEST)
}

impl Scroll {
    /// How many pixels of rows one pixel of the element stands for.
    pub fn proportion(self, all: f64) -> f64 {
        if all > TALLEST { (all - self.height) / (TALLEST - self.height) } else { 1.0 }
    }

    /// After the element has been scrolled to `element`, of which `height` is in sight.
    pub fn scrolled(self, element: f64, height: f64, all: f64) -> Self {
        // A position that was set here is known better than by proportion.
        if (element - self.element).abs() < 1.0 {
            return Self { height, ..self };
        }
        let next = Self { height, ..self };
        Self { element, rows: element * next.proportion(all), ..next }
    }

    /// With this pixel of the rows at the top, or as near as it can be.
    pub fn at(self, target: f64, all: f64) -> Self {
        let rows = target.clamp(0.0, (all - self.height).max(0.0));
        Self { element: (rows / self.proportion(all)).round(), rows, ..self }
    }

    /// The first row to be drawn, and how many.
    pub fn drawn(self, row: f64) -> (u32, u32) {
        (((self.rows / row) as u32).saturating_sub(MORE), (self.height / row) as u32 + 2 * MORE + 1)
    }

    /// Where in the element the row `first` begins: as far from what is in sight as the rows say, wherever the element is.
    pub fn shift(self, first: u32, row: f64) -> f64 {
        f64::from(first) * row - self.rows + self.element
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: f64 = 80.0;
    const MANY: u32 = 1_000_000;

    /// Whether `row` is drawn, and where, from the upper edge of what is in sight.
    fn place(scroll: Scroll, row: u32) -> Option<f64> {
        let (first, count) = scroll.drawn(ROW);
        let inside = (first..first + count).contains(&row);
        inside.then(|| scroll.shift(first, ROW) + f64::from(row - first) * ROW - scroll.element)
    }

    #[test]
    fn each_of_a_million_rows_can_be_brought_to_the_top() {
        let all = f64::from(MANY) * ROW;
        let start = Scroll { height: 700.0, ..Scroll::default() };
        for row in (0..MANY - 9).step_by(997) {
            let there = start.at(f64::from(row) * ROW, all);
            assert!(place(there, row).is_some_and(|y| y.abs() < 0.01), "{row}: {there:?}");
            // The element's own word of where it was scrolled to moves nothing.
            assert_eq!(there.scrolled(there.element, 700.0, all), there);
            assert!((0.0..=tall(all) - 700.0).contains(&there.element));
        }
    }

    #[test]
    fn both_ends_are_reached_by_the_elements_own_scrolling() {
        for rows in [1, 12, 150_000, 150_001, MANY] {
            let all = f64::from(rows) * ROW;
            let start = Scroll { height: 700.0, ..Scroll::default() };
            let end = start.scrolled((tall(all) - 700.0).max(0.0), 700.0, all);
            let last = place(end, rows - 1).unwrap_or(f64::NAN);
            // The last row ends where the list does.
            assert!((last + ROW - all.min(700.0)).abs() < 1.0, "{rows}: {last}");
            assert_eq!(place(end.scrolled(0.0, 700.0, all), 0), Some(0.0));
        }
    }

    #[test]
    fn a_notch_moves_by_pixels_of_rows_however_long_the_list_is() {
        let all = f64::from(MANY) * ROW;
        let mut scroll = Scroll { height: 700.0, ..Scroll::default() };
        for _ in 0..1000 {
            let before = scroll.rows;
            scroll = scroll.at(scroll.rows + 120.0, all);
            scroll = scroll.scrolled(scroll.element, 700.0, all);
            assert_eq!(scroll.rows - before, 120.0);
        }
        assert!(place(scroll, 1500).is_some());
    }
}
