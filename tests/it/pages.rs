//! The web pages of the public listener.

mod link;
