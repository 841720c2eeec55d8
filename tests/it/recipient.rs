//! Who gets a message at all.

mod numbers;
mod test_recipients;
