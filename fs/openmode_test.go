package fs

import "testing"

// The pairs that the kernel refuses with EIO, or go-fuse cannot count.
var forbidden = map[[2]openMode]bool{
	{cached, passthrough}: true, {cached, passthroughDirect}: true,
	{direct, passthrough}: true, {direct, passthroughDirect}: true,
}

// open chooses a mode and counts it.
func (m *openModes) open(want openMode) openMode {
	mode := m.choose(want)
	m[mode]++
	return mode
}

func TestOpenModesNeverMixWhatTheKernelRefuses(t *testing.T) {
	wants := []openMode{cached, direct, passthrough}
	for _, a := range wants {
		for _, b := range wants {
			for _, c := range wants {
				var m openModes
				got := []openMode{m.open(a), m.open(b), m.open(c)}
				for _, x := range got {
					for _, y := range got {
						if forbidden[[2]openMode{x, y}] {
							t.Errorf("opens that want %v got %v", []openMode{a, b, c}, got)
						}
					}
				}
			}
		}
	}
}

func TestOpenModesChooseAgainWhenAllAreClosed(t *testing.T) {
	var m openModes
	if got := m.open(passthrough); got != passthrough {
		t.Fatalf("first open: %v", got)
	}
	if got := m.open(cached); got != passthroughDirect {
		t.Fatalf("beside passthrough: %v", got)
	}
	m[passthrough]--
	if got := m.open(passthrough); got != passthrough {
		t.Fatalf("beside passthroughDirect: %v", got)
	}
	m[passthrough]--
	m[passthroughDirect]--
	if got := m.open(cached); got != cached {
		t.Fatalf("after all are closed: %v", got)
	}
	if got := m.open(passthrough); got != cached {
		t.Fatalf("beside cached: %v", got)
	}
	m[cached]--
	m[cached]--
	if got := m.open(passthrough); got != passthrough {
		t.Fatalf("after all are closed again: %v", got)
	}
}
