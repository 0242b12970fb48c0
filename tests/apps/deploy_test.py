#!/usr/bin/env python3
"""What deploy/ says about the program is true of it, and in a form that its readers take.

Usage: PROGRAM [unittest arguments].
"""

import re
import shutil
import subprocess
import unittest

from program import PROGRAM, SOURCE, WORK, Case

DEPLOY = SOURCE / "deploy"


class Deploy(Case):
    def settings(self):
        """Of `mixtral serve`, by name: what they are without being set."""
        text = self.good("serve", "--print-config").stdout.decode()
        return {name: value for name, value in re.findall(r"^(?:# )?([a-z-]+) =(.*)$", text, re.MULTILINE)}

    def yaml(self, name):
        try:
            import yaml
        except ImportError:
            self.skipTest("no yaml module for Python")
        return list(yaml.safe_load_all((DEPLOY / name).read_text()))

    def test_the_environment_has_options_of_the_server(self):
        names = set()
        for file in DEPLOY.iterdir():
            names |= set(re.findall(r"\bMIXTRAL_([A-Z_]+)\b(?!=O)", file.read_text()))
        names -= {"BUILD_TESTS", "LIBEDIT"}  # of the build
        self.assertIn("MODEL", names)
        self.assertLessEqual({name.lower().replace("_", "-") for name in names}, set(self.settings()))

    def test_everything_waits_longer_than_the_server_gives_its_answers(self):
        grace = float(self.settings()["grace"])
        for name, pattern in (("mixtral.service", r"TimeoutStopSec=(\d+)"), ("compose.yaml", r"stop_grace_period: (\d+)s"),
                              ("kubernetes.yaml", r"terminationGracePeriodSeconds: (\d+)")):
            self.assertGreater(float(re.search(pattern, (DEPLOY / name).read_text()).group(1)), grace, name)

    def test_the_image_is_built_from_the_packages_that_the_build_needs(self):
        text = (DEPLOY / "Dockerfile").read_text()
        installed = set(re.search(r"--no-install-recommends \\\n(.*?)\\\n", text, re.DOTALL).group(1).split())
        needed = {line.split()[1] for line in (SOURCE / "tools/packages.txt").read_text().splitlines() if line.startswith("build ")}
        self.assertEqual(installed, needed - {"libedit-dev"})  # MIXTRAL_LIBEDIT=OFF

    def test_yaml(self):
        [compose] = self.yaml("compose.yaml")
        self.assertTrue((DEPLOY / compose["services"]["mixtral"]["build"]["context"] / "deploy/Dockerfile").exists())
        deployment, service = self.yaml("kubernetes.yaml")
        pod = deployment["spec"]["template"]
        self.assertEqual((deployment["kind"], service["kind"]), ("Deployment", "Service"))
        self.assertEqual(pod["metadata"]["labels"], service["spec"]["selector"])
        self.assertEqual(pod["metadata"]["labels"], deployment["spec"]["selector"]["matchLabels"])
        [container] = pod["spec"]["containers"]
        port = container["ports"][0]["containerPort"]
        self.assertEqual([service["spec"]["ports"][0]["targetPort"], *(container[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "readiness", "liveness"))], [port] * 4)

    def test_the_unit(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("no systemd-analyze")
        unit = WORK / "mixtral.service"
        unit.write_text((DEPLOY / "mixtral.service").read_text().replace("/usr/local/bin/mixtral", PROGRAM))
        result = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
