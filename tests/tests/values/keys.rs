//! Keys are bytes of the program's own, however strange; and no key is one of HTTP.

use std::convert::Infallible;

use http::{Request, Response};
use sandbar::barrier::{Purge, PurgeMode};
use sandbar::body::{self, Body};
use sandbar::values::{KEY_BYTES_MAX, Lookup, SITE, ValueError};
use tower::{Layer, ServiceExt, service_fn};

use super::{TENANT, builder, clock, minute};

const STRANGE: [&[u8]; 20] = [
    b"",
    b"tea",
    b"TEA",
    b"a/b",
    b"a%2Fb",
    b"a%2fb",
    b"a/../b",
    b"b",
    b"..",
    b".",
    b"../x",
    b"x",
    b"!..",
    b"a\nb",
    b"a\r\n\r\nb",
    b"\0",
    b"?x=1",
    b"#",
    b"\xff\xfe",
    b"/",
];

#[tokio::test]
async fn each_key_has_a_value_of_its_own_and_goes_alone() -> anyhow::Result<()> {
    let sandbar = builder(&clock()).build()?;
    let values = sandbar.values::<usize>(TENANT, "strange")?.keeping(minute());
    for (number, key) in STRANGE.iter().enumerate() {
        values.put(key, number).await?;
    }
    for (number, key) in STRANGE.iter().enumerate() {
        assert_eq!(values.get(key).await?.into_value().as_deref(), Some(&number), "{key:?}");
    }
    for (number, key) in STRANGE.iter().enumerate() {
        values.delete(key).await?;
        let left = values.get_many(&STRANGE).await?;
        let is_as_it_should = |(place, found): (usize, &Lookup<usize>)| (*found == Lookup::Miss) == (place <= number);
        assert!(left.iter().enumerate().all(is_as_it_should), "{key:?}: {left:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_prefix_reaches_all_that_begins_so_and_no_other_name() -> anyhow::Result<()> {
    let sandbar = builder(&clock()).build()?;
    let [users, others] = ["users", "users2"].map(|name| sandbar.values::<u32>(TENANT, name).expect("a name"));
    for key in ["7/name", "7/age", "7/../x", "70/name", "7/", "7"] {
        users.put(key, 1).await?;
    }
    others.put("7/name", 1).await?;
    users.purge_prefix("7/", PurgeMode::Hard).await?;
    let left = users.get_many(&["7/name", "7/age", "7/../x", "70/name", "7/", "7"]).await?;
    let left: Vec<_> = left.into_iter().map(|found| found.into_value().is_some()).collect();
    assert_eq!(left, [false, false, false, true, false, true]);
    users.purge_prefix("", PurgeMode::Hard).await?;
    assert_eq!(users.get("7").await?, Lookup::Miss);
    assert!(others.get("7/name").await?.into_value().is_some());
    sandbar.purge(TENANT, &[Purge::everything()]).await?;
    assert_eq!(others.get("7/name").await?, Lookup::Miss);
    Ok(())
}

#[tokio::test]
async fn what_is_too_long_or_no_name_is_refused_with_the_bound() -> anyhow::Result<()> {
    let sandbar = builder(&clock()).build()?;
    let values = sandbar.values::<u32>(TENANT, "v")?;
    let long = vec![b'%'; KEY_BYTES_MAX + 1];
    let errors = [
        values.get(&long).await.unwrap_err().to_string(),
        values.put(&long, 1).await.unwrap_err().to_string(),
        values.delete(&long).await.unwrap_err().to_string(),
        values.get_or_load(&long, async || Ok::<_, Infallible>(1)).await.unwrap_err().to_string(),
        values.begin(&long).unwrap_err().to_string(),
    ];
    assert!(errors.iter().all(|error| error.contains("1025") && error.contains("1024")), "{errors:?}");
    values.put(&long[1..], 1).await?;
    assert!(values.get(&long[1..]).await?.into_value().is_some());
    assert!(matches!(sandbar.values::<u32>(TENANT, "a/b"), Err(ValueError::Name(_))));
    assert!(matches!(sandbar.values::<u32>("nobody", "v"), Err(ValueError::NoTenant(_))));
    sandbar.remove_tenant(TENANT).await?;
    assert!(matches!(values.get("a").await, Err(ValueError::NoTenant(_))));
    Ok(())
}

#[tokio::test]
async fn http_reads_no_value_and_a_value_is_nothing_of_http() -> anyhow::Result<()> {
    let sandbar = builder(&clock()).build()?;
    let values = sandbar.values::<String>(TENANT, "v")?;
    values.put("secret", "value".to_owned()).await?;
    assert!(sandbar.get(TENANT, SITE, "/v/secret").await?.is_none());
    let origin = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(body::full("from the origin"))));
    let service = sandbar.layer().scheme("app".parse()?).layer(origin);
    for uri in ["app://values/v/secret", "http://values/v/secret", "/v/secret"] {
        let request = Request::get(uri).header("host", "values").body(body::empty())?;
        let Ok(response) = service.clone().oneshot(request).await;
        assert!(response.headers()["cache-status"].to_str()?.contains("uri-miss"), "{uri}");
    }
    let response = Response::builder().header("cache-control", "max-age=60").body(b"\x05hello".to_vec())?;
    sandbar.put(TENANT, SITE, "/v/http", response).await?;
    assert!(sandbar.get(TENANT, SITE, "/v/http").await?.is_some());
    assert_eq!(values.get("http").await?, Lookup::Miss);
    // What purges name is the same for both.
    sandbar.purge_url(TENANT, "app://values/v/secret", PurgeMode::Hard).await?;
    assert_eq!(values.get("secret").await?, Lookup::Miss);
    Ok(())
}
