//! The intrinsic functions: what CloudFormation would put in place of a `Ref`, a `Sub`, an `If`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Values;

/// A template with the values it is deployed with.
pub(super) struct Resolver<'a> {
    pub(super) root: &'a Value,
    pub(super) values: &'a Values,
    parameters: BTreeMap<&'a str, Value>,
    /// Parameters without a default and without a value. Only one that is used is an error.
    missing: BTreeSet<&'a str>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(root: &'a Value, values: &'a Values) -> Result<Self, String> {
        let mut parameters = BTreeMap::new();
        let mut missing = BTreeSet::new();
        for (name, declared) in root["Parameters"].as_object().into_iter().flatten() {
            let text = match (values.parameters.get(name), declared.get("Default")) {
                (Some(given), _) => given.clone(),
                (None, Some(default)) => scalar(default).ok_or(format!("the default of {name} is no scalar"))?,
                (None, None) => {
                    missing.insert(name.as_str());
                    continue;
                }
            };
            let list = declared["Type"].as_str().is_some_and(|kind| kind.contains("List"));
            let value = if list { Value::Array(list_items(&text)) } else { Value::String(text) };
            parameters.insert(name.as_str(), value);
        }
        if let Some(unknown) = values.parameters.keys().find(|name| root["Parameters"].get(name.as_str()).is_none()) {
            return Err(format!("the template has no parameter {unknown}"));
        }
        Ok(Self { root, values, parameters, missing })
    }

    /// The value with every intrinsic function replaced; `None` where that is `AWS::NoValue`.
    pub(super) fn resolve(&self, value: &Value) -> Result<Option<Value>, String> {
        match value {
            Value::Array(items) => {
                let items = items.iter().filter_map(|item| self.resolve(item).transpose());
                items.collect::<Result<Vec<_>, _>>().map(|items| Some(Value::Array(items)))
            }
            Value::Object(map) => match single(map) {
                Some(("Ref", Value::String(name))) => self.reference(name),
                Some(("Fn::GetAtt", argument)) => self.attribute(argument).map(Some),
                Some(("Fn::Sub", argument)) => self.substitute(argument).map(|text| Some(json!(text))),
                Some(("Fn::Join", argument)) => self.join(argument).map(|text| Some(json!(text))),
                Some(("Fn::Split", argument)) => self.split(argument).map(Some),
                Some(("Fn::If", argument)) => self.choose(argument),
                Some((name, _)) if name.starts_with("Fn::") => {
                    Err(format!("{name} is not understood by the local stack"))
                }
                _ => self.resolve_map(map).map(|map| Some(Value::Object(map))),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(Some(value.clone())),
        }
    }

    /// The value as text, as an environment variable or a property of a scalar type gets it.
    pub(super) fn text(&self, value: &Value) -> Result<Option<String>, String> {
        match self.resolve(value)? {
            None | Some(Value::Null) => Ok(None),
            Some(value) => scalar(&value).map(Some).ok_or(format!("a scalar is expected, found {value}")),
        }
    }

    /// Returns true if a resource is created at all.
    pub(super) fn exists(&self, resource: &Value) -> Result<bool, String> {
        match resource.get("Condition") {
            None => Ok(true),
            Some(Value::String(name)) => self.condition(name),
            Some(other) => Err(format!("a resource's condition is a name, found {other}")),
        }
    }

    /// The descriptions of the assertions of `Rules` that do not hold.
    pub(super) fn violations(&self) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        for rule in self.root["Rules"].as_object().into_iter().flat_map(Map::values) {
            if let Some(condition) = rule.get("RuleCondition")
                && !self.evaluate(condition)?
            {
                continue;
            }
            for assertion in rule["Assertions"].as_array().into_iter().flatten() {
                if !self.evaluate(&assertion["Assert"])? {
                    found.push(assertion["AssertDescription"].as_str().unwrap_or_default().to_owned());
                }
            }
        }
        Ok(found)
    }

    fn resolve_map(&self, map: &Map<String, Value>) -> Result<Map<String, Value>, String> {
        let mut resolved = Map::new();
        for (key, value) in map {
            if let Some(value) = self.resolve(value)? {
                resolved.insert(key.clone(), value);
            }
        }
        Ok(resolved)
    }

    fn reference(&self, name: &str) -> Result<Option<Value>, String> {
        if name == "AWS::NoValue" {
            return Ok(None);
        }
        if let Some(value) = self.parameters.get(name) {
            return Ok(Some(value.clone()));
        }
        if self.missing.contains(name) {
            return Err(format!("the parameter {name} has no default, and the stack gives it no value"));
        }
        if let Some(pseudo) = self.values.pseudo_parameter(name) {
            return Ok(Some(json!(pseudo)));
        }
        self.physical_id(name).map(|id| Some(json!(id)))
    }

    fn attribute(&self, argument: &Value) -> Result<Value, String> {
        let [Value::String(logical), Value::String(attribute)] = items(argument)? else {
            return Err(format!("Fn::GetAtt names a resource and an attribute, found {argument}"));
        };
        self.attribute_of(logical, attribute).map(Value::String)
    }

    fn substitute(&self, argument: &Value) -> Result<String, String> {
        let (text, own) = match (argument.as_str(), argument.as_array().map(Vec::as_slice)) {
            (Some(text), _) => (text, None),
            (None, Some([Value::String(text), Value::Object(own)])) => (text.as_str(), Some(own)),
            (None, _) => return Err(format!("Fn::Sub takes a text, or a text and a map, found {argument}")),
        };
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let end = rest[start..].find('}').ok_or(format!("Fn::Sub: a ${{ is not closed in {text}"))? + start;
            let name = &rest[start + 2..end];
            out.push_str(&rest[..start]);
            out.push_str(&self.variable(name, own)?);
            rest = &rest[end + 1..];
        }
        Ok(out + rest)
    }

    fn variable(&self, name: &str, own: Option<&Map<String, Value>>) -> Result<String, String> {
        if let Some(value) = own.and_then(|own| own.get(name)) {
            return Ok(self.text(value)?.unwrap_or_default());
        }
        match name.split_once('.') {
            Some((_, "Alias")) | None => {
                let value = self.reference(name)?.ok_or(format!("Fn::Sub cannot place {name}"))?;
                scalar(&value).ok_or(format!("Fn::Sub cannot place the list {name}"))
            }
            Some((logical, attribute)) => self.attribute_of(logical, attribute),
        }
    }

    fn join(&self, argument: &Value) -> Result<String, String> {
        let [Value::String(separator), list] = items(argument)? else {
            return Err(format!("Fn::Join takes a separator and a list, found {argument}"));
        };
        let list = self.list(list)?;
        let texts: Option<Vec<String>> = list.iter().map(scalar).collect();
        texts.map(|texts| texts.join(separator)).ok_or(format!("Fn::Join joins scalars, found {argument}"))
    }

    fn split(&self, argument: &Value) -> Result<Value, String> {
        let [Value::String(separator), text] = items(argument)? else {
            return Err(format!("Fn::Split takes a separator and a text, found {argument}"));
        };
        let text = self.text(text)?.unwrap_or_default();
        Ok(Value::Array(text.split(separator.as_str()).map(|part| json!(part)).collect()))
    }

    fn choose(&self, argument: &Value) -> Result<Option<Value>, String> {
        let [Value::String(condition), when_true, when_false] = items(argument)? else {
            return Err(format!("Fn::If takes a condition and two values, found {argument}"));
        };
        self.resolve(if self.condition(condition)? { when_true } else { when_false })
    }

    fn list(&self, value: &Value) -> Result<Vec<Value>, String> {
        match self.resolve(value)? {
            Some(Value::Array(items)) => Ok(items),
            other => Err(format!("a list is expected, found {other:?}")),
        }
    }

    fn condition(&self, name: &str) -> Result<bool, String> {
        let rule = self.root["Conditions"].get(name).ok_or(format!("the template has no condition {name}"))?;
        self.evaluate(rule)
    }

    fn evaluate(&self, rule: &Value) -> Result<bool, String> {
        let map = rule.as_object().and_then(single).ok_or(format!("no condition: {rule}"))?;
        match map {
            ("Condition", Value::String(name)) => self.condition(name),
            ("Fn::Equals", argument) => match items(argument)? {
                [left, right] => Ok(self.resolve(left)?.map(canonical) == self.resolve(right)?.map(canonical)),
                _ => Err(format!("Fn::Equals compares two values, found {argument}")),
            },
            ("Fn::Not", argument) => match items(argument)? {
                [inner] => Ok(!self.evaluate(inner)?),
                _ => Err(format!("Fn::Not takes one condition, found {argument}")),
            },
            ("Fn::And", argument) => {
                items(argument)?.iter().try_fold(true, |all, rule| Ok(self.evaluate(rule)? && all))
            }
            ("Fn::Or", argument) => {
                items(argument)?.iter().try_fold(false, |any, rule| Ok(self.evaluate(rule)? || any))
            }
            ("Fn::Contains", argument) => match items(argument)? {
                [texts, text] => {
                    let text = self.resolve(text)?.map(canonical);
                    Ok(self.list(texts)?.into_iter().any(|one| Some(canonical(one)) == text))
                }
                _ => Err(format!("Fn::Contains takes a list and a value, found {argument}")),
            },
            (name, _) => Err(format!("{name} is no condition that the local stack understands")),
        }
    }
}

