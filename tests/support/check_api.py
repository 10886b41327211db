#!/usr/bin/env python3
"""Holds a running goprofd to its own OpenAPI document and to OpenMetrics, with Debian's jsonschema, msgpack and
prometheus_client.

    check_api.py PORT     exit 0 and one line of counts; else what contradicts what, one line each

Every GET of the document is asked without parameters, in each form, and with each parameter that has a fixed set of
values: what is listed must be taken, anything else refused with 400 and an Error.  Numbers may move between two
requests; only shapes are looked at.
"""
import http.client
import json
import sys

import jsonschema
import msgpack
from prometheus_client import parser as prometheus
from prometheus_client.openmetrics import parser as openmetrics

FOLLOWS = "/v1/stream"  # has no end
FAMILIES_MIN = 100
JSON, MSGPACK = "application/json", "application/msgpack"


class Checker:
    def __init__(self, port):
        self.port = port
        self.requests = 0
        self.problems = []
        self.document = json.loads(self.ask("GET", "/v1/openapi.json")[2])
        self.resolver = jsonschema.RefResolver("", self.document)

    def ask(self, method, path, accept=None):
        self.requests += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    def complain(self, path, what):
        self.problems.append(f"{path}: {what}")

    def validate(self, path, schema, value):
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver)
        for error in list(validator.iter_errors(value))[:3]:
            self.complain(path, f"{list(error.path)}: {error.message[:200]}")

    def judge(self, operation, path, accept=None):
        """Asks [path], and looks whether the document has such an answer.  Returns the status."""
        status, headers, body = self.ask("GET", path, accept)
        stated = operation["responses"].get(str(status), operation["responses"]["default"])
        kind = headers.get("Content-Type", "").split(";")[0]
        content = stated.get("content", {})
        if kind not in content:
            self.complain(path, f"{status} with {kind}, not with one of {sorted(content)}")
        elif kind in (JSON, MSGPACK) and "schema" in content[kind]:
            value = json.loads(body) if kind == JSON else msgpack.unpackb(body, strict_map_key=False)
            self.validate(path, content[kind]["schema"], value)
        return status

    def get(self, path):
        return json.loads(self.ask("GET", path)[2])

    def concrete(self, path):
        """[path] with names that exist, and the parameters it cannot do without."""
        if path == "/v1/targets/{id}":
            return path.replace("{id}", self.get("/v1/targets")[0]["id"])
        if path == "/v1/rules/{id}":
            return path.replace("{id}", self.get("/v1/rules")["rules"][0]["name"])
        return path.replace("{path}", "target/no-such.pb.gz")

    def values_of(self, schema):
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].split("/")[-1]]
        if schema["type"] == "array":
            return self.values_of(schema["items"])
        if schema["type"] == "integer":
            return [schema["minimum"], schema["maximum"]]
        return schema.get("enum", [])

    def check_parameters(self, operation, path, base):
        for parameter in operation["parameters"]:
            if parameter["in"] != "query":
                continue
            name, separator = parameter["name"], "&" if "?" in base else "?"
            values = self.values_of(parameter["schema"])
            for value in values:
                if self.judge(operation, f"{base}{separator}{name}={value}") == 400:
                    self.complain(path, f"{name}={value} is refused")
            for value in ["", "-x"] if values else [""]:
                if self.judge(operation, f"{base}{separator}{name}={value}") != 400:
                    self.complain(path, f"{name}={value} is taken")
        if operation["parameters"] and self.judge(operation, f"{base}{'&' if '?' in base else '?'}no_such=1") != 400:
            self.complain(path, "a parameter that is not listed is taken")

    def check_methods(self, path, methods, concrete):
        allow = self.ask("OPTIONS", concrete)[1].get("Allow", "")
        wanted = {method.upper() for method in methods} | {"OPTIONS"} | ({"HEAD"} if "get" in methods else set())
        if set(allow.split(", ")) != wanted:
            self.complain(path, f"Allow: {allow}; the document has {sorted(wanted)}")

    def check_paths(self):
        for schema in self.document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
        for path, methods in self.document["paths"].items():
            concrete = self.concrete(path)
            self.check_methods(path, methods, concrete)
            operation = methods.get("get")
            if operation is None or path == FOLLOWS:
                continue
            if any(parameter["name"] == "from" for parameter in operation["parameters"]):
                if self.judge(operation, concrete) != 400:
                    self.complain(path, "answers without `from`")
                concrete += "?from=-0s"
            has_query = any(parameter["in"] == "query" for parameter in operation["parameters"])
            for accept in (None, MSGPACK, "application/openmetrics-text"):
                status = self.judge(operation, concrete, accept)
                # 503: a target that works may be unreadable for a moment.
                good = (200, 406, 503) if path.startswith("/debug/pprof/") else (200, 406)
                if "200" in operation["responses"] and "{path}" not in path and status not in good:
                    self.complain(path, f"{status} for Accept: {accept}")
            if has_query:
                self.check_parameters(operation, path, concrete)
        self.judge(self.document["paths"]["/v1/metrics/history"]["get"], "/v1/metrics/history?step=1s")

    def check_metrics(self):
        """Both forms, by the parsers that the client library for Python has for them."""
        forms = {"text/plain": prometheus, "application/openmetrics-text; version=1.0.0": openmetrics}
        for accept, parser in forms.items():
            text = self.ask("GET", "/metrics", accept)[2].decode()
            # client_golang has a gauge go_memstats_alloc_bytes beside the counter ..._total.
            families = [(family.name, family.type) for family in parser.text_string_to_metric_families(text)]
            if len(families) < FAMILIES_MIN or len(set(families)) != len(families):
                self.complain("/metrics", f"{accept}: {len(families)} families, {len(set(families))} of them different")


def main():
    checker = Checker(int(sys.argv[1]))
    checker.check_paths()
    checker.check_metrics()
    for problem in checker.problems:
        print(problem)
    print(f"{checker.requests} requests, {len(checker.document['paths'])} paths, {len(checker.problems)} problems")
    sys.exit(1 if checker.problems else 0)


if __name__ == "__main__":
    main()
