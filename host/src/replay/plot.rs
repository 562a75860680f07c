//! Miss-ratio curves as SVG.

use std::collections::BTreeMap;
use std::path::Path;

use plotters::prelude::*;

use super::row::Row;

/// Draws the object miss ratio over the capacity, one curve for each policy, and writes it to `path`.
///
/// # Errors
/// When there is nothing to draw or the file can't be written.
pub fn plot(path: &Path, title: &str, rows: &[Row]) -> anyhow::Result<()> {
    let (least, most) = (rows.iter().map(|row| row.capacity).min(), rows.iter().map(|row| row.capacity).max());
    let (Some(least), Some(most), Some(first)) = (least, most, rows.first()) else { anyhow::bail!("nothing to plot") };
    let top = rows.iter().map(|row| row.object_miss_ratio).fold(0.0, f64::max);
    let root = SVGBackend::new(path, (960, 600)).into_drawing_area();
    root.fill(&WHITE)?;
    let capacities = (least.max(1) as f64 * 0.9..most as f64 * 1.1).log_scale();
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(capacities, 0.0..(top * 1.05).clamp(0.01, 1.0))?;
    let unit = serde_json::to_value(first.unit)?;
    chart
        .configure_mesh()
        .x_desc(format!("capacity in {}", unit.as_str().unwrap_or_default()))
        .y_desc("object miss ratio")
        .x_label_formatter(&|capacity| si(*capacity))
        .draw()?;
    let mut curves: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for row in rows {
        curves.entry(&row.policy).or_default().push((row.capacity as f64, row.object_miss_ratio));
    }
    for (index, (policy, mut points)) in curves.into_iter().enumerate() {
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

fn si(capacity: f64) -> String {
    match capacity {
        c if c >= 1e9 => format!("{:.1}G", c / 1e9),
        c if c >= 1e6 => format!("{:.1}M", c / 1e6),
        c if c >= 1e3 => format!("{:.1}k", c / 1e3),
        c => format!("{c:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::capacity::Unit;
    use super::*;

    #[test]
    fn each_policy_has_a_curve() {
        let row = |policy: &str, capacity, ratio| Row {
            policy: policy.to_owned(),
            unit: Unit::Bytes,
            capacity,
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
        assert!(["lru", "arc", "a day", "object miss ratio"].iter().all(|text| svg.contains(text)), "{svg}");
        plot(&path, "a day", &rows[..2]).unwrap();
        let lines = |svg: &str| svg.matches("stroke-width=\"2\"").count();
        assert!(
            lines(&svg) > lines(&std::fs::read_to_string(&path).unwrap()),
            "the second policy has lines of its own"
        );
        assert!(plot(&path, "", &[]).is_err());
    }
}
