//! Tests of the simulation: that it finds what it is for, and that it is like the machine.

#[cfg(unix)]
mod drift;
mod protocol;
