//! What the fuzz targets share: a strict reading of HTTP/1.1, the header rules written a second time, and the stand-ins
//! around a running proxy. Nothing here may use the code that it judges.

pub mod checks;
pub mod paths;
pub mod proxy;
pub mod rules;
pub mod script;
pub mod strict;
pub mod upstream;
