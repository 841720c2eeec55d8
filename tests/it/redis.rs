//! The service on real Redis servers that fail: each test has servers of its own.

mod bed;
mod load;
mod restart;
