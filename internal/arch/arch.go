// Package arch is the rules of this house, as tests: which package may import
// which, who may use a third-party library, what pure code must not touch, and
// what nobody does. Each rule stands with its reason. See rules_test.go.
package arch
