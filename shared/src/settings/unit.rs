//! Durations as `"30s"` and sizes as `"256MiB"`.

/// For `#[serde(with = "…")]`: a duration such as `"30s"`, `"5m"`, `"1h 30m"`, `"250ms"`.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Reads the text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map_err(|_| {
            D::Error::custom(format!("{text:?} is not a duration: write it like \"30s\", \"5m\" or \"250ms\""))
        })
    }

    /// Writes the text.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*duration))
    }
}

/// For `#[serde(with = "…")]`: a size in bytes such as `"256MiB"`, `"1GB"` or a plain number.
pub mod size {
    use bytesize::ByteSize;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(u64),
        Text(String),
    }

    /// Reads the number or text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        match Form::deserialize(deserializer) {
            Ok(Form::Number(bytes)) => Ok(bytes),
            Ok(Form::Text(text)) => text
                .parse::<ByteSize>()
                .map(|size| size.as_u64())
                .map_err(|_| D::Error::custom(format!("{text:?} is not a size: write it like \"256MiB\" or \"1GiB\""))),
            Err(_) => Err(D::Error::custom("expected a size like \"256MiB\", or a number of bytes")),
        }
    }

    /// Writes the text.
    pub fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&ByteSize(*bytes).display().iec())
    }
}
