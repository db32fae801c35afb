//! `raw_extraction_data`, as far as rows without a message are concerned.
