use serde_json::json;

use super::*;

const SMALL: &str = r#"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Domain: { Type: String, Default: '' }
  Issuer: { Type: String }
  Scopes: { Type: CommaDelimitedList, Default: 'a.read, b.write' }
  Every: { Type: String, Default: rate(2 minutes) }
Conditions:
  HasDomain: !Not [!Equals [!Ref Domain, '']]
Globals:
  Function:
    Timeout: 29
    Environment:
      Variables:
        RUST_LOG: info
        SCOPES: !Join [' ', !Ref Scopes]
Resources:
  Door:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      CorsConfiguration: { AllowOrigins: ['https://app.example'], AllowCredentials: true }
  Guard:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      JwtConfiguration: { Issuer: !Ref Issuer, Audience: [dashboard] }
  Link:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      PayloadFormatVersion: '2.0'
      IntegrationUri: !Sub arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/${Worker.Alias}/invocations
  Way:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      RouteKey: GET /things/{id}
      AuthorizationType: JWT
      AuthorizerId: !Ref Guard
      Target: !Sub integrations/${Link}
  NotMade:
    Type: AWS::ApiGatewayV2::Route
    Condition: HasDomain
    Properties: { RouteKey: GET /hidden }
  Worker:
    Type: AWS::Serverless::Function
    Metadata: { BuildMethod: rust-cargolambda, BuildProperties: { Binary: worker } }
    Properties:
      MemorySize: 256
      Environment:
        Variables:
          RUST_LOG: debug
          URL: !If [HasDomain, !Sub 'https://${Domain}', !GetAtt Door.ApiEndpoint]
          TABLE: !Ref Things
          ROLE: !GetAtt Caller.Arn
          ABSENT: !If [HasDomain, x, !Ref AWS::NoValue]
      Events:
        Tick:
          Type: ScheduleV2
          Properties: { ScheduleExpression: !Ref Every, Input: '{"shards":[1]}' }
  Caller: { Type: AWS::IAM::Role }
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      SSESpecification: { SSEEnabled: true }
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      TimeToLiveSpecification: { AttributeName: gone_at, Enabled: true }
  App: { Type: AWS::SecretsManager::Secret, Properties: { Name: !Sub '${AWS::StackName}/app' } }
"#;

fn values(parameters: &[(&str, &str)]) -> Values {
    Values {
        stack_name: "one".to_owned(),
        api_endpoint: "http://localhost:1".to_owned(),
        parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

fn deployed(parameters: &[(&str, &str)]) -> Deployment {
    Template::parse(SMALL).unwrap().deploy(&values(parameters)).unwrap()
}

#[test]
fn a_function_gets_exactly_the_environment_that_the_template_gives_it() {
    let deployment = deployed(&[("Issuer", "https://issuer.example")]);

    let worker = deployment.function("worker").unwrap();

    let expected = [
        ("ROLE", "arn:aws:iam::123456789012:role/one-Caller"),
        ("RUST_LOG", "debug"),
        ("SCOPES", "a.read b.write"),
        ("TABLE", "one-Things"),
        ("URL", "http://localhost:1"),
    ];
    let environment: Vec<_> = worker.environment.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(environment, expected);
    assert_eq!((worker.timeout, worker.memory), (Duration::from_secs(29), 256));
}

#[test]
fn a_route_is_followed_to_its_authorizer_and_its_function() {
    let deployment = deployed(&[("Issuer", "https://issuer.example")]);

    let [route] = deployment.routes.as_slice() else { panic!("one route is made: {:?}", deployment.routes) };

    assert_eq!((route.key.as_str(), route.binary.as_str()), ("GET /things/{id}", "worker"));
    let jwt =
        RouteAuthorizer::Jwt { issuer: "https://issuer.example".to_owned(), audiences: vec!["dashboard".to_owned()] };
    assert_eq!(route.authorization, jwt);
    assert!(deployment.cors.unwrap().credentials);
}

#[test]
fn tables_secrets_and_schedules_are_as_the_template_declares_them() {
    let deployment = deployed(&[("Issuer", "i"), ("Every", "rate(1 hour)")]);

    let [table] = deployment.tables.as_slice() else { panic!("one table") };
    assert_eq!(table.create["KeySchema"], json!([{ "AttributeName": "id", "KeyType": "HASH" }]));
    assert!(table.create.get("SSESpecification").is_none(), "the emulator has no key service");
    assert_eq!(table.expires_by.as_deref(), Some("gone_at"));
    assert_eq!(deployment.secrets, ["one/app"]);
    let [schedule] = deployment.schedules.as_slice() else { panic!("one schedule") };
    assert_eq!((schedule.every, &schedule.input), (Duration::from_secs(3_600), &Some(json!({ "shards": [1] }))));
}

#[test]
fn what_cloudformation_would_refuse_is_refused_by_name() {
    let template = Template::parse(SMALL).unwrap();
    let refused = |parameters: &[(&str, &str)]| template.deploy(&values(parameters)).unwrap_err();

    assert!(refused(&[]).contains("Issuer"), "a parameter without a value");
    assert!(refused(&[("Issuer", "i"), ("Isuer", "i")]).contains("Isuer"), "a parameter that is not there");
    assert!(refused(&[("Issuer", "i"), ("Domain", "d")]).contains("NotMade"), "a route without a target");
    assert!(refused(&[("Issuer", "i"), ("Every", "rate(1 minutes)")]).contains("rate(1 minutes)"));
}

#[test]
fn the_template_of_the_repository_makes_all_that_the_local_stack_needs() {
    let template = Template::of_the_repository().unwrap();
    let named = |name: &&str| template.parameters().iter().any(|parameter| parameter == name);
    let given: Vec<_> = crate::stack::PARAMETERS.iter().copied().filter(|(name, _)| named(name)).collect();

    let deployment = template.deploy(&values(&given)).unwrap();

    for binary in ["automation-execute", "oauth-callback", "token-refresh"] {
        assert!(deployment.function(binary).is_some(), "no function has the binary {binary}");
    }
    assert_eq!(deployment.tables.len(), 3);
    assert_eq!(deployment.routes.len(), 7);
    let public: Vec<_> =
        deployment.routes.iter().filter(|route| route.authorization == RouteAuthorizer::None).collect();
    assert_eq!(public.len(), 2, "only the callback and the result page are public: {public:?}");
    assert!(deployment.schedules.iter().any(|schedule| schedule.binary == "token-refresh"));
}
