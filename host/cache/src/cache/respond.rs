//! From what a request may be given to the response that its client gets.

pub(super) mod answer;
pub(super) mod serve;
