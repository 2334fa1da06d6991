//! Binds a tree to any type that serde can build.
//!
//! A scalar is read as what the type asks for, and a text with commas where a list is asked for. The error
//! knows the place of the value it is about.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::check::{decimal_number, relaxed_word, whole_number};
use super::error::{ConfigError, ConfigErrorKind, must_hide};
use super::tree::{Kind, Node, join};

/// Binds the node that stands under a key.
pub(crate) fn bind<T: DeserializeOwned>(node: &Node, key: &str) -> Result<T, ConfigError> {
    T::deserialize(Binder { node, path: key }).map_err(|error| error.into_config_error(node, key))
}

/// What serde reports, with the place once it is known.
#[derive(Debug)]
struct BindError {
    message: String,
    located: Option<ConfigError>,
}

impl BindError {
    /// Adds the place, unless a value further in has done so.
    fn locate(mut self, node: &Node, path: &str) -> Self {
        if self.located.is_none() {
            let kind = if self.message.starts_with("missing field") {
                ConfigErrorKind::MissingValue
            } else if self.message.starts_with("unknown field") {
                ConfigErrorKind::UnknownKey
            } else {
                ConfigErrorKind::InvalidValue
            };
            // Serde's messages may quote the value.
            let message = if must_hide(node, path) { "is not of the expected form" } else { &self.message };
            self.located = Some(ConfigError::at(kind, node, path, message));
        }
        self
    }

    /// The error for the reader, at the outermost node if no other was named.
    fn into_config_error(self, node: &Node, path: &str) -> ConfigError {
        match self.locate(node, path).located {
            Some(error) => error,
            None => unreachable!("the place was just added"),
        }
    }
}

impl Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BindError {}

impl de::Error for BindError {
    fn custom<T: Display>(message: T) -> Self {
        Self { message: message.to_string(), located: None }
    }
}

#[derive(Clone, Copy)]
struct Binder<'tree> {
    node: &'tree Node,
    path: &'tree str,
}

impl<'tree> Binder<'tree> {
    /// Hands a value over and, if the type refuses it, adds the place.
    fn located<T>(self, result: Result<T, BindError>) -> Result<T, BindError> {
        result.map_err(|error| error.locate(self.node, self.path))
    }

    fn refuse<T>(self, expected: &str) -> Result<T, BindError> {
        let found = self.node.describe();
        let message = match self.node.kind {
            Kind::Scalar(_) => format!("expected {expected}"),
            _ => format!("expected {expected}, found {found}"),
        };
        self.located(Err(de::Error::custom(message)))
    }

    fn text(self, expected: &str) -> Result<&'tree str, BindError> {
        self.node.as_scalar().map_or_else(|| self.refuse(expected), Ok)
    }

    fn whole<T: TryFrom<i128>>(self) -> Result<T, BindError> {
        let expected = "a whole number in range";
        let number = whole_number(self.text(expected)?).and_then(|number| T::try_from(number).ok());
        number.map_or_else(|| self.refuse(expected), Ok)
    }

    fn decimal(self) -> Result<f64, BindError> {
        decimal_number(self.text("a number")?).map_or_else(|| self.refuse("a number"), Ok)
    }
}

