//! Header.
