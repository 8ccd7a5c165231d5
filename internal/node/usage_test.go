package node

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"argosy/internal/cluster"
)

func TestUsageIsThatSinceTheLastReading(t *testing.T) {
	dir := t.TempDir()
	proc := func(stat, meminfo string) {
		for name, text := range map[string]string{"stat": stat, "meminfo": meminfo} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	const mem = "MemTotal:       4096 kB\nMemFree:         100 kB\nMemAvailable:   3072 kB\n"
	m := &usageMeter{dir: dir}
	proc("cpu  100 0 100 700 50 10 10 30 5 5\ncpu0 1 2 3\n", mem)
	if got, want := m.read(), (cluster.Usage{Memory: 1024 << 10}); got != want {
		t.Errorf("the first reading is %+v, not %+v", got, want)
	}
	// 100 ticks later: 20 user, 5 steal, 60 idle, 15 waiting for disks.
	proc("cpu  120 0 100 760 65 10 10 35 9 9\ncpu0 1 2 3\n", mem)
	if got, want := m.read().CPU, int64(runtime.NumCPU())*250; got != want {
		t.Errorf("%d thousandths are in use, not %d", got, want)
	}
	proc("nonsense", "nonsense")
	if got := m.read(); got != (cluster.Usage{}) {
		t.Errorf("from nonsense comes %+v", got)
	}
}
