//! Forged evidence under a test root, and the vector runner. Development only.
