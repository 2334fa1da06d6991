//! What the journal says, one change a record, and how that is written.
//!
//! Numbers are zigzag varints; texts and lists follow their length. A record begins with a number for its kind.

use bytes::Bytes;
use kafka_protocol::messages::BrokerId;
use uuid::Uuid;

use crate::group::settings::GroupConfig;
use crate::group::{CommittedOffset, StoredGeneration, StoredMember};
use crate::txn::ProducerIdentity;

/// A change of what a broker has to remember beside its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    ClusterId(String),
    /// How often a broker was started on the directory.
    Starts(i64),
    Topic {
        id: Uuid,
        name: String,
        /// The brokers of each partition.
        replicas: Vec<Vec<BrokerId>>,
        settings: Vec<(String, String)>,
    },
    TopicDeleted(Uuid),
    /// The leader of a partition has changed.
    LeaderEpoch {
        topic: Uuid,
        partition: i32,
        epoch: i32,
    },
    LogStart {
        topic: Uuid,
        partition: i32,
        offset: i64,
    },
    Committed {
        group: String,
        topic: String,
        partition: i32,
        offset: CommittedOffset,
    },
    Forgotten {
        group: String,
        topic: String,
        partition: i32,
    },
    GroupDeleted(String),
    /// The members of a group of the classic protocol, which is stable or empty.
    Generation {
        group: String,
        generation: StoredGeneration,
    },
    /// What is set for a group, which need not exist.
    GroupConfig {
        group: String,
        config: GroupConfig,
    },
    /// What counts when the producer's transaction is committed.
    Pending {
        group: String,
        producer_id: i64,
        topic: String,
        partition: i32,
        offset: CommittedOffset,
    },
    /// A transaction has ended, and with it what was pending in these groups.
    PendingEnded {
        producer_id: i64,
        committed: bool,
        groups: Vec<String>,
    },
    Transaction {
        id: String,
        state: StoredTransaction,
    },
    TransactionForgotten(String),
}

/// What is known of a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredTransaction {
    pub(crate) producer: ProducerIdentity,
    pub(crate) timeout_ms: i64,
    pub(crate) open: Option<OpenTransaction>,
    /// What it was before its latest epoch, if it may ask for that again.
    pub(crate) before: Option<ProducerIdentity>,
    /// How the last transaction ended: whether it was committed, and whether with a new epoch.
    pub(crate) last: Option<(bool, bool)>,
    /// Who ended a transaction last, and how, so that partitions that a kill kept from hearing of it still do.
    pub(crate) last_ended: Option<(ProducerIdentity, bool)>,
}

/// What an open transaction has touched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OpenTransaction {
    pub(crate) partitions: Vec<(String, i32)>,
    pub(crate) groups: Vec<String>,
}

impl Record {
    pub(super) fn write_to(&self, out: &mut Writer) {
        match self {
            Self::ClusterId(id) => out.number(1).text(id),
            Self::Starts(count) => out.number(2).number(*count),
            Self::Topic { id, name, replicas, settings } => {
                out.number(3).id(*id).text(name).list(replicas, |out, replicas| {
                    out.list(replicas, |out, replica| {
                        out.number(replica.0.into());
                    });
                });
                out.list(settings, |out, (name, value)| {
                    out.text(name).text(value);
                })
            }
            Self::TopicDeleted(id) => out.number(4).id(*id),
            Self::LogStart { topic, partition, offset } => {
                out.number(5).id(*topic).number((*partition).into()).number(*offset)
            }
            Self::Committed { group, topic, partition, offset } => {
                out.number(6).text(group).text(topic).number((*partition).into()).offset(offset)
            }
            Self::Forgotten { group, topic, partition } => {
                out.number(7).text(group).text(topic).number((*partition).into())
            }
            Self::GroupDeleted(group) => out.number(8).text(group),
            Self::Pending { group, producer_id, topic, partition, offset } => {
                out.number(9).text(group).number(*producer_id).text(topic);
                out.number((*partition).into()).offset(offset)
            }
            Self::PendingEnded { producer_id, committed, groups } => {
                out.number(10).number(*producer_id).number((*committed).into());
                out.list(groups, |out, group| {
                    out.text(group);
                })
            }
            Self::Transaction { id, state } => out.number(11).text(id).transaction(state),
            Self::TransactionForgotten(id) => out.number(12).text(id),
            Self::LeaderEpoch { topic, partition, epoch } => {
                out.number(13).id(*topic).number((*partition).into()).number((*epoch).into())
            }
            Self::GroupConfig { group, config } => {
                out.number(14).text(group).duration(config.heartbeat_interval_ms);
                out.duration(config.session_timeout_ms)
            }
            Self::Generation { group, generation } => out.number(15).text(group).generation(generation),
        };
    }

