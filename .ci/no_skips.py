"""Fail if a test of a module whose name contains one of the given words was skipped.

python .ci/no_skips.py REPORT.xml WORD...
"""

import sys
import xml.etree.ElementTree as ElementTree

report, *words = sys.argv[1:]
cases = [
    case
    for case in ElementTree.parse(report).iter("testcase")
    if any(word in case.get("classname", "") for word in words)
]
skipped = [case for case in cases if case.find("skipped") is not None]
for case in skipped:
    print("skipped:", case.get("classname"), case.get("name"))
print(f"{len(cases)} tests named after {', '.join(words)}; {len(skipped)} skipped")
sys.exit(bool(skipped) or not cases)
