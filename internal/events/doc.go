// Package events says what happened in the cluster. It is pure: events are
// derived from two snapshots of the store and from how the nodes' health was
// timed, bounded, and chosen for a reader. Who keeps them is package ring, who
// takes the snapshots package recorder.
//
// Nothing is written to the store for an event, so events cost no write and
// cannot delay one. The price is that what comes and goes between two snapshots
// is not seen, and that each server tells only what it saw itself.
package events