    /// Reads a record. `None` if it is none that this version writes.
    pub(super) fn read_from(from: &mut Reader<'_>) -> Option<Self> {
        Some(match from.number()? {
            1 => Self::ClusterId(from.text()?),
            2 => Self::Starts(from.number()?),
            3 => Self::Topic {
                id: from.id()?,
                name: from.text()?,
                replicas: from.list(|from| from.list(|from| Some(BrokerId(from.int()?))))?,
                settings: from.list(|from| Some((from.text()?, from.text()?)))?,
            },
            4 => Self::TopicDeleted(from.id()?),
            5 => Self::LogStart { topic: from.id()?, partition: from.int()?, offset: from.number()? },
            6 => Self::Committed {
                group: from.text()?,
                topic: from.text()?,
                partition: from.int()?,
                offset: from.offset()?,
            },
            7 => Self::Forgotten { group: from.text()?, topic: from.text()?, partition: from.int()? },
            8 => Self::GroupDeleted(from.text()?),
            9 => Self::Pending {
                group: from.text()?,
                producer_id: from.number()?,
                topic: from.text()?,
                partition: from.int()?,
                offset: from.offset()?,
            },
            10 => Self::PendingEnded {
                producer_id: from.number()?,
                committed: from.flag()?,
                groups: from.list(Reader::text)?,
            },
            11 => Self::Transaction { id: from.text()?, state: from.transaction()? },
            12 => Self::TransactionForgotten(from.text()?),
            13 => Self::LeaderEpoch { topic: from.id()?, partition: from.int()?, epoch: from.int()? },
            14 => Self::GroupConfig { group: from.text()?, config: from.config()? },
            15 => Self::Generation { group: from.text()?, generation: from.generation()? },
            _ => return None,
        })
    }
}

/// Writes values one after the other.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, value: i64) -> &mut Self {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        loop {
            let low = rest.to_le_bytes()[0] & 0x7f;
            rest >>= 7;
            if rest == 0 {
                self.0.push(low);
                return self;
            }
            self.0.push(low | 0x80);
        }
    }

    fn length(&mut self, length: usize) -> &mut Self {
        self.number(i64::try_from(length).unwrap_or(i64::MAX))
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.length(bytes.len()).0.extend_from_slice(bytes);
        self
    }

    fn optional_text(&mut self, text: Option<&str>) -> &mut Self {
        self.list(text, |out, text| {
            out.text(text);
        })
    }

    fn id(&mut self, id: Uuid) -> &mut Self {
        self.0.extend_from_slice(id.as_bytes());
        self
    }

    pub(crate) fn list<T>(
        &mut self,
        list: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        let list = list.into_iter();
        self.length(list.len());
        for item in list {
            write(self, item);
        }
        self
    }

    fn offset(&mut self, offset: &CommittedOffset) -> &mut Self {
        self.number(offset.offset).number(offset.leader_epoch.into()).text(&offset.metadata);
        self.number(offset.committed_ms).list(&offset.expires_ms, |out, expires_ms| {
            out.number(*expires_ms);
        })
    }

    fn duration(&mut self, milliseconds: Option<u64>) -> &mut Self {
        self.list(milliseconds, |out, milliseconds| {
            out.number(i64::try_from(milliseconds).unwrap_or(i64::MAX));
        })
    }

    fn generation(&mut self, generation: &StoredGeneration) -> &mut Self {
        self.number(generation.number.into()).text(&generation.protocol_type);
        self.optional_text(generation.protocol.as_deref()).optional_text(generation.leader.as_deref());
        self.list(&generation.members, |out, (id, member)| {
            out.text(id).optional_text(member.instance.as_deref());
            out.text(&member.client_id).text(&member.client_host);
            out.duration(Some(member.session_timeout_ms)).duration(Some(member.rebalance_timeout_ms));
            out.list(&member.protocols, |out, (name, metadata)| {
                out.text(name).bytes(metadata);
            });
            out.bytes(&member.assignment);
        })
    }

    fn producer(&mut self, producer: ProducerIdentity) -> &mut Self {
        self.number(producer.id).number(producer.epoch.into())
    }

    fn transaction(&mut self, state: &StoredTransaction) -> &mut Self {
        self.producer(state.producer).number(state.timeout_ms);
        self.list(&state.before, |out, before| {
            out.producer(*before);
        });
        self.list(&state.last, |out, (committed, version2)| {
            out.number((*committed).into()).number((*version2).into());
        });
        self.list(&state.last_ended, |out, (producer, committed)| {
            out.producer(*producer).number((*committed).into());
        });
        self.list(&state.open, |out, open| {
            out.list(&open.partitions, |out, (topic, partition)| {
                out.text(topic).number((*partition).into());
            });
            out.list(&open.groups, |out, group| {
                out.text(group);
            });
        })
    }
}

