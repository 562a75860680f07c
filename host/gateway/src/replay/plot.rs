//! Miss-ratio curves as SVG.

use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

use super::capacity::Unit;
use super::row::Row;

/// Draws the object miss ratio over the capacity, one curve for each policy in the order of the rows, and writes it to
/// `path`.
///
/// # Errors
/// When there is nothing to draw or the file can't be written.
pub fn plot(path: &Path, title: &str, rows: &[Row]) -> anyhow::Result<()> {
    let (least, most) = (rows.iter().map(|row| row.capacity).min(), rows.iter().map(|row| row.capacity).max());
    let (Some(least), Some(most), Some(first)) = (least, most, rows.first()) else { anyhow::bail!("nothing to plot") };
    let top = rows.iter().map(|row| row.object_miss_ratio).fold(0.0, f64::max);
    let root = SVGBackend::new(path, (960, 600)).into_drawing_area();
    root.fill(&WHITE)?;
    let range = least.max(1) as f64 * 0.9..most.max(1) as f64 * 1.1;
    let ticks = ticks(range.clone());
    let capacities = range.log_scale().with_key_points(ticks);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(capacities, 0.0..(top * 1.05).clamp(0.01, 1.0))?;
    let (x_desc, unit) = match first.unit {
        Unit::Entries => ("capacity in entries", ""),
        Unit::Bytes => ("capacity", "B"),
    };
    chart
        .configure_mesh()
        .x_desc(x_desc)
        .y_desc("object miss ratio")
        .x_label_formatter(&|capacity| si(*capacity, unit))
        .draw()?;
    let mut policies: Vec<&str> = vec![];
    rows.iter().for_each(|row| {
        if !policies.contains(&row.policy.as_str()) {
            policies.push(&row.policy);
        }
    });
    for (index, policy) in policies.into_iter().enumerate() {
        let of_it = rows.iter().filter(|row| row.policy == policy);
        // A capacity that rounds down to nothing has no place on a logarithmic axis.
        let points = of_it.filter(|row| row.capacity > 0).map(|row| (row.capacity as f64, row.object_miss_ratio));
        let mut points: Vec<(f64, f64)> = points.collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let style = Palette99::pick(index).stroke_width(2);
        chart
            .draw_series(LineSeries::new(points, style).point_size(3))?
            .label(policy)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    root.present()?;
    Ok(())
}

/// 1, 2 and 5 of each power of ten.
fn ticks(range: Range<f64>) -> Vec<f64> {
    let powers = range.start.log10().floor() as i32..=range.end.log10().ceil() as i32;
    let ticks = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    ticks.filter(|tick| range.contains(tick)).collect()
}

fn si(capacity: f64, unit: &str) -> String {
    let (scaled, prefix) = match capacity {
        c if c >= 1e12 => (c / 1e12, "T"),
        c if c >= 1e9 => (c / 1e9, "G"),
        c if c >= 1e6 => (c / 1e6, "M"),
        c if c >= 1e3 => (c / 1e3, "k"),
        c => (c, ""),
    };
    format!("{scaled:.0} {prefix}{unit}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_has_a_curve() {
        let row = |policy: &str, capacity, ratio| Row {
            policy: policy.to_owned(),
            unit: Unit::Bytes,
            capacity,
            sample_rate: 1.0,
            requests: 10,
            misses: 5,
            object_miss_ratio: ratio,
            byte_miss_ratio: 0.5,
            evictions: 1,
            ns_per_request: 10.0,
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("curve.svg");
        let rows = [row("lru", 100, 0.9), row("lru", 5_000, 0.5), row("arc", 100, 0.8), row("arc", 5_000, 0.4)];
        plot(&path, "a day", &rows).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        let texts = ["lru", "arc", "a day", "object miss ratio", "100 B", "200 B", "5 kB"];
        assert!(texts.iter().all(|text| svg.contains(text)), "{svg}");
        assert!(svg.find("\nlru") < svg.find("\narc"), "in the order of the rows");
        plot(&path, "a day", &rows[..2]).unwrap();
        let lines = |svg: &str| svg.matches("stroke-width=\"2\"").count();
        assert!(
            lines(&svg) > lines(&std::fs::read_to_string(&path).unwrap()),
            "the second policy has lines of its own"
        );
        plot(&path, "too small for an entry", &[row("lru", 0, 1.0)]).unwrap();
        assert!(plot(&path, "", &[]).is_err());
    }
}
