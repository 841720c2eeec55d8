//! The pages of the public listener.

mod link;
