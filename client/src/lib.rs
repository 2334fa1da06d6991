//! librdkafka made fit for a framework.
