"""The first approval of README.md in each language, as it stands there, against the real service on ports of its own.

Go is not needed for the tests: its example is built and run by hand only, and here README is compared with the file.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from harness import ROOT, Service

README = (ROOT / "README.md").read_text(encoding="utf-8")
# The ports of README, which are those of the development profile.
GRPC, HTTP = "127.0.0.1:50051", "http://127.0.0.1:8080"
MADE = shutil.ignore_patterns(".venv", "countersign", "node_modules", "gen", "countersignv1")
# A bound against hanging: compilers start.
PATIENCE_S = 180


def blocks(language, kind):
    """The code blocks of this kind in the section of a language."""
    section = README.split(f"\n### {language}\n")[1].split("\n##")[0]
    return re.findall(rf"^```{kind}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def squeezed(code):
    """Without white space and commas before closing brackets, which a formatter chooses."""
    return re.sub(r",(?=[)}\]])", "", re.sub(r"\s", "", code))


class Readme(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # A busy disk must not make the store unavailable: README does not repeat calls.
        cls.service = Service("store.deadline_ms = 10000\n")
        cls.addClassCleanup(cls.service.stop)

    def setUp(self):
        """A copy of what README needs of the repository, with the data folder of the service."""
        folder = tempfile.TemporaryDirectory(prefix="countersign-readme-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        shutil.copytree(ROOT / "examples", self.root / "examples", ignore=MADE)
        shutil.copytree(ROOT / "proto", self.root / "proto")
        (self.root / "countersign-data").symlink_to(pathlib.Path(self.service.folder.name) / "data")
        self.http = f"http://127.0.0.1:{self.service.http_port}"

    def sh(self, script):
        """Runs it in the root of the copy, and gives the last line."""
        # The environment of the tests has a grpcurl, for who has none.
        path = f"{os.environ['PATH']}:{sys.prefix}/bin"
        env = {**os.environ, "PATH": path, "COUNTERSIGN_GRPC": self.service.grpc_address, "COUNTERSIGN_HTTP": self.http}
        env.pop("COUNTERSIGN_KEY", None)
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout.splitlines()[-1]

    def on_our_ports(self, code, *addresses):
        """With the ports of the service in place of those of README."""
        for address in addresses:
            self.assertIn(address, code)
        return code.replace(GRPC, self.service.grpc_address).replace(HTTP, self.http)

    def of_readme(self, file, before, block, after=""):
        """Puts the block of README behind the head of an example, in its place."""
        path = self.root / file
        head, found, _ = path.read_text(encoding="utf-8").partition(before)
        self.assertTrue(found, f"{file} has no {before!r}")
        path.write_text(head + block + after, encoding="utf-8")

    def python_commands(self):
        """Those of README, in an environment that is there already."""
        (commands,) = blocks("Python", "sh")
        environment, packages, rest = commands.split("\n", 2)
        self.assertEqual(environment, "python3 -m venv examples/python/.venv")
        self.assertEqual(packages, "examples/python/.venv/bin/pip install grpcio grpcio-tools")
        (self.root / "examples/python/.venv").symlink_to(sys.prefix)
        return rest

    def typescript_commands(self):
        """Those of README, with packages that are there already."""
        (commands,) = blocks("TypeScript", "sh")
        packages, rest = commands.split("\n", 1)
        self.assertEqual(packages, "npm install --prefix examples/typescript")
        (self.root / "examples/typescript/node_modules").symlink_to(ROOT / "examples/typescript/node_modules")
        return rest

    def test_the_commands_for_grpcurl_approve_as_often_as_they_are_run(self):
        (commands,) = blocks("grpcurl", "sh")
        commands = self.on_our_ports(commands, GRPC, HTTP)
        self.assertEqual(self.sh(commands), "APPROVED")
        self.assertEqual(self.sh(commands), "APPROVED")

    def test_the_example_for_grpcurl_approves(self):
        self.assertEqual(self.sh("examples/grpcurl/first_approval.sh"), "APPROVED")

    def test_the_example_in_python_approves_by_the_commands_of_readme(self):
        self.assertEqual(self.sh(self.python_commands()), "APPROVED")

    def test_the_calls_in_python_approve_as_readme_shows_them(self):
        (block,) = blocks("Python", "python")
        block = self.on_our_ports(block, GRPC)
        self.of_readme("examples/python/first_approval.py", "def main", f"run = uuid.uuid4().hex\n{block}")
        self.assertEqual(self.sh(self.python_commands()), "APPROVED")

    def test_the_example_in_typescript_approves_by_the_commands_of_readme(self):
        self.assertEqual(self.sh(self.typescript_commands()), "APPROVED")

    def test_the_calls_in_typescript_fit_the_types_and_approve_as_readme_shows_them(self):
        (block,) = blocks("TypeScript", "ts")
        self.of_readme("examples/typescript/first_approval.ts", "const started =", block, "client.close();\n")
        commands = self.typescript_commands()
        self.assertEqual(self.sh(f"npm run check --prefix examples/typescript\n{commands}"), "APPROVED")

    def test_the_calls_in_go_stand_in_the_example(self):
        (block,) = blocks("Go", "go")
        example = squeezed((ROOT / "examples/go/main.go").read_text(encoding="utf-8"))
        statements = re.split(r"\n(?=\S)(?!\})", block.strip())
        self.assertEqual(len(statements), 3)
        for statement in statements:
            self.assertIn(squeezed(statement), example)


if __name__ == "__main__":
    unittest.main()
