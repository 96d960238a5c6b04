//! Messages as they are sent, and each way to get one wrong.
