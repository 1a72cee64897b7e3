//! Which parameters a call has: a small grammar, written beside each route.
//!
//! A name stands for text. `name!` must be there; `name=i` is a whole number, `name=b` a yes or no, `name=a|b` one of
//! these; `name[]` is a list of texts, `name[](..)` one of parts, `name(..)` a part, `name{}` a map of texts.

use serde_json::{Map, Value};

use super::fault::Fault;
use super::form::Params;

/// What a parameter holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape<'a> {
    Text,
    Int,
    Flag,
    Choice(&'a str),
    Map,
    Texts,
    Part(Vec<Field<'a>>),
    Parts(Vec<Field<'a>>),
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field<'a> {
    name: &'a str,
    required: bool,
    shape: Shape<'a>,
}

/// Checks decoded parameters against a grammar, and turns what are lists into lists.
pub(super) fn check(grammar: &str, params: Value) -> Result<Params, Fault> {
    let mut rest = grammar;
    let fields = fields(&mut rest);
    part(&fields, params, "").map(Params)
}

fn fields<'a>(rest: &mut &'a str) -> Vec<Field<'a>> {
    let mut found = Vec::new();
    loop {
        *rest = rest.trim_start();
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let (name, tail) = rest.split_at(end);
        *rest = tail;
        if name.is_empty() {
            *rest = rest.strip_prefix(')').unwrap_or(rest);
            return found;
        }
        let required = take(rest, "!");
        let shape = if take(rest, "[](") {
            Shape::Parts(fields(rest))
        } else if take(rest, "[]") {
            Shape::Texts
        } else if take(rest, "{}") {
            Shape::Map
        } else if take(rest, "(") {
            Shape::Part(fields(rest))
        } else if take(rest, "=") {
            let end = rest.find([' ', ')', '\n']).unwrap_or(rest.len());
            let (kind, tail) = rest.split_at(end);
            *rest = tail;
            match kind {
                "i" => Shape::Int,
                "b" => Shape::Flag,
                choices => Shape::Choice(choices),
            }
        } else {
            Shape::Text
        };
        found.push(Field {
            name,
            required,
            shape,
        });
    }
}

fn take(rest: &mut &str, token: &str) -> bool {
    let found = rest.strip_prefix(token);
    if let Some(tail) = found {
        *rest = tail;
    }
    found.is_some()
}

fn part(fields: &[Field], value: Value, path: &str) -> Result<Value, Fault> {
    let Value::Object(given) = value else {
        if value.as_str() == Some("") {
            return Ok(value);
        }
        return Err(Fault::invalid(path, "Invalid object"));
    };
    let mut checked = Map::new();
    for (name, value) in given {
        let path = join(path, &name);
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            return Err(Fault::unknown_parameter(&path));
        };
        checked.insert(name, one(field, value, &path)?);
    }
    for field in fields.iter().filter(|field| field.required) {
        if checked.get(field.name).is_none_or(|value| value == "") {
            return Err(Fault::missing_parameter(&join(path, field.name)));
        }
    }
    Ok(Value::Object(checked))
}

fn one(field: &Field, value: Value, path: &str) -> Result<Value, Fault> {
    if value.as_str() == Some("") {
        return Ok(value);
    }
    let text = value.as_str().map(str::to_owned);
    match (&field.shape, text) {
        (Shape::Text, Some(_)) => Ok(value),
        (Shape::Int, Some(text)) if text.parse::<i64>().is_ok() => Ok(value),
        (Shape::Int, text) => Err(Fault::invalid(
            path,
            format!("Invalid integer: {}", text.unwrap_or_default()),
        )
        .code("parameter_invalid_integer")),
        (Shape::Flag, Some(text)) if text == "true" || text == "false" => Ok(value),
        (Shape::Flag, text) => Err(Fault::invalid(
            path,
            format!("Invalid boolean: {}", text.unwrap_or_default()),
        )),
        (Shape::Choice(choices), Some(text)) if choices.split('|').any(|one| one == text) => {
            Ok(value)
        }
        (Shape::Choice(choices), text) => Err(Fault::invalid(
            path,
            format!(
                "Invalid {path}: must be one of {}, and is {}",
                choices.replace('|', ", "),
                text.unwrap_or_default()
            ),
        )),
        (Shape::Map, None) if value.is_object() => Ok(value),
        (Shape::Part(fields), None) => part(fields, value, path),
        (Shape::Texts, None) => list(value, path, |value, path| {
            if value.is_string() {
                Ok(value)
            } else {
                Err(Fault::invalid(path, "Invalid string"))
            }
        }),
        (Shape::Parts(fields), None) => list(value, path, |value, path| part(fields, value, path)),
        (Shape::Text, None) => Err(Fault::invalid(path, "Invalid string")),
        (Shape::Map | Shape::Part(_), _) => Err(Fault::invalid(path, "Invalid object")),
        (Shape::Texts | Shape::Parts(_), Some(_)) => Err(Fault::invalid(path, "Invalid array")),
    }
}

fn list(
    value: Value,
    path: &str,
    each: impl Fn(Value, &str) -> Result<Value, Fault>,
) -> Result<Value, Fault> {
    let Value::Object(given) = value else {
        return Err(Fault::invalid(path, "Invalid array"));
    };
    let mut numbered = Vec::new();
    for (index, value) in given {
        let Ok(number) = index.parse::<usize>() else {
            return Err(Fault::invalid(path, "Invalid array"));
        };
        numbered.push((number, each(value, &join(path, &index))?));
    }
    numbered.sort_by_key(|(number, _)| *number);
    Ok(numbered.into_iter().map(|(_, value)| value).collect())
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}[{name}]")
    }
}
