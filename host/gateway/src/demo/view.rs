//! The demo on a terminal: tables, a curve of the hit ratios, and the last events.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph, Row, Table};

use super::board::Board;
use super::film::{Figures, TenantPicture};

/// The time before the last picture that rates and ratios in the tables cover.
const WINDOW: Duration = Duration::from_secs(2);
/// How many pictures the curve covers: those of a minute.
const CURVE_PICTURES: usize = 120;
const COLOURS: [Color; 4] = [Color::Cyan, Color::Yellow, Color::Green, Color::Magenta];

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, board: &Board) {
    let tenants = u16::try_from(board.tenants()).unwrap_or(u16::MAX);
    let rows = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(tenants.saturating_add(3)),
        Constraint::Length(6),
        Constraint::Min(6),
        Constraint::Length(9),
    ]);
    let [title, table, figures, curve, events] = rows.areas(frame.area());
    draw_title(frame, title, board);
    draw_tenants(frame, table, board);
    let [latency, load] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(figures);
    draw_latency(frame, latency, board);
    draw_load(frame, load, board);
    draw_curve(frame, curve, board);
    draw_events(frame, events, board);
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let elapsed = board.film.last().map_or(0, |last| last.elapsed.as_secs());
    let until = board.seconds.map_or(String::new(), |seconds| format!(" of {seconds} s"));
    let lines = vec![
        Line::from(vec!["Sandbar ".bold(), format!("demo, {elapsed} s{until}; q ends it").into()]),
        Line::from(board.try_it()).dim(),
    ];
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_tenants(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let head = ["tenant", "eviction policy", "req/s", "L1 hits", "L2 hits", "origin", "collapsed", "L1 memory"];
    let pictures = board.film.last().map(|last| last.tenants.as_slice()).unwrap_or_default();
    let rows = pictures.iter().enumerate().map(|(index, tenant)| {
        let rate = board.film.tenant_rate(index, WINDOW);
        tenant_row(tenant, &board.film.recent(index, WINDOW), rate)
            .style(Style::new().fg(COLOURS[index % COLOURS.len()]))
    });
    let widths = [8, 26, 8, 9, 9, 9, 10, 20].map(Constraint::Length);
    let table = Table::new(rows, widths).header(Row::new(head).bold());
    frame.render_widget(table.block(Block::bordered().title(" tenants, the last 2 s ")), area);
}

fn tenant_row(tenant: &TenantPicture, recent: &Figures, rate: f64) -> Row<'static> {
    let share = |part: u64| {
        let percent = 100.0 * part as f64 / recent.requests.max(1) as f64;
        format!("{percent:5.1} %")
    };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Row::new([
        tenant.name.clone(),
        tenant.eviction.clone(),
        format!("{rate:.0}"),
        share(recent.hits_l1),
        share(recent.hits_l2),
        share(recent.fetched),
        share(recent.collapsed),
        format!("{:.1} of {:.1} MiB", mib(tenant.resident_bytes), mib(tenant.capacity_bytes)),
    ])
}

fn draw_latency(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let Some(last) = board.film.last() else { return };
    let (with, without) = (board.with_cache, last.without_cache);
    let now = last.with_cache.unwrap_or_default();
    let row = |name: &'static str, p50_ms: f64, p99_ms: f64| {
        Row::new([name.to_owned(), format!("{p50_ms:.2} ms"), format!("{p99_ms:.1} ms")])
    };
    let rows = [
        row("through the cache, now", now.p50_ms, now.p99_ms),
        row("through the cache, so far", with.p50_ms, with.p99_ms),
        row("without it (sampled)", without.p50_ms, without.p99_ms),
    ];
    let widths = [Constraint::Length(26), Constraint::Length(12), Constraint::Length(12)];
    let table = Table::new(rows, widths).header(Row::new(["", "p50", "p99"]).bold());
    frame.render_widget(table.block(Block::bordered().title(" latency ")), area);
}

