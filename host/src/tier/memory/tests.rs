//! The engine against policies that are honest, hostile, slow and watchful.

mod basics;
mod support;
