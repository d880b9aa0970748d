//! The file systems' side: where files may go, how they are written whole or not at all, who may
//! write, and how long it takes.
//!
//! | file | subject |
//! |---|---|
//! | `placing` | where below a destination a file may be put; making what was put durable |
//! | `partial` | a file under way to its final name |
//! | `sink` | a range of it, written past the page cache |
//! | `lock` | one writer at a destination |
//! | `access` | directories whose modes are in the way |
//! | `pace` | whether file work runs where it is asked for, or elsewhere |

pub(super) mod access;
pub(super) mod lock;
pub(super) mod pace;
pub(super) mod partial;
pub(super) mod placing;
pub(super) mod sink;
