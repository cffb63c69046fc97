//! Nothing is lost when PostgreSQL itself crashes. All other tests also run with PostgreSQL
//! (tests/README.md).

use deskreel_test_support::postgres::Postgres;
use deskreel_test_support::server::Server;

use crate::crash::{kills, under_load};

#[test]
fn nothing_acknowledged_is_lost_though_postgresql_crashes_under_load() {
    let mut postgres = Postgres::start();
    let server = Server::start_on(&postgres.url());
    under_load(server, kills(5), |server| {
        postgres.crash();
        server
    });
}
