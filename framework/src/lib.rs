//! A Spring-Boot-like application framework for Kafka services.

pub mod config;
