//! What operators see, and what nobody may see.

mod operations;
mod secrecy;
