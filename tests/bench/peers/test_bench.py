"""What the harness computes from figures; the measuring itself is proved by its own checks in every run.

    python3 -B -m unittest discover -s tests/bench/peers
"""

import unittest

import gates
import load
import report
import summary
from rounds import Round
from scenarios import SCENARIOS


def round_of(cpu, p50=1.0):
    """A round with that CPU per request."""
    return Round(rps=1000, p50=p50, p99=2.0, errors=0, cpu=cpu, rest=1.0, loaded=2.0, peak=3.0)


class Ratios(unittest.TestCase):
    def test_are_medians_of_the_same_round_and_of_the_best_rounds(self):
        ours, theirs = [round_of(10), round_of(40), round_of(9)], [round_of(20), round_of(40), round_of(30)]
        self.assertEqual(report.ratio(ours, theirs), (0.5, 9 / 20))

    def test_leave_out_rounds_that_one_of_both_failed(self):
        self.assertEqual(report.ratio([None, round_of(10)], [round_of(1), round_of(20)]), (0.5, 0.5))

    def test_are_absent_where_the_other_was_not_measured(self):
        self.assertIsNone(report.ratio([round_of(10)], None))


class Rows(unittest.TestCase):
    def test_have_a_cell_for_every_heading_with_figures_and_without(self):
        results = report.Results()
        results.rounds["one"] = {("sidepass", ""): [round_of(10, p50=3.0)], ("direct", ""): [round_of(None, p50=1.0)]}
        scenario = SCENARIOS["one"]
        for target in ("sidepass", "direct", "nginx"):
            self.assertEqual(len(results.row("one", scenario, target, "")), len(report.HEAD))
        self.assertIn("+2000 µs over direct", results.notes("one", scenario, "sidepass", ""))


class Summary(unittest.TestCase):
    def test_has_a_line_for_what_was_measured_only_and_a_cell_for_every_heading(self):
        results = report.Results()
        results.rounds["c64"] = {("nginx", ""): [round_of(20)], ("sidepass", ""): [round_of(10)]}
        results.instructions["c64", "sidepass", ""] = 30_000
        rows = summary.rows(results, SCENARIOS)
        self.assertEqual([row[1] for row in rows], ["**user instructions/request**", "CPU µs/request", "memory, MiB"])
        self.assertEqual(rows[1][2:], ["20.0", "-", "-", "10.0", "0.50 (0.50)", "-"])
        self.assertTrue(all(len(row) == len(summary.HEAD) for row in rows))


class Gates(unittest.TestCase):
    GOOD = {1: 6.0, 64: 4.08}

    def test_pass_what_is_within_them(self):
        self.assertEqual(gates.broken(28_000, 28_500, self.GOOD), [])

    def test_each_stops_what_is_beyond_it(self):
        self.assertEqual(len(gates.broken(34_000, 34_000, self.GOOD)), 1)
        self.assertEqual(len(gates.broken(28_000, 29_100, self.GOOD)), 1)
        self.assertEqual(len(gates.broken(28_000, 28_000, {1: 7.0, 64: 4.08})), 1)
        self.assertEqual(len(gates.broken(28_000, 28_000, {1: 6.0, 64: 4.6})), 1)


class Shares(unittest.TestCase):
    def test_are_values_of_the_list(self):
        self.assertEqual(load.at_share(list(range(1, 101)), 0.5), 51)
        self.assertEqual(load.at_share([7], 0.99), 7)


if __name__ == "__main__":
    unittest.main()
