"""What a run says: one sentence for each thing that was checked, and the sum at the end."""

import json
import time


class Report:
    """Prints and counts. `holds` is the only way to a verdict."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.failures = []
        self.started = time.monotonic()

    def holds(self, sentence, condition, detail=""):
        """States that `sentence` is true; `detail` gives the figures behind it."""
        verdict = "ok" if condition else "FAILED"
        print(f"  {verdict:6} {sentence}" + (f" ({detail})" if detail else ""), flush=True)
        if condition:
            self.passed += 1
        else:
            self.failed += 1
            self.failures.append(sentence)
        return condition

    def equal(self, sentence, found, wanted):
        return self.holds(sentence, found == wanted, "" if found == wanted else f"{found!r}, not {wanted!r}")

    def note(self, text):
        """A figure that nothing is claimed about."""
        print(f"         {text}", flush=True)

    def sums(self):
        return {"passed": self.passed, "failed": self.failed, "failures": self.failures}

    def save(self, path):
        """Leaves the sums in a file, for another report to add."""
        with open(path, "w") as file:
            json.dump(self.sums(), file)

    def add(self, sums):
        self.passed += sums["passed"]
        self.failed += sums["failed"]
        self.failures += sums["failures"]

    def close(self):
        """Prints the closing line; returns the exit status."""
        for sentence in self.failures:
            print(f"failed: {sentence}")
        print(f"interop checks took {time.monotonic() - self.started:.0f} s")
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0
