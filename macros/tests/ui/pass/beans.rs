//! Beans: plain and fallible, async and not, named, and with dependencies.
#![deny(warnings)]

use kafka_boot::prelude::*;

#[derive(serde::Deserialize, kafka_boot::ConfigProperties)]
#[config(prefix = "shop.repo")]
struct Settings {
    url: String,
}

struct Db(String);
struct Repo(Bean<Db>);

#[bean]
async fn db(settings: Config<Settings>) -> Result<Db> {
    Ok(Db(settings.url.clone()))
}

#[bean]
fn repo(db: Bean<Db>) -> Repo {
    Repo(db)
}

#[bean(name = "east")]
async fn east() -> std::result::Result<Repo, std::io::Error> {
    Ok(Repo(Bean::new(Db("east".to_owned()))))
}

#[bean]
fn names() -> Vec<std::sync::Arc<dyn Fn() -> String + Send + Sync>> {
    Vec::new()
}

fn main() {
    let [db, repo, east, _] = kafka_boot::bean_functions![db, repo, east, names] else { panic!() };
    assert!((db.dependencies)().is_empty());
    assert_eq!((repo.dependencies)(), [(db.key)()]);
    assert_eq!(east.name, "east");
    assert_eq!(Repo(Bean::new(Db("x".to_owned()))).0.0, "x");
}
