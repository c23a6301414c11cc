//! The providers of deploy/examples/providers: each file is started as it stands, against a token service that wants
//! exactly the provider's request and answers in its shape, and the API must get what the provider's API wants.
//!
//! Variables whose names end in `URL` lead to the scripted servers; the paths behind them stay the provider's.

mod rows_a_to_f;
mod rows_g_to_r;
mod rows_s_to_z;
mod row;
mod table;
mod tls;

/// One test a row, called by its provider.
macro_rules! providers {
    ($($name:ident => $row:expr;)+) => {
        $(
            #[test]
            fn $name() {
                $row.run();
            }
        )+

        /// The files that these rows start.
        pub(super) fn files() -> Vec<&'static str> {
            vec![$($row.file()),+]
        }
    };
}
use providers;
