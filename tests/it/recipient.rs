//! Which recipients may get a message.

mod numbers;
mod test_recipients;