/// Reads what a [`Writer`] wrote; every method gives nothing where there is nothing of its kind.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn slice(&mut self) -> Option<&'a [u8]> {
        let length = self.int()?;
        let (slice, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(slice)
    }

    pub(crate) fn number(&mut self) -> Option<i64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        None
    }

    pub(crate) fn int<T: TryFrom<i64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.number()? != 0)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.slice()?.to_vec()).ok()
    }

    fn bytes(&mut self) -> Option<Bytes> {
        self.slice().map(Bytes::copy_from_slice)
    }

    fn id(&mut self) -> Option<Uuid> {
        let (id, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(Uuid::from_bytes(*id))
    }

    pub(crate) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length: usize = self.int()?;
        // Nothing is allocated for what is merely claimed.
        let mut list = Vec::new();
        for _ in 0..length {
            list.push(read(self)?);
        }
        Some(list)
    }

    fn offset(&mut self) -> Option<CommittedOffset> {
        Some(CommittedOffset {
            offset: self.number()?,
            leader_epoch: self.int()?,
            metadata: self.text()?,
            committed_ms: self.number()?,
            expires_ms: self.list(Self::number)?.pop(),
        })
    }

    fn config(&mut self) -> Option<GroupConfig> {
        Some(GroupConfig {
            heartbeat_interval_ms: self.list(Self::int)?.pop(),
            session_timeout_ms: self.list(Self::int)?.pop(),
        })
    }

    fn generation(&mut self) -> Option<StoredGeneration> {
        Some(StoredGeneration {
            number: self.int()?,
            protocol_type: self.text()?,
            protocol: self.list(Self::text)?.pop(),
            leader: self.list(Self::text)?.pop(),
            members: self.list(|from| Some((from.text()?, from.member()?)))?.into_iter().collect(),
        })
    }

    fn member(&mut self) -> Option<StoredMember> {
        Some(StoredMember {
            instance: self.list(Self::text)?.pop(),
            client_id: self.text()?,
            client_host: self.text()?,
            session_timeout_ms: self.list(Self::int)?.pop()?,
            rebalance_timeout_ms: self.list(Self::int)?.pop()?,
            protocols: self.list(|from| Some((from.text()?, from.bytes()?)))?,
            assignment: self.bytes()?,
        })
    }

    fn producer(&mut self) -> Option<ProducerIdentity> {
        Some(ProducerIdentity { id: self.number()?, epoch: self.int()? })
    }

    fn transaction(&mut self) -> Option<StoredTransaction> {
        Some(StoredTransaction {
            producer: self.producer()?,
            timeout_ms: self.number()?,
            before: self.list(Self::producer)?.pop(),
            last: self.list(|from| Some((from.flag()?, from.flag()?)))?.pop(),
            last_ended: self.list(|from| Some((from.producer()?, from.flag()?)))?.pop(),
            open: self
                .list(|from| {
                    Some(OpenTransaction {
                        partitions: from.list(|from| Some((from.text()?, from.int()?)))?,
                        groups: from.list(Self::text)?,
                    })
                })?
                .pop(),
        })
    }
}
