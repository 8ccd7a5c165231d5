// Package unitfile reads, edits and judges systemd unit files and Quadlet
// files, which share one syntax (systemd.syntax(7)).
//
// The parser is lossless: a File keeps every byte of its text, so that what a
// user submitted is what "cat" prints, what is hashed and what systemd gets.
// Values are read the way systemd reads them (continuation lines, comments
// between them, empty assignments that reset a list), because the cluster and
// the node must never understand one file in two ways.
//
// Where systemd merely logs a warning and ignores a line (an assignment outside
// of a section, a missing '='), this package refuses the file: a line that does
// nothing is a mistake that its author wants to hear of before the unit runs on
// another machine.
//
// Check is the one place that says whether a unit may be submitted; PlacingOf
// reads the options of [X-Fleet] for package place. Everything here is pure and
// runs in time linear in the text, whose size is limited first. Values of File
// are never changed after they were made and may be shared between goroutines.
package unitfile
