//! Tests of `sandbar_http::semantics`, one table per rule, each case with the section that decides it. No test reads a
//! clock.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod semantics {
    mod age;
    mod cache_control;
    mod cache_status;
    mod completion;
    mod corpus;
    mod date;
    mod differential;
    mod early_refresh;
    mod fields;
    mod fresh;
    mod invalidate;
    mod partial;
    mod precondition;
    mod properties;
    mod ranges;
    mod request;
    mod reusable;
    mod sound;
    mod stale;
    mod storable;
    mod support;
    mod surrogate;
    mod targeted;
    mod upgrade;
    mod validate;
    mod vary;
}
