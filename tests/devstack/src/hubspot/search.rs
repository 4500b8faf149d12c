//! `POST …/search`: by the equality of properties.

use serde_json::{Value, json};

use super::call::Call;
use super::kind::Kind;
use super::objects::strings;
use super::portal::Portal;
use super::problem::invalid;
use super::store::Object;
use crate::wire::Answer;

pub(super) fn search(portal: &Portal, call: &Call<'_>, kind: &'static Kind) -> Result<Answer, Answer> {
    let input = call.json()?;
    let groups = input.get("filterGroups").map_or(Ok(Vec::new()), groups)?;
    let limit = usize::try_from(input.get("limit").and_then(Value::as_u64).unwrap_or(10)).unwrap_or(usize::MAX);
    if !(1..=200).contains(&limit) {
        return Err(invalid("limit must be between 1 and 200"));
    }
    let skip: usize =
        input.get("after").map_or(Ok(0), |after| text(after).parse()).map_err(|_| invalid("bad cursor"))?;
    let asked = input.get("properties").map_or_else(Vec::new, strings);
    let fits = |object: &Object| groups.is_empty() || groups.iter().any(|group| group.iter().all(|f| f.fits(object)));
    let found: Vec<_> = portal.store.all(kind).filter(|object| fits(object)).collect();
    let results: Vec<_> = found.iter().skip(skip).take(limit).map(|object| object.shown(kind, &asked)).collect();
    let mut answer = json!({ "total": found.len(), "results": results });
    if found.len() > skip + limit {
        answer["paging"] = json!({ "next": { "after": (skip + limit).to_string() } });
    }
    Ok(Answer::json(200, &answer))
}

/// One of several, each of which takes all of its filters.
fn groups(groups: &Value) -> Result<Vec<Vec<SearchFilter>>, Answer> {
    let list = groups.as_array().ok_or_else(|| invalid("filterGroups must be a list"))?;
    if list.len() > 5 {
        return Err(invalid("there may be at most 5 filter groups"));
    }
    let group = |group: &Value| group["filters"].as_array().into_iter().flatten().map(SearchFilter::parse).collect();
    list.iter().map(group).collect()
}

struct SearchFilter {
    property: String,
    value: String,
}

impl SearchFilter {
    fn parse(filter: &Value) -> Result<Self, Answer> {
        let property = filter["propertyName"].as_str().ok_or_else(|| invalid("a filter needs propertyName"))?;
        match filter["operator"].as_str() {
            Some("EQ") => Ok(Self { property: property.to_owned(), value: text(&filter["value"]) }),
            Some(operator) => Err(invalid(&format!("operator {operator} is not emulated"))),
            None => Err(invalid("a filter needs an operator")),
        }
    }

    fn fits(&self, object: &Object) -> bool {
        let equal = |own: &String| own.eq_ignore_ascii_case(&self.value);
        match self.property.as_str() {
            "hs_object_id" => equal(&object.id.to_string()),
            property => object.properties.get(property).is_some_and(equal),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
