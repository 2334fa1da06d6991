//! What the test kit changes about a start. An application that is not under test leaves all of it as it is.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tracing::Dispatch;

use crate::app::embedded::Embedded;
use crate::beans::{AnyBean, BeanKey, Beans};
use crate::config::Settings;
use crate::config::model::ListenerSettings;
use crate::error::StartError;

/// What is done when topics are declared and clients are there, and before the first listener starts.
pub(crate) type Prepare =
    Box<dyn FnOnce(Prepared) -> BoxFuture<'static, Result<(), StartError>> + Send + Sync + 'static>;

/// What a [`Prepare`] is given.
pub(crate) struct Prepared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) beans: Arc<Beans>,
    pub(crate) listeners: Vec<ListenerSettings>,
}

/// The places at which a test reaches into a start.
#[derive(Default)]
pub(crate) struct Seams {
    /// Where poll threads log; everything else logs where its runtime's threads do.
    pub(crate) log: Option<Dispatch>,
    /// Beans that take the place of others, whoever makes those.
    pub(crate) replaced: Vec<(BeanKey, AnyBean)>,
    /// What the name of every group ends in.
    pub(crate) group_suffix: String,
    /// Jobs run only when somebody says so.
    pub(crate) idle_jobs: bool,
    /// The configuration may speak of listeners and jobs that are there and take no part.
    pub(crate) is_part: bool,
    /// The broker of an earlier start.
    pub(crate) embedded: Option<Arc<Embedded>>,
    pub(crate) prepare: Option<Prepare>,
}

impl Seams {
    pub(crate) fn is_replaced(&self, key: &BeanKey) -> bool {
        self.replaced.iter().any(|(replaced, _)| replaced == key)
    }
}

impl fmt::Debug for Seams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seams").finish_non_exhaustive()
    }
}
