//! `POST …/search`.

use serde_json::{Value, json};

use super::call::Call;
use super::kind::Kind;
use super::objects::strings;
use super::portal::Portal;
use super::problem::invalid;
use super::store::Object;
use crate::wire::Answer;

/// The property that finds a phone number however it is written.
const ANY_PHONE: &str = "hs_searchable_calculated_phone_number";

pub(super) fn search(portal: &Portal, call: &Call<'_>, kind: &'static Kind) -> Result<Answer, Answer> {
    let input = call.json()?;
    let groups = input.get("filterGroups").map_or(Ok(Vec::new()), groups)?;
    let text = input.get("query").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let limit = usize::try_from(input.get("limit").and_then(Value::as_u64).unwrap_or(10)).unwrap_or(usize::MAX);
    if !(1..=200).contains(&limit) {
        return Err(invalid("limit must be between 1 and 200"));
    }
    let after = input
        .get("after")
        .map_or_else(|| "0".to_owned(), |after| after.as_str().map_or_else(|| after.to_string(), str::to_owned));
    let skip: usize = after.parse().map_err(|_| invalid("after is no cursor"))?;
    let asked = input.get("properties").map_or_else(Vec::new, strings);

    let said = |object: &Object| {
        text.is_empty() || object.properties.values().any(|value| value.to_lowercase().contains(&text))
    };
    let fits = |object: &Object| {
        groups.is_empty() || groups.iter().any(|group| group.iter().all(|filter| filter.fits(object)))
    };
    let mut found: Vec<_> = portal.store.all(kind).filter(|object| said(object) && fits(object)).collect();
    sort(&mut found, input.get("sorts"));

    let results: Vec<_> = found.iter().skip(skip).take(limit).map(|object| object.shown(kind, &asked)).collect();
    let mut answer = json!({ "total": found.len(), "results": results });
    if found.len() > skip + limit {
        answer["paging"] = json!({ "next": { "after": (skip + limit).to_string() } });
    }
    Ok(Answer::json(200, &answer))
}

fn sort(found: &mut [&Object], sorts: Option<&Value>) {
    let Some(first) = sorts.and_then(|sorts| sorts.get(0)) else { return };
    let property = first.as_str().or_else(|| first["propertyName"].as_str()).unwrap_or("hs_object_id").to_owned();
    let descending = first["direction"] == "DESCENDING" || property.starts_with('-');
    let property = property.trim_start_matches('-');
    found.sort_by_key(|object| object.properties.get(property).cloned().unwrap_or_default());
    if descending {
        found.reverse();
    }
}

struct Filter {
    property: String,
    operator: String,
    value: String,
    high: String,
    values: Vec<String>,
}

fn groups(groups: &Value) -> Result<Vec<Vec<Filter>>, Answer> {
    let list = groups.as_array().ok_or_else(|| invalid("filterGroups must be a list"))?;
    if list.len() > 5 {
        return Err(invalid("there may be at most 5 filter groups"));
    }
    let group = |group: &Value| group["filters"].as_array().into_iter().flatten().map(Filter::parse).collect();
    list.iter().map(group).collect()
}

const OPERATORS: [&str; 13] = [
    "EQ",
    "NEQ",
    "LT",
    "LTE",
    "GT",
    "GTE",
    "BETWEEN",
    "IN",
    "NOT_IN",
    "HAS_PROPERTY",
    "NOT_HAS_PROPERTY",
    "CONTAINS_TOKEN",
    "NOT_CONTAINS_TOKEN",
];

impl Filter {
    fn parse(filter: &Value) -> Result<Self, Answer> {
        let text = |name: &str| match filter.get(name) {
            None => String::new(),
            Some(value) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        };
        let operator = text("operator");
        if !OPERATORS.contains(&operator.as_str()) {
            return Err(invalid(&format!("operator {operator} is not known")));
        }
        let values = strings(&filter["values"]);
        let lists = ["IN", "NOT_IN"].contains(&operator.as_str());
        if text("propertyName").is_empty() || (lists && values.is_empty()) {
            return Err(invalid("a filter needs propertyName, and values for IN and NOT_IN"));
        }
        Ok(Self { property: text("propertyName"), operator, value: text("value"), high: text("highValue"), values })
    }

    fn fits(&self, object: &Object) -> bool {
        let own = match self.property.as_str() {
            "hs_object_id" => Some(object.id.to_string()),
            ANY_PHONE => return self.fits_phone(object),
            property => object.properties.get(property).filter(|value| !value.is_empty()).cloned(),
        };
        let Some(own) = own else {
            return matches!(self.operator.as_str(), "NOT_HAS_PROPERTY" | "NEQ" | "NOT_IN" | "NOT_CONTAINS_TOKEN");
        };
        let same = |value: &String| value.eq_ignore_ascii_case(&own);
        match self.operator.as_str() {
            "EQ" => same(&self.value),
            "NEQ" => !same(&self.value),
            "LT" => order(&own, &self.value).is_lt(),
            "LTE" => order(&own, &self.value).is_le(),
            "GT" => order(&own, &self.value).is_gt(),
            "GTE" => order(&own, &self.value).is_ge(),
            "BETWEEN" => order(&own, &self.value).is_ge() && order(&own, &self.high).is_le(),
            "IN" => self.values.iter().any(same),
            "NOT_IN" => !self.values.iter().any(same),
            "HAS_PROPERTY" => true,
            "CONTAINS_TOKEN" => contains_token(&own, &self.value),
            "NOT_CONTAINS_TOKEN" => !contains_token(&own, &self.value),
            _ => false,
        }
    }

    /// HubSpot compares numbers without country code and punctuation.
    fn fits_phone(&self, object: &Object) -> bool {
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let sought = digits(&self.value);
        let numbers = ["phone", "mobilephone"].iter().filter_map(|name| object.properties.get(*name));
        let equal = |number: &String| {
            let (own, sought) = (digits(number), sought.trim_start_matches('0'));
            sought.len() >= 7
                && (own.ends_with(sought) || (own.len() >= 7 && sought.ends_with(own.trim_start_matches('0'))))
        };
        let any = numbers.into_iter().any(equal);
        match self.operator.as_str() {
            "EQ" | "CONTAINS_TOKEN" => any,
            "NEQ" | "NOT_CONTAINS_TOKEN" => !any,
            _ => false,
        }
    }
}

fn order(own: &str, other: &str) -> std::cmp::Ordering {
    match (own.parse::<f64>(), other.parse::<f64>()) {
        (Ok(own), Ok(other)) => own.total_cmp(&other),
        _ => own.cmp(other),
    }
}

/// A whole word, or the beginning or end of one where `*` stands.
fn contains_token(own: &str, sought: &str) -> bool {
    let (own, sought) = (own.to_lowercase(), sought.to_lowercase());
    let words = own.split(|sign: char| !sign.is_alphanumeric()).chain([own.as_str()]);
    let bare = sought.trim_matches('*');
    let (open_start, open_end) = (sought.starts_with('*'), sought.ends_with('*'));
    words.into_iter().any(|word| match (open_start, open_end) {
        (false, false) => word == bare,
        (true, false) => word.ends_with(bare),
        (false, true) => word.starts_with(bare),
        (true, true) => word.contains(bare),
    })
}
