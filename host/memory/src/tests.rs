//! Tests of the tier with policies that are honest, hostile, slow or check what they are told; with `--cfg shuttle`
//! under many interleavings.

#[cfg(not(shuttle))]
mod basics;
#[cfg(not(shuttle))]
mod faults;
#[cfg(not(shuttle))]
mod hostile;
#[cfg(shuttle)]
mod interleavings;
#[cfg(not(shuttle))]
mod knowledge;
#[cfg(not(shuttle))]
mod model;
#[cfg(not(shuttle))]
mod stress;
#[cfg_attr(shuttle, expect(dead_code, reason = "some of it only the tests with real threads need"))]
mod support;
#[cfg(not(shuttle))]
mod swap;
#[cfg(not(shuttle))]
mod witness;
