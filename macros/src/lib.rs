//! The attributes of kafka-boot.
