//! Between the contract's types and the host's own: one file per released version of the contract. They translate and
//! decide nothing.

pub(crate) mod v0_1_0;
