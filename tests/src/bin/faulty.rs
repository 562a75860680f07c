//! The program, made to break its promises: the protections that the variable `NODE_FAULTS` names are switched off. So
//! a test can show that it would notice.

use std::process::ExitCode;

use sandbar::faults::{Faults, switch_on};
use sandbar_tests::nodes::FAULTS;

fn main() -> ExitCode {
    let words = std::env::var(FAULTS).expect("it says what is to be switched off");
    switch_on(Faults::parse(&words).expect("faults that there are"));
    sandbar_gateway::cli::main()
}
