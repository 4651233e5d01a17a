"""One trial and what compares trials: device, timing, ceilings, roofline, worker, trial, journal, suites."""
