//! Hardware vendor bytes in, verified and bound reports out.
