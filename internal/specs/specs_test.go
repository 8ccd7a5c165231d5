package specs_test

import (
	"fmt"
	"testing"

	"argosy/internal/cluster"
	"argosy/internal/specs"
)

func unit(name cluster.UnitName, priority string) cluster.Unit {
	text := "[X-Argosy]\nPriority=" + priority + "\n"
	return cluster.Unit{Name: name, Text: text, Hash: cluster.HashText(text)}
}

func TestATextIsReadOnce(t *testing.T) {
	var c specs.Cache
	first, err := c.Of(unit("a.service", "7"))
	if err != nil || first.Priority != 7 {
		t.Fatalf("%+v, %v", first, err)
	}
	if again, _ := c.Of(unit("a.service", "7")); again != first {
		t.Error("the same text was read again")
	}
	if other, _ := c.Of(unit("a.service", "8")); other.Priority != 8 {
		t.Errorf("another text gives %+v", other)
	}
}

func TestUnitsThatAskForTheSameShareWhatWasRead(t *testing.T) {
	var c specs.Cache
	a, _ := c.Of(unit("a.service", "7"))
	b, _ := c.Of(unit("b.service", "7"))
	if a != b {
		t.Error("equal demands are kept twice")
	}
	if other, _ := c.Of(unit("c.service", "8")); other == a || other.Priority != 8 || a.Priority != 7 {
		t.Errorf("others are shared: %+v, %+v", a, other)
	}
}

func TestWhatCannotBeReadIsRememberedToo(t *testing.T) {
	var c specs.Cache
	for range 2 {
		if _, err := c.Of(unit("a.service", "much")); err == nil {
			t.Error("no error")
		}
	}
}

func TestUnitsThatAreGoneAreForgotten(t *testing.T) {
	var c specs.Cache
	first, _ := c.Of(unit("a.service", "7"))
	for i := range 200 {
		_, _ = c.Of(unit(cluster.UnitName(fmt.Sprintf("u%d.service", i)), "1"))
	}
	c.Prune(200)
	if again, _ := c.Of(unit("a.service", "7")); again != first {
		t.Error("forgotten while there is room")
	}
	for i := range 200 {
		_, _ = c.Of(unit("b.service", fmt.Sprint(i)))
	}
	c.Prune(300)
	if again, _ := c.Of(unit("a.service", "7")); again != first {
		t.Error("forgotten while there is room for what units have asked for")
	}
	c.Prune(10)
	if again, _ := c.Of(unit("a.service", "7")); again == first {
		t.Error("kept although most units are gone")
	}
}
