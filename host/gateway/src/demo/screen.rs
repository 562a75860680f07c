//! The output of the demo: a terminal, or lines of text.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use super::board::Board;
use super::{lines, view};
use crate::stdout::Stdout;

/// The output of the demo.
pub(super) enum Screen {
    /// A terminal, redrawn with every picture.
    Live(DefaultTerminal),
    /// A line a second, and each event once; on standard error where standard output is the caller's.
    Lines { to_stderr: bool, told: usize, second: u64 },
}

impl Screen {
    /// Opens the terminal if standard output is one and may be used, else lines; `quiet` leaves it to the caller.
    pub(super) fn open(quiet: bool) -> std::io::Result<Self> {
        if !quiet && std::io::stdout().is_terminal() {
            return Ok(Self::Live(ratatui::try_init()?));
        }
        Ok(Self::Lines { to_stderr: quiet, told: 0, second: 0 })
    }

    /// Shows the present state of the board.
    pub(super) fn show(&mut self, board: &Board) -> std::io::Result<()> {
        match self {
            Self::Live(terminal) => terminal.draw(|frame| view::draw(frame, board)).map(drop),
            Self::Lines { to_stderr, told, second } => {
                let out: &mut dyn Write = if *to_stderr { &mut std::io::stderr() } else { &mut Stdout };
                for event in board.events(board.told() - *told) {
                    writeln!(out, "{event}")?;
                }
                *told = board.told();
                let now = board.film.last().map_or(0, |last| last.elapsed.as_secs());
                if now > *second {
                    *second = now;
                    writeln!(out, "{}", lines::line(&board.film))?;
                }
                Ok(())
            }
        }
    }

    /// Whether a key was pressed that ends the demo. Does not wait for one.
    pub(super) fn is_left(&self) -> std::io::Result<bool> {
        if !matches!(self, Self::Live(_)) {
            return Ok(false);
        }
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
            {
                let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if matches!(self, Self::Live(_)) {
            ratatui::restore();
        }
    }
}
