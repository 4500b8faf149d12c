"""Everything that the template refers to is there, whatever its parameters."""

import unittest

from combinations import SWITCHES, combinations
from resolve import Resolver, Unresolved
from template_test import EXAMPLE, TEMPLATE, read
from translate import translate


class Combinations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.all = combinations()

    def test_every_reference_resolves_in_every_combination(self):
        self.assertGreaterEqual(len(self.all), 24)
        for parameters, template in self.all:
            resolver = Resolver(template, parameters)
            try:
                resolver.created()
                resolver.outputs()
            except Unresolved as unresolved:
                self.fail(f"{unresolved} with {parameters}")

    def test_every_condition_is_true_in_one_combination_and_false_in_another(self):
        for name in TEMPLATE["Conditions"]:
            seen = {Resolver(template, parameters).condition(name) for parameters, template in self.all}
            self.assertEqual(seen, {False, True}, name)

    def test_switches_are_parameters(self):
        names = {name for switch in SWITCHES for given in switch for name in given}

        self.assertLessEqual(names, set(TEMPLATE["Parameters"]))

    def test_wrong_references_are_found(self):
        for change, expected in (
            ({"Fn::GetAtt": ["Domain", "RegionalDomainName"]}, "Domain is not created"),
            ({"Fn::GetAtt": ["Key", "Name"]}, "AWS::KMS::Key has no attribute Name"),
            ({"Ref": "Nothing"}, "Nothing does not exist"),
            ({"Fn::Sub": "${Nothing.Arn}"}, "Nothing does not exist"),
            ({"Fn::If": ["Nothing", 1, 2]}, "there is no condition Nothing"),
            ({"Fn::Upper": "x"}, "Fn::Upper is not known"),
        ):
            template = translate(read())
            template["Resources"]["AlarmTopic"]["Properties"]["DisplayName"] = change
            with self.assertRaisesRegex(Unresolved, expected):
                Resolver(template, EXAMPLE).created()


if __name__ == "__main__":
    unittest.main()
