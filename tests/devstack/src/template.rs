//! Reads `infra/template.yaml` and says what a deployment of it would make.
//!
//! Everything is found by structure (the type of a resource, what it refers to), never by a logical id: a route that
//! the template does not have is not there on one machine either, nor is an environment variable that it forgets.

mod names;
mod reader;
mod resolve;
pub mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use reader::Reader;

/// The emulated account.
pub const ACCOUNT: &str = "123456789012";
/// The emulated region.
pub const REGION: &str = "us-east-1";

/// A template, as the repository has it.
#[derive(Clone, Debug)]
pub struct Template {
    root: Value,
}

/// The inputs of a deployment.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// The stack's name, the first part of every name that the template leaves open.
    pub stack_name: String,
    /// `ApiEndpoint` of the API: the front door's address.
    pub api_endpoint: String,
    /// The parameters; one that is absent here has its default.
    pub parameters: BTreeMap<String, String>,
}

impl Values {
    fn pseudo_parameter(&self, name: &str) -> Option<String> {
        match name {
            "AWS::Region" => Some(REGION.to_owned()),
            "AWS::AccountId" => Some(ACCOUNT.to_owned()),
            "AWS::Partition" => Some("aws".to_owned()),
            "AWS::URLSuffix" => Some("amazonaws.com".to_owned()),
            "AWS::StackName" => Some(self.stack_name.clone()),
            _ => None,
        }
    }
}

/// The resources of a template, every intrinsic function resolved.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The functions.
    pub functions: Vec<Function>,
    /// The routes of the API.
    pub routes: Vec<Route>,
    /// The cross-origin rules of the API, if it has some.
    pub cors: Option<Cors>,
    /// The tables.
    pub tables: Vec<Table>,
    /// The schedules.
    pub schedules: Vec<Schedule>,
    /// The names of the secrets that the template declares.
    pub secrets: Vec<String>,
    /// The readers of the tables' streams.
    pub pipes: Vec<Pipe>,
}

/// A function.
#[derive(Clone, Debug)]
pub struct Function {
    /// The cargo binary, `Metadata.BuildProperties.Binary`.
    pub binary: String,
    /// The physical name.
    pub name: String,
    /// How long an invocation may last.
    pub timeout: Duration,
    /// Memory in MB.
    pub memory: u64,
    /// The environment, the globals' included.
    pub environment: BTreeMap<String, String>,
    /// Permissions of its role, if the template gives it one.
    pub statements: Option<Vec<Statement>>,
}

/// A statement of a role, which allows: each of the actions on each of the resources.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The actions.
    pub actions: Vec<String>,
    /// ARNs, with `*` in them where the template leaves something open.
    pub resources: Vec<String>,
}

/// A route of the API.
#[derive(Clone, Debug)]
pub struct Route {
    /// The key as the template writes it: `POST /v1/authorizations`.
    pub key: String,
    /// The callers that are allowed.
    pub authorization: RouteAuthorizer,
    /// The binary of the function that answers.
    pub binary: String,
}

/// The callers that a route allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteAuthorizer {
    /// Everybody.
    None,
    /// Callers that sign the request (SigV4).
    Iam,
    /// Callers with a token from this issuer for one of these audiences.
    Jwt {
        /// `iss` of the token.
        issuer: String,
        /// `aud` of the token, any of these.
        audiences: Vec<String>,
    },
}

/// The API's cross-origin rules.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// Origins that may call.
    pub origins: Vec<String>,
    /// Methods they may use.
    pub methods: Vec<String>,
    /// Headers they may send.
    pub headers: Vec<String>,
    /// Headers they may read.
    pub exposed: Vec<String>,
    /// True if cookies travel.
    pub credentials: bool,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// The physical name.
    pub name: String,
    /// The body of `CreateTable`.
    pub create: Value,
    /// The attribute that expires items, if any.
    pub expires_by: Option<String>,
}

/// A schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// How often it fires.
    pub every: Duration,
    /// The event that the function gets; without one the scheduler makes its own.
    pub input: Option<Value>,
    /// The binary of the function.
    pub binary: String,
}

/// A pipe from a table's stream to an event bus.
#[derive(Clone, Debug)]
pub struct Pipe {
    /// The event patterns, of which one must fit.
    pub patterns: Vec<Value>,
    /// `source` of the events.
    pub source: String,
    /// `detail-type` of the events: a text, or the path in the record at which it stands.
    pub detail_type: String,
    /// The parts of `detail`.
    pub input_template: String,
}

impl Template {
    /// Reads the repository's template.
    ///
    /// # Errors
    /// The file cannot be read or is no template.
    pub fn of_the_repository() -> Result<Self, String> {
        let path = repository().join("infra/template.yaml");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Reads a template.
    ///
    /// # Errors
    /// The text is no YAML that CloudFormation would take.
    pub fn parse(text: &str) -> Result<Self, String> {
        let root = yaml::parse(text)?;
        if !root["Resources"].is_object() {
            return Err("a template has Resources".to_owned());
        }
        Ok(Self { root })
    }

    /// The names of the parameters.
    #[must_use]
    pub fn parameters(&self) -> Vec<String> {
        self.root["Parameters"].as_object().into_iter().flat_map(Map::keys).cloned().collect()
    }

    /// Names, least and greatest values of the parameters that are numbers with bounds.
    #[must_use]
    pub fn numeric_parameters(&self) -> Vec<(String, i64, i64)> {
        let declared = self.root["Parameters"].as_object().into_iter().flatten();
        let bounded = declared.filter_map(|(name, declared)| {
            Some((name.clone(), declared["MinValue"].as_i64()?, declared["MaxValue"].as_i64()?))
        });
        bounded.collect()
    }

    /// Violations of the template's rules by these values.
    ///
    /// # Errors
    /// As with [`Self::deploy`].
    pub fn violations(&self, values: &Values) -> Result<Vec<String>, String> {
        resolve::Resolver::new(&self.root, values)?.violations()
    }

    /// The properties of the resources of a type that are made with these values, by logical name.
    ///
    /// # Errors
    /// As with [`Self::deploy`].
    pub fn properties_of(&self, kind: &str, values: &Values) -> Result<BTreeMap<String, Value>, String> {
        Reader::new(&self.root, values)?.properties_of(kind)
    }

    /// The resources of this template with these values.
    ///
    /// # Errors
    /// A parameter without value is used, something is named that is not there, or a function, route, table or
    /// schedule is not as the local stack can act it out.
    pub fn deploy(&self, values: &Values) -> Result<Deployment, String> {
        Reader::new(&self.root, values)?.deployment()
    }
}

impl Deployment {
    /// The function with this binary.
    #[must_use]
    pub fn function(&self, binary: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.binary == binary)
    }
}

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_path_buf()
}

#[cfg(test)]
mod tests;
