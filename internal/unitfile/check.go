package unitfile

import "argosy/internal/cluster"

// Check says everything that is wrong with a unit as submitted, in the order of
// its lines. A unit with a finding of SeverityError must be refused (Refusal
// makes the error of it); warnings are for its author.
func Check(name cluster.UnitName, text string) []Finding { return nil }
