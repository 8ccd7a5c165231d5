package permit

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// priority of the process among real-time threads: above all ordinary ones,
// below those of the kernel's own watchdogs (99).
const priority = 50

// Harden keeps a machine that is short of memory or processor time from delaying
// the process: its memory stays in RAM, and its threads run before ordinary
// ones. It returns what could not be done; the process is safe without it, but
// may end permits early.
func Harden() []string {
	var problems []string
	// On fault: the whole binary of Argosy is mapped, etcd included, and
	// locking what is never touched would cost some 60 MB.
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		problems = append(problems, fmt.Sprintf("lock memory: %v", err))
	}
	if err := scheduleAll(); err != nil {
		problems = append(problems, fmt.Sprintf("real-time priority: %v", err))
	}
	return problems
}

// scheduleAll makes the threads that there are real-time ones; those that Go
// starts later inherit it. The unit file's CPUSchedulingPolicy= does the same
// earlier.
func scheduleAll() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: priority}
		if err := unix.SchedSetAttr(id, &attr, 0); err != nil {
			return err
		}
	}
	return nil
}
