//! A minimal RESP2/RESP3 parser: requests, replies and frame ends.

use std::{collections::BTreeMap, fmt};

/// The deepest nesting that is parsed; replies of Redis stay far below it.
const DEPTH_MAX: usize = 32;
/// The longest string that Redis allows.
const BYTES_MAX: usize = 512 * 1024 * 1024;

/// A value on the wire.
#[derive(Clone, PartialEq)]
pub enum Reply {
    Simple(String),
    Error(String),
    Int(i64),
    Bulk(Vec<u8>),
    Nil,
    Double(f64),
    Bool(bool),
    Big(String),
    List(Vec<Self>),
    Set(Vec<Self>),
    Map(Vec<(Self, Self)>),
    /// A push: a message without a request.
    Push(Vec<Self>),
}

impl Reply {
    /// The text of a string, number or error; empty for everything else.
    pub fn text(&self) -> String {
        match self {
            Self::Simple(text) | Self::Error(text) | Self::Big(text) => text.clone(),
            Self::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Int(number) => number.to_string(),
            Self::Double(number) => number.to_string(),
            _ => String::new(),
        }
    }

    pub fn int(&self) -> i64 {
        self.text()
            .parse()
            .unwrap_or_else(|_| panic!("a number is expected, not {self:?}"))
    }

    pub fn bytes(&self) -> &[u8] {
        if let Self::Bulk(bytes) = self {
            bytes
        } else {
            panic!("a string is expected, not {self:?}")
        }
    }

    /// The elements of a list, a set or a push.
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(list) | Self::Set(list) | Self::Push(list) => list,
            _ => panic!("a list is expected, not {self:?}"),
        }
    }

    /// A map, or a list that alternates names and values.
    pub fn fields(&self) -> BTreeMap<String, String> {
        match self {
            Self::Map(pairs) => pairs
                .iter()
                .map(|(name, value)| (name.text(), value.text()))
                .collect(),
            _ => self
                .list()
                .chunks_exact(2)
                .map(|pair| (pair[0].text(), pair[1].text()))
                .collect(),
        }
    }

    pub fn is_nil(&self) -> bool {
        *self == Self::Nil
    }

    pub fn error(&self) -> Option<&str> {
        if let Self::Error(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// Returns the reply, unless it is an error.
    pub fn ok(self) -> Self {
        if let Self::Error(text) = &self {
            panic!("Redis answered: {text}")
        } else {
            self
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(list) => f.debug_list().entries(list).finish(),
            Self::Set(list) => f.debug_set().entries(list).finish(),
            Self::Push(list) => f.debug_tuple("Push").field(list).finish(),
            Self::Map(pairs) => f
                .debug_map()
                .entries(pairs.iter().map(|(name, value)| (name, value)))
                .finish(),
            Self::Error(text) => write!(f, "-{text}"),
            Self::Nil => f.write_str("nil"),
            Self::Bool(value) => value.fmt(f),
            _ => self.text().fmt(f),
        }
    }
}

/// Encodes a request as bytes.
pub fn encode<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments.iter().map(|argument| argument.as_ref()) {
        bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
        bytes.extend([argument, b"\r\n"].concat());
    }
    bytes
}

/// Parses the first value of these bytes; returns it with its length, or `None` if it is incomplete.
///
/// # Errors
/// What violates the protocol.
pub fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>, String> {
    let mut cursor = Cursor { bytes, at: 0 };
    match cursor.value(0) {
        Ok(value) => Ok(Some((value, cursor.at))),
        Err(Stop::Short) => Ok(None),
        Err(Stop::Wrong(what)) => Err(what),
    }
}

enum Stop {
    Short,
    Wrong(String),
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn value(&mut self, depth: usize) -> Result<Reply, Stop> {
        let line = self.line()?;
        let Some((kind, rest)) = line.split_at_checked(1).filter(|_| depth <= DEPTH_MAX) else {
            return Err(Stop::Wrong(format!(
                "an empty line, or more than {DEPTH_MAX} levels"
            )));
        };
        Ok(match kind {
            "+" => Reply::Simple(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Int(number(rest)?),
            "," => Reply::Double(number(rest)?),
            "#" => Reply::Bool(rest == "t"),
            "(" => Reply::Big(rest.to_owned()),
            "_" => Reply::Nil,
            "$" | "*" if rest == "-1" => Reply::Nil,
            "$" => Reply::Bulk(self.string(rest)?),
            "!" => Reply::Error(String::from_utf8_lossy(&self.string(rest)?).into_owned()),
            // The string begins with three letters for its kind and a colon.
            "=" => Reply::Bulk(self.string(rest)?.into_iter().skip(4).collect()),
            "*" => Reply::List(self.values(length(rest)?, depth)?),
            "~" => Reply::Set(self.values(length(rest)?, depth)?),
            ">" => Reply::Push(self.values(length(rest)?, depth)?),
            "%" => Reply::Map(self.pairs(length(rest)?, depth)?),
            // Attributes describe the value that follows them.
            "|" => self
                .pairs(length(rest)?, depth)
                .and_then(|_| self.value(depth))?,
            _ => return Err(Stop::Wrong(format!("an unknown kind {line:?}"))),
        })
    }

    fn line(&mut self) -> Result<String, Stop> {
        let rest = &self.bytes[self.at..];
        let end = rest
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .ok_or(Stop::Short)?;
        self.at += end + 2;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    fn string(&mut self, length_text: &str) -> Result<Vec<u8>, Stop> {
        let end = self.at + length(length_text)?;
        let string = self.bytes.get(self.at..end).ok_or(Stop::Short)?;
        match self.bytes.get(end..end + 2) {
            Some(b"\r\n") => self.at = end + 2,
            Some(other) => return Err(Stop::Wrong(format!("a string that ends with {other:?}"))),
            None => return Err(Stop::Short),
        }
        Ok(string.to_vec())
    }

    fn values(&mut self, count: usize, depth: usize) -> Result<Vec<Reply>, Stop> {
        (0..count).map(|_| self.value(depth + 1)).collect()
    }

    fn pairs(&mut self, count: usize, depth: usize) -> Result<Vec<(Reply, Reply)>, Stop> {
        (0..count)
            .map(|_| Ok((self.value(depth + 1)?, self.value(depth + 1)?)))
            .collect()
    }
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, Stop> {
    text.parse()
        .map_err(|_| Stop::Wrong(format!("no number: {text:?}")))
}

fn length(text: &str) -> Result<usize, Stop> {
    number(text).and_then(|length| {
        if length <= BYTES_MAX {
            Ok(length)
        } else {
            Err(Stop::Wrong(format!("a length of {length}")))
        }
    })
}
