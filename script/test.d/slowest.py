"""Prints the ten slowest tests of JUnit reports, whose file names say the stage: slowest.py REPORT..."""

import pathlib
import sys
import xml.etree.ElementTree as xml

COUNT = 10

tests = []
for report in map(pathlib.Path, sys.argv[1:]):
    stage = "" if report.stem == "tests" else f" ({report.stem})"
    for suite in xml.parse(report).getroot().iter("testsuite"):
        # `deskreel::timed` is a test program, `deskreel-model` a crate.
        program = suite.get("name", "")
        for case in suite.iter("testcase"):
            tests.append((float(case.get("time", 0)), f"{program} {case.get('name')}{stage}"))

for seconds, name in sorted(tests, reverse=True)[:COUNT]:
    print(f"slowest  {seconds:5.1f} s  {name}")
