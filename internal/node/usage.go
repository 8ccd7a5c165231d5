package node

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"argosy/internal/cluster"
)

// usageMeter reads what the machine uses, from the kernel (proc(5)). Its methods
// may be called concurrently.
type usageMeter struct {
	dir string // /proc

	mu          sync.Mutex
	busy, total int64 // ticks of all CPUs at the last reading
}

// read returns the CPU in use since the last reading, and the memory in use now.
// What cannot be read is 0.
func (m *usageMeter) read() cluster.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	var u cluster.Usage
	busy, total := cpuTicks(m.dir)
	if passed := total - m.total; m.total > 0 && passed > 0 {
		u.CPU = max(0, busy-m.busy) * int64(runtime.NumCPU()) * 1000 / passed
	}
	m.busy, m.total = busy, total
	if available := memory(m.dir, "MemAvailable"); available > 0 {
		u.Memory = memory(m.dir, "MemTotal") - available
	}
	return u
}

// cpuTicks sums the first line of /proc/stat: user, nice, system, idle, iowait,
// irq, softirq and steal, of which idle and iowait are not busy. Guests, which
// follow, are counted in user already.
func cpuTicks(dir string) (busy, total int64) {
	text, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	for i := 1; i < min(len(fields), 9); i++ {
		ticks, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, 0
		}
		total += ticks
		if i != 4 && i != 5 {
			busy += ticks
		}
	}
	return busy, total
}

// memory returns one line of /proc/meminfo in bytes, 0 if it cannot be read.
func memory(dir, key string) int64 {
	text, err := os.ReadFile(filepath.Join(dir, "meminfo"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, key+":")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return 0
		}
		return kib << 10
	}
	return 0
}
