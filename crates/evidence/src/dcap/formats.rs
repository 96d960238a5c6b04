//! The files and answers that endorsements come in, recognised by content.
