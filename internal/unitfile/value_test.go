package unitfile_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"argosy/internal/unitfile"
)

func TestSplitWords(t *testing.T) {
	tests := []struct {
		name, value       string
		unescaped, retain []string
	}{
		{"blanks part words", " a  b\tc ", []string{"a", "b", "c"}, []string{"a", "b", "c"}},
		{"nothing has no words", "", nil, nil},
		{"quotes hold words together", `"a b" 'c d'`, []string{"a b", "c d"}, []string{"a b", "c d"}},
		{"quotes may stand within a word", `a"b c"d`, []string{"ab cd"}, []string{"ab cd"}},
		{"one kind of quote holds the other", `"it's" '"'`, []string{"it's", `"`}, []string{"it's", `"`}},
		{"empty quotes are an empty word", `'' ""`, []string{"", ""}, []string{"", ""}},
		{"C escapes", `\a\b\f\n\r\t\v\\\"\'\s`, []string{"\a\b\f\n\r\t\v\\\"' "}, nil},
		{"codes", `\x41 \101 \u00e4 \U0001f600`, []string{"A", "A", "ä", "😀"}, []string{`\x41`, `\101`, `\u00e4`, `\U0001f600`}},
		{"an escaped blank parts no words", `a\x20b a\sb`, []string{"a b", "a b"}, []string{`a\x20b`, `a\sb`}},
		{"an escaped quote closes nothing", `"a\"b"`, []string{`a"b`}, nil},
		{"unit names keep their escapes", `dev-a\x2db.mount`, []string{"dev-a-b.mount"}, []string{`dev-a\x2db.mount`}},
		{"unknown escapes stay", `\. \xZZ \x4 \400 \ud800 \x00`, []string{`\.`, `\xZZ`, `\x4`, `\400`, `\ud800`, `\x00`}, []string{`\.`, `\xZZ`, `\x4`, `\400`, `\ud800`, `\x00`}},
		{"a backslash at the end stays", `a\`, []string{`a\`}, []string{`a\`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := unitfile.SplitWords(tt.value, unitfile.Unescape)
			if diff := cmp.Diff(tt.unescaped, got); diff != "" || err != nil {
				t.Errorf("Unescape: %v, -want +got:\n%s", err, diff)
			}
			if tt.retain == nil && tt.value != "" {
				return
			}
			got, err = unitfile.SplitWords(tt.value, unitfile.Retain)
			if diff := cmp.Diff(tt.retain, got); diff != "" || err != nil {
				t.Errorf("Retain: %v, -want +got:\n%s", err, diff)
			}
		})
	}
	for value, want := range map[string]string{`a "b`: `quote " is not closed`, `'`: "quote ' is not closed", `"a\"`: `quote " is not closed`} {
		if _, err := unitfile.SplitWords(value, unitfile.Unescape); err == nil || err.Error() != want {
			t.Errorf("SplitWords(%s): %v, want %s", value, err, want)
		}
	}
}

func TestParseBool(t *testing.T) {
	for value, want := range map[string]bool{
		"1": true, "yes": true, "y": true, "true": true, "t": true, "on": true, "YES": true, "On": true,
		"0": false, "no": false, "n": false, "false": false, "f": false, "off": false, "Off": false,
	} {
		if got, err := unitfile.ParseBool(value); got != want || err != nil {
			t.Errorf("ParseBool(%q) = %v, %v", value, got, err)
		}
	}
	for _, value := range []string{"", "2", "ja", "yes ", "enabled"} {
		if _, err := unitfile.ParseBool(value); err == nil {
			t.Errorf("ParseBool(%q) took it", value)
		}
	}
}

// The table was compared with systemd-analyze timespan of systemd 252.
func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for value, want := range map[string]time.Duration{
		"90": 90 * time.Second, "0": 0, "5s": 5 * time.Second, "1min 30s": 90 * time.Second, "5min30s": 330 * time.Second,
		"1.5min": 90 * time.Second, ".5s": 500 * time.Millisecond, "2 3s": 5 * time.Second, " 1 h ": time.Hour,
		"100ms": 100 * time.Millisecond, "7us": 7 * time.Microsecond, "7µs": 7 * time.Microsecond, "0.25us": 0,
		"1d": day, "2w": 14 * day, "1month": 2629800 * time.Second, "1M": 2629800 * time.Second, "1y": 31557600 * time.Second,
		"1hr 2hours": 3 * time.Hour, "infinity": unitfile.Infinity, " infinity ": unitfile.Infinity,
	} {
		if got, err := unitfile.ParseDuration(value); got != want || err != nil {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", value, got, err, want)
		}
	}
	for _, value := range []string{"", " ", "s", "-1", "1.2.3", "5 foo", "5minutess", "1.", "1.s", "infinity 1s", "99999999999999999999", "300y"} {
		if got, err := unitfile.ParseDuration(value); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", value, got)
		}
	}
}