macro_rules! deserialize_whole {
    ($($method:ident => $visit:ident: $type:ty),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
            let number = self.whole::<$type>()?;
            self.located(visitor.$visit(number))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Binder<'_> {
    type Error = BindError;

    /// For types that take any value: a scalar is what it looks like.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        let result = match &self.node.kind {
            Kind::Empty => visitor.visit_unit(),
            Kind::Scalar(text) => {
                if let Ok(flag) = bool::from_str(text) {
                    visitor.visit_bool(flag)
                } else if let Some(number) = whole_number(text).and_then(|number| i64::try_from(number).ok())
                {
                    visitor.visit_i64(number)
                } else if let Some(number) = decimal_number(text) {
                    visitor.visit_f64(number)
                } else {
                    visitor.visit_str(text)
                }
            }
            Kind::List(_) => return self.deserialize_seq(visitor),
            Kind::Map(_) => return self.deserialize_map(visitor),
        };
        self.located(result)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        let expected = "`true` or `false`";
        let flag = bool::from_str(self.text(expected)?);
        flag.map_or_else(|_| self.refuse(expected), |flag| self.located(visitor.visit_bool(flag)))
    }

    deserialize_whole! {
        deserialize_i8 => visit_i8: i8,
        deserialize_i16 => visit_i16: i16,
        deserialize_i32 => visit_i32: i32,
        deserialize_i64 => visit_i64: i64,
        deserialize_i128 => visit_i128: i128,
        deserialize_u8 => visit_u8: u8,
        deserialize_u16 => visit_u16: u16,
        deserialize_u32 => visit_u32: u32,
        deserialize_u64 => visit_u64: u64,
        deserialize_u128 => visit_u128: u128,
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        let number = self.decimal()?;
        self.located(visitor.visit_f64(number))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        let text = self.text("a text")?;
        self.located(visitor.visit_str(text))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        let text = self.text("a text")?;
        self.located(visitor.visit_bytes(text.as_bytes()))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        if self.node.kind == Kind::Empty { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        if self.node.kind == Kind::Empty { visitor.visit_unit() } else { self.refuse("nothing") }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, BindError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, BindError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        let items: Vec<Node> = match &self.node.kind {
            Kind::Empty => Vec::new(),
            Kind::List(items) => items.clone(),
            Kind::Scalar(text) => text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| Node { kind: Kind::Scalar(part.to_owned()), ..self.node.clone() })
                .collect(),
            Kind::Map(_) => return self.refuse("a list"),
        };
        self.located(visitor.visit_seq(Items { path: self.path, rest: items.iter(), index: 0 }))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, BindError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        let nothing = std::collections::BTreeMap::new();
        let entries = match &self.node.kind {
            Kind::Map(entries) => entries,
            Kind::Empty => &nothing,
            Kind::Scalar(_) | Kind::List(_) => return self.refuse("a section"),
        };
        self.located(visitor.visit_map(Entries { path: self.path, rest: entries.iter(), current: None }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BindError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BindError> {
        let result = match &self.node.kind {
            Kind::Scalar(text) => {
                let word = relaxed_word(variants, text).unwrap_or(text);
                visitor.visit_enum(IntoDeserializer::<BindError>::into_deserializer(word))
            }
            Kind::Map(entries) if entries.len() == 1 => {
                let (key, node) =
                    entries.iter().next().unwrap_or_else(|| unreachable!("the map has one entry"));
                visitor.visit_enum(Variant {
                    name: relaxed_word(variants, key).unwrap_or(key),
                    node,
                    path: self.path,
                })
            }
            Kind::Map(_) | Kind::List(_) | Kind::Empty => {
                let words: Vec<String> = variants.iter().map(|word| format!("`{word}`")).collect();
                return self.refuse(&format!("one of {}", words.join(", ")));
            }
        };
        self.located(result)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BindError> {
        visitor.visit_unit()
    }
}

struct Items<'tree> {
    path: &'tree str,
    rest: std::slice::Iter<'tree, Node>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = BindError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, BindError> {
        let Some(node) = self.rest.next() else { return Ok(None) };
        let path = format!("{}[{}]", self.path, self.index);
        self.index += 1;
        let result = seed.deserialize(Binder { node, path: &path });
        result.map(Some).map_err(|error| error.locate(node, &path))
    }
}

struct Entries<'tree> {
    path: &'tree str,
    rest: std::collections::btree_map::Iter<'tree, String, Node>,
    current: Option<(&'tree str, &'tree Node)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = BindError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, BindError> {
        let Some((key, node)) = self.rest.next() else { return Ok(None) };
        self.current = Some((key, node));
        let name: StrDeserializer<'_, BindError> = key.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|error| error.locate(node, &join(self.path, key)))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, BindError> {
        let Some((key, node)) = self.current.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let path = join(self.path, key);
        seed.deserialize(Binder { node, path: &path }).map_err(|error| error.locate(node, &path))
    }
}

/// A variant with data: `{ name: data }`.
struct Variant<'tree> {
    name: &'tree str,
    node: &'tree Node,
    path: &'tree str,
}

impl<'de, 'tree> EnumAccess<'de> for Variant<'tree> {
    type Error = BindError;
    type Variant = Binder<'tree>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Binder<'tree>), BindError> {
        let name: StrDeserializer<'_, BindError> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Binder { node: self.node, path: self.path }))
    }
}

impl<'de> VariantAccess<'de> for Binder<'_> {
    type Error = BindError;

    fn unit_variant(self) -> Result<(), BindError> {
        if self.node.kind == Kind::Empty { Ok(()) } else { self.refuse("nothing") }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, BindError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, BindError> {
        de::Deserializer::deserialize_seq(self, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BindError> {
        de::Deserializer::deserialize_map(self, visitor)
    }
}