/// The logical ids that a value refers to, in order: by it a route is followed to its integration and its function.
pub(super) fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(map) => match single(map) {
            Some(("Ref", Value::String(name))) => vec![before_dot(name)],
            Some(("Fn::GetAtt", Value::Array(both))) => {
                both.first().and_then(Value::as_str).map(before_dot).into_iter().collect()
            }
            Some(("Fn::Sub", argument)) => {
                let text = argument.as_str().or_else(|| argument.get(0)?.as_str()).unwrap_or_default();
                let names = text.split("${").skip(1).filter_map(|part| part.split_once('}'));
                let mut found: Vec<String> = names.map(|(name, _)| before_dot(name)).collect();
                found.extend(argument.get(1).map(references).unwrap_or_default());
                found
            }
            _ => map.values().flat_map(references).collect(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn before_dot(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_owned()
}

/// A map with one entry, which may be an intrinsic function.
fn single(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    match map.len() {
        1 => map.iter().next().map(|(key, value)| (key.as_str(), value)),
        _ => None,
    }
}

fn items(argument: &Value) -> Result<&[Value], String> {
    argument.as_array().map(Vec::as_slice).ok_or(format!("a list is expected, found {argument}"))
}

fn list_items(text: &str) -> Vec<Value> {
    // As CloudFormation does: an empty text is a list of one empty text.
    text.split(',').map(|item| json!(item.trim())).collect()
}

/// CloudFormation has only texts: `true` equals `"true"`.
fn canonical(value: Value) -> Value {
    scalar(&value).map_or(value, Value::String)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