fn draw_load(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let Some(last) = board.film.last() else { return };
    let (requests, origin) = (board.film.request_rate(WINDOW), board.film.origin_rate(WINDOW));
    let spared = if requests > 0.0 { 100.0 * (1.0 - origin / requests).max(0.0) } else { 0.0 };
    let memory = last.process_bytes.map_or("unknown".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    let failed = Line::from(format!("{} requests, every byte compared; {} failed", last.requests, last.failed));
    let lines = vec![
        Line::from(format!("{requests:.0} requests/s; {origin:.0}/s reach the origin, {spared:.0} % don't")),
        Line::from(format!("{} requests in the origin at this moment", last.origin_in_progress)),
        Line::from(format!("{memory} of memory: gateway, origin and visitors together")),
        if last.failed == 0 { failed.green() } else { failed.red().bold() },
    ];
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" load ")), area);
}

fn draw_curve(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let curves: Vec<_> = (0..board.tenants()).map(|tenant| board.film.l1_hit_ratios(tenant, CURVE_PICTURES)).collect();
    let points = || curves.iter().flatten();
    let (from, to) = points().fold((f64::MAX, 1.0_f64), |(from, to), point| (from.min(point.0), to.max(point.0)));
    let low = points().fold(100.0_f64, |low, point| low.min(point.1));
    let floor = (low / 10.0).floor() * 10.0;
    let swap = board.swapped_at().map(|at| vec![(at, floor), (at, 100.0)]).unwrap_or_default();
    let names = board.film.last().map(|last| last.tenants.iter().map(|tenant| tenant.name.clone()).collect::<Vec<_>>());
    let names = names.unwrap_or_default();
    let mut lines: Vec<_> = curves
        .iter()
        .zip(names)
        .enumerate()
        .map(|(index, (curve, name))| {
            let colour = COLOURS[index % COLOURS.len()];
            Dataset::default().name(name).data(curve).marker(Marker::Braille).graph_type(GraphType::Line).fg(colour)
        })
        .collect();
    if !swap.is_empty() {
        lines.push(Dataset::default().name("swap").data(&swap).marker(Marker::Dot).graph_type(GraphType::Line).white());
    }
    let from = from.min(to - 1.0);
    let x = Axis::default().bounds([from, to]).labels([format!("{from:.0} s"), format!("{to:.0} s")]);
    let y = Axis::default().bounds([floor, 100.0]).labels([format!("{floor:.0} %"), "100 %".to_owned()]);
    let chart = Chart::new(lines)
        .hidden_legend_constraints((Constraint::Ratio(1, 2), Constraint::Ratio(1, 2)))
        .x_axis(x)
        .y_axis(y)
        .block(Block::bordered().title(" L1 hit ratio "));
    frame.render_widget(chart, area);
}

fn draw_events(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let room = usize::from(area.height.saturating_sub(2));
    let lines: Vec<_> = board.events(room).map(Line::from).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" events ")), area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::film::Picture;
    use super::*;

    fn screen(board: &Board, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, board)).unwrap();
        terminal.backend().to_string()
    }

    fn board() -> Board {
        let mut board = Board::new("127.0.0.1:8080".parse().unwrap(), "127.0.0.1:8081".parse().unwrap(), Some(30));
        for second in 0..20 {
            let figures = Figures { requests: second * 1000, hits_l1: second * 800, ..Figures::default() };
            let tenants = ["shop", "media"].map(|name| TenantPicture {
                name: name.into(),
                figures: figures.clone(),
                eviction: "s3-fifo (guest)".into(),
                ..TenantPicture::default()
            });
            let elapsed = Duration::from_secs(second);
            board.film.add(Picture { elapsed, tenants: tenants.into(), requests: second * 2000, ..Picture::default() });
        }
        board.tell("the swap went well");
        board
    }

    #[test]
    fn everything_that_was_promised_is_on_the_screen() {
        let screen = screen(&board(), 120, 40);
        let promised = [
            "demo, 19 s of 30 s",
            "shop",
            "media",
            "s3-fifo (guest)",
            "80.0 %",
            "1000",
            "2000 requests/s",
            "p99",
            "0 failed",
            "L1 hit ratio",
            "the swap went well",
            "127.0.0.1:8080",
            "127.0.0.1:8081",
        ];
        for text in promised {
            assert!(screen.contains(text), "{text:?} is missing:\n{screen}");
        }
    }

    #[test]
    fn small_terminals_and_empty_films_do_no_harm() {
        for (width, height) in [(120, 40), (80, 24), (20, 5), (1, 1)] {
            screen(&board(), width, height);
            screen(&Board::new("[::1]:1".parse().unwrap(), "[::1]:2".parse().unwrap(), None), width, height);
        }
    }
}
