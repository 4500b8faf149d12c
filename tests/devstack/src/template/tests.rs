use super::*;

fn deployed(parameters: &[(&str, &str)]) -> Result<Deployment, String> {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (stack_name, api_endpoint) = ("one".to_owned(), "http://localhost:1".to_owned());
    Template::of_the_repository()?.deploy(&Values { stack_name, api_endpoint, parameters })
}

#[test]
fn what_cloudformation_would_refuse_is_refused_by_name() {
    assert!(deployed(&[]).unwrap_err().contains("has no default, and the stack gives it no value"));
    assert!(deployed(&[("Isuer", "i")]).unwrap_err().contains("no parameter Isuer"));
    for wrong in ["rate(1 minutes)", "rate(2 minute)", "rate(0 minutes)", "every minute"] {
        assert!(reader::rate(wrong).unwrap_err().contains(wrong));
    }
}

#[test]
fn the_template_of_the_repository_makes_all_that_the_local_stack_needs() {
    let declared = Template::of_the_repository().unwrap().parameters();
    let given = crate::stack::PARAMETERS.iter().filter(|(name, _)| declared.iter().any(|own| own == name));

    let deployment = deployed(&given.copied().collect::<Vec<_>>()).unwrap();

    for binary in ["automation-execute", "oauth-callback", "token-refresh"] {
        let function = deployment.function(binary).unwrap_or_else(|| panic!("no function has the binary {binary}"));
        for variable in ["INTEGRATIONS_TABLE", "GLIBC_TUNABLES"] {
            assert!(function.environment.contains_key(variable), "{binary} has its own and the globals' environment");
        }
    }
    assert_eq!((deployment.tables.len(), deployment.routes.len()), (3, 7));
    let expiring = deployment.tables.iter().filter_map(|table| table.expires_by.as_deref());
    assert_eq!(expiring.collect::<Vec<_>>(), ["expires_at"; 2]);
    let public = deployment.routes.iter().filter(|route| route.authorization == RouteAuthorizer::None);
    assert_eq!(public.count(), 2, "only the callback and the result page are public");
    let [schedule] = deployment.schedules.as_slice() else { panic!("one schedule: {:?}", deployment.schedules) };
    assert_eq!((schedule.binary.as_str(), schedule.every), ("token-refresh", Duration::from_secs(60)));
    assert_eq!(schedule.input, Some(serde_json::json!({})));
}
