"""What infra/template.yaml must say about the events of integrations. What they tell is tested by tests/system/notifications.rs."""

import json
import unittest

from template_test import RESOURCES, ROOT, listed, of_type, statements


class Notifications(unittest.TestCase):
    def setUp(self):
        self.pipes = {name: pipe["Properties"] for name, pipe in of_type("AWS::Pipes::Pipe").items()}

    def patterns(self, pipe: dict) -> list:
        filters = pipe["SourceParameters"]["FilterCriteria"]["Filters"]
        return [json.loads(one["Pattern"]) for one in filters]

    def test_at_most_two_pipes_read_the_stream_with_at_most_five_filters_each(self):
        self.assertEqual(len(self.pipes), 2)
        for name, pipe in self.pipes.items():
            self.assertEqual(pipe["Source"], {"Fn::GetAtt": ["IntegrationsTable", "StreamArn"]}, name)
            self.assertLessEqual(len(self.patterns(pipe)), 5, name)

    def test_the_pipes_are_created_late_and_one_after_the_other(self):
        self.assertEqual(RESOURCES["ChangesPipe"]["DependsOn"], "ApiStage")
        self.assertEqual(RESOURCES["DisconnectedPipe"]["DependsOn"], "ChangesPipe")

    def test_the_stream_shows_records_before_and_after(self):
        stream = RESOURCES["IntegrationsTable"]["Properties"]["StreamSpecification"]

        self.assertEqual(stream, {"StreamViewType": "NEW_AND_OLD_IMAGES"})

    def test_patterns_name_no_field_that_pipes_cannot_filter_by(self):
        for name, pipe in self.pipes.items():
            for pattern in self.patterns(pipe):
                self.assertEqual(set(pattern), {"dynamodb"}, name)

    def test_the_events_are_those_of_the_schema(self):
        schema = json.loads((ROOT / "infra" / "events.schema.json").read_text(encoding="utf-8"))
        described = {one["const"] for one in schema["properties"]["detail-type"]["oneOf"]}
        named = {"IntegrationDisconnected"}
        for pattern in self.patterns(self.pipes["ChangesPipe"]):
            named.update(pattern["dynamodb"]["NewImage"]["event"]["S"])

        self.assertEqual(named, described)
        for pipe in self.pipes.values():
            parameters = pipe["TargetParameters"]["EventBridgeEventBusParameters"]
            self.assertEqual(parameters["Source"], schema["properties"]["source"]["const"])
            detail = json.loads(pipe["TargetParameters"]["InputTemplate"])
            self.assertEqual(sorted(detail), sorted(schema["properties"]["detail"]["required"]))

    def test_pipes_start_at_the_oldest_record_and_keep_failures(self):
        (sent,) = [s["Resource"] for s in statements(RESOURCES["NotificationsRole"]) if s["Action"] == "sqs:SendMessage"]
        for name, pipe in self.pipes.items():
            source = pipe["SourceParameters"]["DynamoDBStreamParameters"]
            self.assertEqual(source["StartingPosition"], "TRIM_HORIZON", name)
            self.assertEqual(source["DeadLetterConfig"]["Arn"], sent, name)

    def test_the_pipes_may_read_the_stream_and_notify_the_bus_that_they_notify(self):
        allowed = {action: s["Resource"] for s in statements(RESOURCES["NotificationsRole"]) for action in listed(s["Action"])}
        for name, pipe in self.pipes.items():
            self.assertEqual(allowed["events:PutEvents"], pipe["Target"], name)
            for action in ("DescribeStream", "GetRecords", "GetShardIterator"):
                self.assertEqual(allowed[f"dynamodb:{action}"], pipe["Source"], name)
            self.assertEqual(allowed["dynamodb:ListStreams"], "*", name)


if __name__ == "__main__":
    unittest.main()
