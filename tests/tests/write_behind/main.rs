//! Write-behind: writes are held in a journal and answered, readers get them at once, and the origin gets them later, in their order.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod killed;
mod letters;
mod order;
mod reads;
mod shop;
mod standing;
mod trouble;
