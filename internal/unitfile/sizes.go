package unitfile

import (
	"math"
	"strconv"
	"strings"

	"argosy/internal/cluster"
)

// ParseSize reads a number of bytes as systemd does (systemd.exec(5), MemoryMax=):
// a decimal number with an optional suffix K, M, G, T, P or E to the base 1024.
// Since a label may count anything, negative numbers are read too.
func ParseSize(value string) (float64, error) {
	digits, factor := strings.Trim(value, whitespace), 1.0
	for i, suffix := range []string{"K", "M", "G", "T", "P", "E"} {
		if before, found := strings.CutSuffix(strings.TrimSuffix(digits, "B"), suffix); found {
			digits, factor = strings.TrimRight(before, whitespace), math.Pow(1024, float64(i+1))
			break
		}
	}
	number, err := strconv.ParseFloat(digits, 64)
	// Go reads more than people mean by a number.
	if err != nil || math.IsInf(number, 0) || strings.Trim(digits, "0123456789.+-") != "" {
		return 0, cluster.Errorf(cluster.Invalid, "%s is not a number", quote(value)).WithHint("write for instance 512M, 1.5G or 4096")
	}
	return number * factor, nil
}

// parseMemory reads a positive number of bytes; 0 stands for "infinity" and for
// nothing.
func parseMemory(value string) (int64, error) {
	if value == "infinity" || value == "" {
		return 0, nil
	}
	bytes, err := ParseSize(value)
	if err == nil && (bytes < 0 || bytes > 1<<60) {
		err = cluster.Errorf(cluster.Invalid, "no machine has %s of memory", clip(value, quoteMax))
	}
	return int64(bytes), err
}

// cpuMax is the largest request for CPU that is taken, in cores.
const cpuMax = 10_000

// parseCPU reads a request for CPU, in thousandths of a core: "2" and "0.5" are
// cores, "500m" thousandths, "50%" hundredths. The last is for CPUQuota= alone:
// in our own options a % begins a specifier.
func parseCPU(value string) (int64, error) {
	digits, factor := value, 1000.0
	for suffix, unit := range map[string]float64{"m": 1, "%": 10} {
		if before, found := strings.CutSuffix(value, suffix); found {
			digits, factor = strings.TrimRight(before, whitespace), unit
		}
	}
	number, err := strconv.ParseFloat(digits, 64)
	if err != nil || strings.Trim(digits, "0123456789.") != "" || number*factor > cpuMax*1000 {
		return 0, cluster.Errorf(cluster.Invalid, "%s is not a number of cores", quote(value)).WithHint("write for instance 2, 0.5 or 500m")
	}
	return int64(math.Ceil(number * factor)), nil
}
