"""Fail if a test of a module whose name contains one of the given words was skipped, or there is none.

python .ci/no_skips.py REPORT.xml WORD...
"""

import sys
import xml.etree.ElementTree as ElementTree

report, *words = sys.argv[1:]
failed = False
for word in words:
    # A module that was skipped whole is a case with its name and no class.
    cases = [
        case
        for case in ElementTree.parse(report).iter("testcase")
        if word in (case.get("classname") or case.get("name", ""))
    ]
    skipped = [case for case in cases if case.find("skipped") is not None]
    for case in skipped:
        print("skipped:", case.get("classname"), case.get("name"))
    print(f"{word}: {len(cases)} tests, {len(skipped)} skipped")
    failed |= bool(skipped) or not cases
sys.exit(failed)
