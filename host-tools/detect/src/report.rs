//! Reports as one HTML page: tables, plots and images inside, no script, no font, no address, so
//! that it opens offline and for ever.
//!
//! A [`Page`] is written block by block; every text is escaped. Plots are made here from what was
//! measured and know nothing of who measured it.

mod bars;
mod histogram;
mod layers;
mod page;
mod roc;
mod sheet;
mod table;
mod timeline;

pub use crate::draw::Picture;
pub use bars::{Bar, bars};
pub use histogram::histogram;
pub use layers::{Layers, Series, quartiles};
pub use page::Page;
pub use roc::roc;
pub use sheet::Thumbnail;
pub use table::{Column, Table};
pub use timeline::{Look, Row, Span, timeline};

#[cfg(test)]
mod tests;
