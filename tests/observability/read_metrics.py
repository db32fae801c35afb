"""Reads an OpenMetrics text with a parser that is not ours and says what is in it, as JSON.

The parser is the reference's own (Debian: python3-prometheus-client) and refuses what the format forbids.
"""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

families = []
for family in text_string_to_metric_families(sys.stdin.read()):
    samples = [[sample.name, sample.labels, sample.value] for sample in family.samples]
    families.append({"name": family.name, "type": family.type, "help": family.documentation, "samples": samples})
json.dump(families, sys.stdout)
