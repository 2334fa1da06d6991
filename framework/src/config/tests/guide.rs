//! The guide's YAML is what the framework takes.

use std::path::Path;

use super::Setup;
use super::listeners::consume;

/// The pages whose YAML is a configuration of its own.
const PAGES: [&str; 3] = ["errors.md", "listeners.md", "configuration.md"];

#[test]
fn every_piece_of_yaml_in_the_guide_is_a_configuration() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut pieces = 0;
    for page in PAGES {
        let text = std::fs::read_to_string(guide.join(page)).expect(page);
        for block in text.split("```yaml\n").skip(1) {
            let yaml = block.split("```").next().expect("what is before the end");
            let setup = Setup::with(yaml);
            let settings = match setup.try_load() {
                Ok(settings) => settings,
                Err(errors) => panic!("{page}:\n{yaml}\n{errors}"),
            };
            for id in settings.kafka().listeners.keys() {
                if let Err(errors) = settings.listener(id, &consume()) {
                    panic!("{page}, listener `{id}`:\n{yaml}\n{errors}");
                }
            }
            pieces += 1;
        }
    }
    assert!(pieces >= 6, "{pieces} pieces of YAML were found");
}
