//! The `hopscope` command.

fn main() {}
