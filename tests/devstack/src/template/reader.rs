//! Reads resources by their types, and follows what they refer to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::resolve::{Resolver, references};
use super::{Cors, Deployment, Function, Pipe, Route, RouteAuthorizer, Schedule, Statement, Table, Values};

/// A template under reading, with what it is deployed with.
pub(super) struct Reader<'a> {
    root: &'a Value,
    resolver: Resolver<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(root: &'a Value, values: &'a Values) -> Result<Self, String> {
        Ok(Self { root, resolver: Resolver::new(root, values)? })
    }

    pub(super) fn deployment(&self) -> Result<Deployment, String> {
        let secrets = self.of_type("AWS::SecretsManager::Secret")?.into_iter();
        Ok(Deployment {
            functions: self.each("AWS::Serverless::Function", Self::function)?,
            routes: self.each("AWS::ApiGatewayV2::Route", Self::route)?,
            cors: self.cors()?,
            tables: self.each("AWS::DynamoDB::Table", Self::table)?,
            schedules: self.schedules()?,
            pipes: self.each("AWS::Pipes::Pipe", Self::pipe)?,
            secrets: secrets.filter_map(|(_, it)| self.property(it, "Name").transpose()).collect::<Result<_, _>>()?,
        })
    }

    /// The resources of a type that are made.
    fn of_type(&self, kind: &str) -> Result<Vec<(&'a str, &'a Value)>, String> {
        let mut found = Vec::new();
        for (logical, resource) in self.root["Resources"].as_object().into_iter().flatten() {
            if resource["Type"] == kind && self.resolver.exists(resource)? {
                found.push((logical.as_str(), resource));
            }
        }
        Ok(found)
    }

    pub(super) fn properties_of(&self, kind: &str) -> Result<BTreeMap<String, Value>, String> {
        let resolved = |(logical, resource): (&str, &Value)| {
            let properties = self.resolver.resolve(&resource["Properties"])?.unwrap_or_default();
            Ok((logical.to_owned(), properties))
        };
        self.of_type(kind)?.into_iter().map(resolved).collect()
    }

    fn each<T>(&self, kind: &str, read: fn(&Self, &str, &Value) -> Result<T, String>) -> Result<Vec<T>, String> {
        let named = |(logical, resource): (&str, &Value)| {
            read(self, logical, resource).map_err(|error| format!("{logical}: {error}"))
        };
        self.of_type(kind)?.into_iter().map(named).collect()
    }

    fn property(&self, resource: &Value, name: &str) -> Result<Option<String>, String> {
        self.resolver.text(&resource["Properties"][name])
    }

    fn required(&self, resource: &Value, name: &str) -> Result<String, String> {
        self.property(resource, name)?.ok_or(format!("{name} is missing"))
    }

    /// The resource of a type that a value refers to.
    fn target(&self, value: &Value, kind: &str) -> Result<&'a Value, String> {
        let resources = references(value).into_iter().filter_map(|logical| self.root["Resources"].get(&logical));
        let found = resources.into_iter().find(|resource| resource["Type"] == kind);
        found.ok_or(format!("{value} refers to no {kind}"))
    }

    fn binary(&self, value: &Value) -> Result<String, String> {
        binary_of(self.target(value, "AWS::Serverless::Function")?)
    }

    fn function(&self, logical: &str, resource: &Value) -> Result<Function, String> {
        let globals = &self.root["Globals"]["Function"];
        let setting = |name: &str| match self.property(resource, name)? {
            Some(own) => Ok(Some(own)),
            None => self.resolver.text(&globals[name]),
        };
        let number = |name: &str, default: u64| -> Result<u64, String> {
            let text = setting(name)?.unwrap_or(default.to_string());
            text.parse().map_err(|_| format!("{name} is no number: {text}"))
        };
        let mut environment = BTreeMap::new();
        for variables in [&globals["Environment"]["Variables"], &resource["Properties"]["Environment"]["Variables"]] {
            for (name, value) in variables.as_object().into_iter().flatten() {
                if let Some(value) = self.resolver.text(value).map_err(|error| format!("{name}: {error}"))? {
                    environment.insert(name.clone(), value);
                }
            }
        }
        let name = self.resolver.resolve(&json!({ "Ref": logical }))?;
        Ok(Function {
            binary: binary_of(resource)?,
            name: name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default(),
            timeout: Duration::from_secs(number("Timeout", 3)?),
            memory: number("MemorySize", 128)?,
            environment,
            statements: self.statements(&resource["Properties"]["Role"])?,
        })
    }

    fn statements(&self, role: &Value) -> Result<Option<Vec<Statement>>, String> {
        if role.is_null() {
            return Ok(None);
        }
        let role = self.target(role, "AWS::IAM::Role")?;
        let policies = self.resolver.resolve(&role["Properties"]["Policies"])?.unwrap_or_default();
        let all = policies.as_array().into_iter().flatten();
        let all = all.flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().into_iter().flatten());
        let statements = all.map(|statement| match statement["Effect"].as_str() {
            Some("Allow") => Ok(Statement {
                actions: one_or_more(&statement["Action"]),
                resources: one_or_more(&statement["Resource"]),
            }),
            _ => Err(format!("the local stack understands statements that allow, found {statement}")),
        });
        statements.collect::<Result<_, _>>().map(Some)
    }

    fn route(&self, _: &str, resource: &Value) -> Result<Route, String> {
        let integration = self.target(&resource["Properties"]["Target"], "AWS::ApiGatewayV2::Integration")?;
        if self.property(integration, "PayloadFormatVersion")?.as_deref() != Some("2.0") {
            return Err("the integration's PayloadFormatVersion is not 2.0".to_owned());
        }
        let authorization = match self.property(resource, "AuthorizationType")?.as_deref() {
            None => return Err("AuthorizationType is missing".to_owned()),
            Some("NONE") => RouteAuthorizer::None,
            Some("AWS_IAM") => RouteAuthorizer::Iam,
            Some("JWT") => self.jwt(&resource["Properties"]["AuthorizerId"])?,
            Some(other) => return Err(format!("AuthorizationType {other} is not acted out by the local stack")),
        };
        let uri = &integration["Properties"]["IntegrationUri"];
        Ok(Route { key: self.required(resource, "RouteKey")?, authorization, binary: self.binary(uri)? })
    }

    fn jwt(&self, authorizer: &Value) -> Result<RouteAuthorizer, String> {
        let authorizer = self.target(authorizer, "AWS::ApiGatewayV2::Authorizer")?;
        let configuration = self.resolver.resolve(&authorizer["Properties"]["JwtConfiguration"])?.unwrap_or_default();
        let issuer = configuration["Issuer"].as_str().ok_or("the authorizer has no Issuer")?.to_owned();
        let audiences = texts(&configuration["Audience"]);
        if audiences.is_empty() {
            return Err("the authorizer has no Audience".to_owned());
        }
        Ok(RouteAuthorizer::Jwt { issuer, audiences })
    }

    fn cors(&self) -> Result<Option<Cors>, String> {
        for (_, api) in self.of_type("AWS::ApiGatewayV2::Api")? {
            let Some(cors) = self.resolver.resolve(&api["Properties"]["CorsConfiguration"])? else { continue };
            if cors.is_object() {
                return Ok(Some(Cors {
                    origins: texts(&cors["AllowOrigins"]),
                    methods: texts(&cors["AllowMethods"]),
                    headers: texts(&cors["AllowHeaders"]),
                    exposed: texts(&cors["ExposeHeaders"]),
                    credentials: cors["AllowCredentials"] == true,
                }));
            }
        }
        Ok(None)
    }

    fn table(&self, logical: &str, resource: &Value) -> Result<Table, String> {
        let properties = self.resolver.resolve(&resource["Properties"])?.unwrap_or_default();
        let name = self.resolver.text(&json!({ "Ref": logical }))?.ok_or("the table has no name")?;
        let mut create = json!({ "TableName": name, "BillingMode": "PAY_PER_REQUEST" });
        for key in ["AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes"] {
            if let Some(value) = properties.get(key) {
                create[key] = value.clone();
            }
        }
        if let Some(view) = properties["StreamSpecification"].get("StreamViewType") {
            create["StreamSpecification"] = json!({ "StreamEnabled": true, "StreamViewType": view });
        }
        let expiry = &properties["TimeToLiveSpecification"];
        let expires_by = expiry["AttributeName"].as_str().filter(|_| expiry["Enabled"] == true).map(str::to_owned);
        Ok(Table { name, create, expires_by })
    }

    fn pipe(&self, _: &str, resource: &Value) -> Result<Pipe, String> {
        let properties = &resource["Properties"];
        self.target(&properties["Source"], "AWS::DynamoDB::Table")?;
        let target = &properties["TargetParameters"];
        let text = |value: &Value| self.resolver.text(value)?.ok_or("a text is missing".to_owned());
        let filters = properties["SourceParameters"]["FilterCriteria"]["Filters"].as_array().into_iter().flatten();
        let patterns = filters.map(|filter| {
            serde_json::from_str(&text(&filter["Pattern"])?).map_err(|error| format!("a pattern is JSON: {error}"))
        });
        Ok(Pipe {
            patterns: patterns.collect::<Result<_, String>>()?,
            source: text(&target["EventBridgeEventBusParameters"]["Source"])?,
            detail_type: text(&target["EventBridgeEventBusParameters"]["DetailType"])?,
            input_template: text(&target["InputTemplate"])?,
        })
    }

    /// The `ScheduleV2` events of SAM.
    fn schedules(&self) -> Result<Vec<Schedule>, String> {
        let mut found = Vec::new();
        for (_, function) in self.of_type("AWS::Serverless::Function")? {
            let events = function["Properties"]["Events"].as_object().into_iter().flat_map(Map::values);
            for event in events.filter(|event| event["Type"] == "ScheduleV2") {
                found.extend(self.schedule(&event["Properties"], binary_of(function)?)?);
            }
        }
        Ok(found)
    }

    fn schedule(&self, properties: &Value, binary: String) -> Result<Option<Schedule>, String> {
        if self.resolver.text(&properties["State"])?.as_deref() == Some("DISABLED") {
            return Ok(None);
        }
        let expression = self.resolver.text(&properties["ScheduleExpression"])?.unwrap_or_default();
        let parse =
            |text: String| serde_json::from_str(&text).map_err(|_| format!("a schedule's Input is JSON: {text}"));
        let input = self.resolver.text(&properties["Input"])?.map(parse).transpose()?;
        Ok(Some(Schedule { every: rate(&expression)?, input, binary }))
    }
}

fn binary_of(function: &Value) -> Result<String, String> {
    let binary = function["Metadata"]["BuildProperties"]["Binary"].as_str();
    binary.map(str::to_owned).ok_or("Metadata.BuildProperties.Binary is missing".to_owned())
}

fn one_or_more(value: &Value) -> Vec<String> {
    value.as_str().map_or_else(|| texts(value), |one| vec![one.to_owned()])
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `rate(1 minute)`, with AWS's grammar: singular for one, plural for more.
pub(super) fn rate(expression: &str) -> Result<Duration, String> {
    let parsed = expression.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')')).and_then(|inner| {
        let (count, unit) = inner.split_once(' ')?;
        let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
        let seconds = match (unit, count) {
            ("minute", 1) | ("minutes", 2..) => 60,
            ("hour", 1) | ("hours", 2..) => 3_600,
            ("day", 1) | ("days", 2..) => 86_400,
            _ => return None,
        };
        Some(Duration::from_secs(count * seconds))
    });
    parsed.ok_or(format!("the local stack understands rate(…) schedules, found {expression:?}"))
}
