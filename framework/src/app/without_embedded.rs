//! What takes the embedded broker's place in a program built without it.

use crate::config::model::EmbeddedProperties;
use crate::error::{StartError, StartErrorKind};

/// Never there.
#[derive(Debug)]
pub(crate) enum Embedded {}

impl Embedded {
    #[expect(clippy::unused_async, reason = "the broker's own start waits")]
    pub(crate) async fn start(_properties: &EmbeddedProperties) -> Result<Self, StartError> {
        let message = "`bootstrap-servers` says `embedded`, and this program is built without the embedded broker\n\
                       help: give the addresses `host:port` of a cluster, or build with the feature `embedded` of `kafka-boot`";
        Err(StartError::new(StartErrorKind::Configuration, message))
    }

    pub(crate) fn bootstrap_servers(&self) -> &str {
        match *self {}
    }
}
