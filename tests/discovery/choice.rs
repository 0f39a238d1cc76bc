//! Selection of the resolver, including one of the caller.

use std::net::IpAddr;
use std::time::Duration;

use bsv_p2p::discovery::{Deadline, ResolveError, SeedResolver, default_resolver};

const ENOUGH: Duration = Duration::from_secs(30);

mockall::mock! {
    Seeds {}
    impl SeedResolver for Seeds {
        fn resolve(&self, name: &str, until: &Deadline) -> Result<Vec<IpAddr>, ResolveError>;
    }
}

#[test]
fn application_can_provide_its_own_resolver() {
    let mut seeds = MockSeeds::new();
    seeds
        .expect_resolve()
        .withf(|name, until| name == "seed.test" && until.remaining().is_some())
        .times(1)
        .returning(|_, _| Ok(vec![[192, 0, 2, 1].into()]));
    let seeds: Box<dyn SeedResolver> = Box::new(seeds);
    let found = seeds.resolve("seed.test", &Deadline::after(ENOUGH));
    assert_eq!(found, Ok(vec![[192, 0, 2, 1].into()]));
}

#[test]
fn system_resolver_is_used_without_name_servers() {
    let seeds = default_resolver(&[]).unwrap();
    let both: [IpAddr; 2] = [[127, 0, 0, 1].into(), [0, 0, 0, 0, 0, 0, 0, 1].into()];
    let found = seeds.resolve("localhost", &Deadline::after(ENOUGH));
    assert_eq!(found, Ok(both.to_vec()));
}

#[cfg(feature = "dns")]
#[test]
fn configured_name_servers_are_queried() {
    use crate::name_server::NameServer;

    let server = NameServer::good(&[[192, 0, 2, 1].into()]);
    let seeds = default_resolver(&[server.address]).unwrap();
    let found = seeds.resolve("seed.test", &Deadline::after(ENOUGH));
    assert_eq!(found, Ok(vec![[192, 0, 2, 1].into()]));
    assert_eq!(server.next_question().name, "seed.test");
}

#[cfg(not(feature = "dns"))]
#[test]
fn name_servers_cannot_be_given_without_the_feature() {
    let server: std::net::SocketAddr = ([127, 0, 0, 1], 53).into();
    let error = default_resolver(&[server]).err();
    assert_eq!(error, Some(ResolveError::NameServersNeedDns));
}
