package permit

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Reading is one look at the kernel's three clocks, each since its own origin.
// Readings can be compared only within one boot of one host.
type Reading struct {
	Boot time.Duration `json:"boot"` // CLOCK_BOOTTIME: counts during suspend, is slewed
	Raw  time.Duration `json:"raw"`  // CLOCK_MONOTONIC_RAW: not slewed, stands still during suspend
	Real time.Duration `json:"real"` // CLOCK_REALTIME: may jump; it also sees some pauses of a virtual machine
}

// Now reads the clocks. The agent calls it before it sends a renewal.
func Now() (Reading, error) {
	var r Reading
	for _, c := range []struct {
		id   int32
		name string
		into *time.Duration
	}{
		{unix.CLOCK_BOOTTIME, "CLOCK_BOOTTIME", &r.Boot},
		{unix.CLOCK_MONOTONIC_RAW, "CLOCK_MONOTONIC_RAW", &r.Raw},
		{unix.CLOCK_REALTIME, "CLOCK_REALTIME", &r.Real},
	} {
		var ts unix.Timespec
		if err := unix.ClockGettime(c.id, &ts); err != nil {
			return Reading{}, fmt.Errorf("read %s: %w", c.name, err)
		}
		*c.into = time.Duration(ts.Nano())
	}
	return r, nil
}

// Age returns how much time has passed between two readings: the largest of the
// changes of the three clocks, because each of them can miss time (suspend,
// slewing, a step back) and none may be trusted when it says less. It is
// negative only if all three ran backwards.
func Age(from, to Reading) time.Duration {
	return max(to.Boot-from.Boot, to.Raw-from.Raw, to.Real-from.Real)
}
